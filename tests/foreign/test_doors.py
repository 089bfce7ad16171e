"""Every route is closed to whom it is not for, whatever the request, and a refused request changes nothing.

The routes are those of the committed description. HTTP/1.1 and HTTP/2 each have their turn.
"""

import socket

import httpx
import pytest

from client import DEADLINE_S
from desk import Desk, bearer
from routes import API, ROUTES, UPGRADE, Things

LIMITED = [route for route in ROUTES if not route.is_open]


@pytest.fixture
def admin(desktop):
    client = desktop.client()
    yield client
    client.close()


@pytest.fixture
def things(desk):
    return Things(desk)


def foreign_origins(server):
    port = server.port
    return [
        "null",
        "",
        "*",
        "http://evil.example",
        f"http://evil.example:{port}",
        f"http://127.0.0.1.evil.example:{port}",
        f"http://localhost:{port}",
        f"http://[::1]:{port}",
        "http://127.0.0.1",
        f"http://127.0.0.1:{port + 1}",
        f"ftp://127.0.0.1:{port}",
        "file://",
        f"chrome-extension://127.0.0.1:{port}",
        f"http://127.0.0.1:{port}, http://evil.example",
    ]


def keys(server, cookie, ended):
    """What doesn't open any limited route: a name, the headers, the answer."""
    token = bearer(server.token)
    yield "no token", {}, 401
    yield "garbage", bearer("garbage"), 401
    yield "an empty token", {"authorization": "Bearer "}, 401
    yield "another scheme", {"authorization": f"Basic {server.token}"}, 401
    yield "an ended process", bearer(ended), 401
    yield "another port's cookie", {"cookie": cookie.replace(str(server.port), str(server.port + 1))}, 401
    yield "the cookie and a wrong token", {"cookie": cookie} | bearer("wrong"), 401
    yield "a foreign host", token | {"host": f"evil.example:{server.port}"}, 421
    yield "a foreign host and its origin", {
        "cookie": cookie,
        "host": f"evil.example:{server.port}",
        "origin": f"http://evil.example:{server.port}",
    }, 421
    for origin in foreign_origins(server):
        yield f"the cookie from {origin}", {"cookie": cookie, "origin": origin}, 403
    yield "the token from another origin", token | {"origin": "http://evil.example"}, 403
    for site in ("cross-site", "same-site"):
        for mode in ("cors", "no-cors", "websocket"):
            page = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": "empty"}
            yield f"the cookie, {site}, {mode}", {"cookie": cookie} | page, 403
    # What a page in a frame elsewhere, or a form there, would send.
    frame = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}
    yield "the cookie, in a frame elsewhere", {"cookie": cookie} | frame, 403


def ended_process(admin):
    pid, token = admin.create_process(name="ended", sandbox_level="SANDBOX_LEVEL_MINIMAL")
    admin.call_on("KillProcess", pid, tree=True)
    return token


def snapshot(desk, admin):
    files = [entry.name for entry in admin.call("ListDirectory", path="/home").entries]
    return desk.state(), files, desk.processes()


def test_no_route_opens_without_its_key(desktop, desk, admin, things):
    cookie = desk.log_in().headers["cookie"]
    tried = list(keys(desktop, cookie, ended_process(admin)))
    before, faults = snapshot(desk, admin), []
    for route in LIMITED:
        for name, headers, status in tried:
            answer = Desk(desktop, headers).ask(route.method, things.url(route), things.body(route))
            if (answer.status, answer.json.keys()) != (status, {"error"}):
                faults.append((route, name, answer))
    assert not faults, faults
    assert snapshot(desk, admin) == before
    assert len(LIMITED) * len(tried) > 500


def test_no_route_opens_without_its_key_over_http_2(desktop, desk, admin, things):
    cookie = desk.log_in().headers["cookie"]
    tried = list(keys(desktop, cookie, ended_process(admin)))
    before, faults = snapshot(desk, admin), []
    with httpx.Client(http1=False, http2=True, timeout=DEADLINE_S) as client:
        for route in LIMITED:
            for name, headers, status in tried:
                url = f"http://{desktop.address}/{things.url(route).lstrip('/')}"
                answer = client.request(route.method, url, json=things.body(route), headers=headers)
                if (answer.http_version, answer.status_code) != ("HTTP/2", status):
                    faults.append((route, name, answer))
        healthy = client.get(f"http://{desktop.address}/healthz")
        assert (healthy.http_version, healthy.status_code) == ("HTTP/2", 200), "it is not HTTP/2 that is refused"
    assert not faults, faults
    assert snapshot(desk, admin) == before


def test_a_form_elsewhere_changes_nothing(desktop, desk, admin, things):
    """Forms can be sent anywhere, and say where they come from only by `Origin` or by what browsers add."""
    cookie = desk.log_in().headers
    before, faults = snapshot(desk, admin), []
    signs = [{"origin": origin} for origin in ("null", "http://evil.example")]
    signs += [{"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}]
    kinds = ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "")
    for route in (route for route in LIMITED if route.method != "GET"):
        for sign in signs:
            for kind in kinds:
                headers = cookie | sign | {"content-type": kind}
                answer = Desk(desktop, headers).ask(route.method, things.url(route), things.body(route))
                if answer.status != 403:
                    faults.append((route, sign, kind, answer))
    assert not faults, faults
    assert snapshot(desk, admin) == before


def test_a_process_gets_no_further_than_its_routes(desktop, desk, admin, things):
    _, token = admin.create_process(name="nobody", sandbox_level="SANDBOX_LEVEL_MINIMAL")
    me = Desk(desktop, bearer(token))
    before, faults = snapshot(desk, admin), []
    for route in ROUTES:
        answer = me.ask(route.method, things.url(route), things.body(route))
        if route.is_open or route.is_for_processes:
            # It has no rights, so files and the desktop are closed to it all the same.
            fine = answer.status == 403 if route.path.startswith("/files") else answer.status not in (401, 403, 421)
            # A link without a ticket logs nobody in.
            fine = fine or (route.path, answer.status) == ("/login", 401)
        else:
            fine = answer.status == 403 and answer.error["code"] == "operator_only"
        if not fine:
            faults.append((route, answer))
    assert not faults, faults
    assert snapshot(desk, admin) == before


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_who_has_the_key_gets_in(desktop, desk, route):
    """The control: the very same requests succeed for the operator, so it was the key that was missing."""
    for key in (desk, desk.log_in()):
        things = Things(desk)
        if route.name == "GET /login":
            ticket = desk.done("POST", "/login/tickets")["ticket"]
            assert Desk(desktop, {}).ask("GET", f"/login?ticket={ticket}").status == 303
        elif route.name == "GET /events":
            assert key.ask("GET", "/events", headers=UPGRADE).status == 101
        else:
            if route.name == "GET /files/{path}":
                key.ask("PUT", things.url(route), "there")
            answer = key.ask(route.method, things.url(route), things.body(route))
            assert 200 <= answer.status < 300, answer
            assert str(answer.status) in route.operation["responses"]


def test_the_description_that_is_served_is_the_committed_one(desktop, desk):
    _, token = (admin := desktop.client()).create_process(name="reader", sandbox_level="SANDBOX_LEVEL_MINIMAL")
    admin.close()
    assert desk.done("GET", "/openapi.json") == Desk(desktop, bearer(token)).done("GET", "/openapi.json") == API
    page = desk.ask("GET", "/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert all(f"<span class=m>{route.method}</span> {route.path}<" in page.body.decode() for route in ROUTES)


def test_what_is_not_in_the_description_is_not_there(desktop, desk):
    """No route answers a method that the description does not name, and none is open beyond the ones it says."""
    for path, methods in API["paths"].items():
        for method in ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
            if method.lower() not in methods:
                url = path.replace("{id}", "x").replace("{path}", "home/x")
                assert desk.ask(method, url).status == 405, (method, path)
                # Nobody learns which methods there are.
                assert Desk(desktop, {}).ask(method, url).status in (401, 405), (method, path)
    assert {route.name for route in ROUTES if route.is_open} == {"GET /healthz", "GET /readyz", "GET /login"}


def raw(server, head):
    """The status of a request that is sent as it is, byte by byte."""
    with socket.create_connection((server.host, server.port), timeout=DEADLINE_S) as connection:
        connection.sendall(head)
        answer = connection.makefile("rb").readline()
    return int(answer.split()[1]) if answer else None


FOREIGN_HOSTS = [
    "evil.example",
    "evil.example:{port}",
    "localhost.evil.example:{port}",
    "127.0.0.1.evil.example:{port}",
    "127.0.0.1.nip.io",
    "evil.example.localhost",
    "localhost.",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "0177.0.0.1",
    "0.0.0.0:{port}",
    "127.0.0.2:{port}",
    "[::]:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "[0:0:0:0:0:0:0:1]:{port}",
    "[::1%25lo]",
    "::1",
    "localhost@evil.example",
    "evil@localhost:{port}",
    "localhost:{port}@evil.example",
    "localhost#evil.example",
    "localhost/evil",
    "localhost\\evil",
    "localhost,evil.example",
    "localhost evil.example",
    "localhost:port",
    "localhost:99999999",
    "l\u00f6calhost",
    "xn--lcalhost-n4a",
    "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3",
    "%6c%6fcalhost",
    "*",
    "_",
    "",
]


def test_the_host_is_ours_in_every_spelling_or_the_request_goes_no_further(desktop):
    port, token = desktop.port, desktop.token
    faults = []
    for host in FOREIGN_HOSTS:
        named = host.format(port=port).encode()
        for path in (b"/healthz", b"/apps", b"/"):
            head = b"GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n"
            status = raw(desktop, head % (path, named, token.encode()))
            if status not in (400, 421):
                faults.append((host, path, status))
    assert not faults, faults
    assert len(FOREIGN_HOSTS) > 30


def test_several_hosts_or_none_are_no_host(desktop):
    own, key = desktop.address.encode(), b"Authorization: Bearer %s\r\nConnection: close\r\n\r\n" % desktop.token.encode()
    heads = {
        "none": b"GET /apps HTTP/1.1\r\n",
        "none, by an old client": b"GET /apps HTTP/1.0\r\n",
        "two": b"GET /apps HTTP/1.1\r\nHost: %s\r\nHost: evil.example\r\n" % own,
        "ours twice": b"GET /apps HTTP/1.1\r\nHost: %s\r\nHost: %s\r\n" % (own, own),
        "a foreign target": b"GET http://evil.example/apps HTTP/1.1\r\nHost: %s\r\n" % own,
        "a foreign target's user": b"GET http://x@%s/apps HTTP/1.1\r\nHost: %s\r\n" % (own, own),
        "a foreign host of our target": b"GET http://%s/apps HTTP/1.1\r\nHost: evil.example\r\n" % own,
    }
    answers = {name: raw(desktop, head + key) for name, head in heads.items()}
    assert all(status in (400, 421) for status in answers.values()), answers


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LocalHost", "[::1]:{port}", "localhost:1"])
def test_its_own_names_are_taken_through_whatever_port(desktop, host):
    """A tunnel may lead to the server from another port; what pages may do is told by their origin."""
    answer = Desk(desktop).ask("GET", "/apps", headers={"host": host.format(port=desktop.port)})
    assert answer.status == 200


def test_no_page_elsewhere_is_told_that_it_may(desktop, desk):
    """No answer names an origin that may read it, also not to a preflight, a private network's included."""
    origins = foreign_origins(desktop) + [f"http://{desktop.address}.evil.example", f"https://{desktop.address}"]
    origins += [f"http://{desktop.address}", f"http://EVIL.example:{desktop.port}", "http://127.0.0.1:65536"]
    ask = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    ask["access-control-request-private-network"] = "true"
    for origin in origins:
        for method, headers in (("GET", {}), ("OPTIONS", ask)):
            for path in ("/apps", "/healthz", "/login", "/nothing"):
                answer = desk.ask(method, path, headers={"origin": origin} | headers)
                told = [name for name in answer.headers if name.startswith("access-control-")]
                assert not told, (origin, method, path, told)


def test_a_link_elsewhere_may_lead_here_and_to_nothing_more(desktop, desk):
    """A person may follow a link to the desktop; what only a program asks for is not given to one that follows a form."""
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert Desk(desktop, {}).ask("GET", "/", headers=link).status == 200
    assert Desk(desktop, {}).ask("GET", "/healthz", headers=link).status == 200
    assert Desk(desktop, {}).ask("GET", "/apps", headers=link).status == 401, "browsers follow it without the cookie"
    assert desk.ask("POST", "/sessions", {"name": "by a form"}, headers=link).status == 403


@pytest.mark.parametrize(
    "given",
    [["Bearer {0}", "Bearer {0}"], ["Bearer {0}", "Bearer x"], ["bearer  {0}"], ["Bearer {0} x"], ["{0}"], ["Bearer\t{0}"]],
    ids=["twice", "two", "two spaces", "more behind it", "no scheme", "a tab"],
)
def test_a_token_is_said_once_and_plainly(desktop, given):
    lines = b"".join(b"Authorization: %s\r\n" % text.format(desktop.token).encode() for text in given)
    head = b"GET /apps HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n" % (desktop.address.encode(), lines)
    assert raw(desktop, head) == 401
