"""Logging in: a ticket works once, a cookie is the browser's alone, and a logout is the end of it."""

import base64
import re
import threading

import pytest

from client import DEADLINE_S
from desk import Desk, bearer
from server import Server
from web import web_call


@pytest.fixture
def stranger(desktop):
    """A browser without token or cookie."""
    return Desk(desktop, {})


def ticket(desk):
    return desk.done("POST", "/login/tickets")["ticket"]


def use(stranger, ticket, **more):
    return stranger.ask("GET", f"/login?ticket={ticket}", **more)


def test_a_ticket_logs_in_and_leads_to_the_desktop(desktop, desk, stranger):
    made = desk.done("POST", "/login/tickets")
    assert made["url"] == f"http://{desktop.address}/login?ticket={made['ticket']}"
    assert len(made["ticket"]) == 64
    answer = use(stranger, made["ticket"])
    assert (answer.status, answer.headers["location"]) == (303, "/")
    (cookie,) = answer.cookies
    pair, *attributes = cookie.split("; ")
    name, secret = pair.split("=")
    # To a browser all ports of a host are one site; the port in the name keeps two servers apart.
    assert name == f"uos_login_{desktop.port}"
    assert re.fullmatch("[0-9a-f]{64}", secret)
    assert set(attributes) == {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=2592000"}, "no Domain above all"
    browser = Desk(desktop, {"cookie": pair})
    assert browser.ask("GET", "/apps").status == 200
    browser.done("POST", "/sessions", {"name": "by cookie"}, {"origin": f"http://{desktop.address}"})


def test_the_link_that_the_server_prints_works_once(own_server):
    server = own_server()
    link = server.printed(r"log in, once and within five minutes: http://\S+(/login\?ticket=\S+)\n")
    assert Desk(server, {}).ask("GET", link).status == 303
    assert Desk(server, {}).ask("GET", link).status == 401


def test_a_ticket_works_once(desk, stranger):
    once = ticket(desk)
    assert use(stranger, once).status == 303
    again = use(stranger, once)
    assert again.status == 401 and not again.cookies
    assert again.headers["content-type"].startswith("text/html") and b"no longer works" in again.body


def test_of_many_who_use_a_ticket_at_once_one_gets_in(desk, stranger):
    for _ in range(5):
        once, barrier, statuses = ticket(desk), threading.Barrier(8), []

        def race():
            barrier.wait(DEADLINE_S)
            statuses.append(use(stranger, once).status)

        racers = [threading.Thread(target=race) for _ in range(8)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join(DEADLINE_S)
        assert sorted(statuses) == [303] + [401] * 7


GARBAGE = ["", "x", "0" * 64, "a" * 5000, "%00", "%ff", "%F0%9F%A6%80", "..%2f..%2f", "'%20OR%201=1--", "&ticket=", "%"]


@pytest.mark.parametrize("given", GARBAGE)
def test_what_is_no_ticket_logs_nobody_in(stranger, given):
    answer = use(stranger, given)
    assert answer.status == 401 and not answer.cookies
    assert stranger.ask("GET", "/login").status == 401


def test_two_tickets_in_a_link_are_none_and_both_stay_good(desk, stranger):
    one, other = ticket(desk), ticket(desk)
    assert use(stranger, f"{one}&ticket={other}").status == 401
    assert use(stranger, one).status == 303
    assert use(stranger, other).status == 303


@pytest.mark.parametrize("method, status", [("HEAD", 405), ("POST", 401), ("PUT", 401), ("DELETE", 401), ("OPTIONS", 401)])
def test_only_following_the_link_uses_the_ticket(desk, stranger, method, status):
    once = ticket(desk)
    answer = stranger.ask(method, f"/login?ticket={once}")
    assert answer.status == status and not answer.cookies
    assert use(stranger, once).status == 303


def test_a_ticket_is_not_used_up_by_a_request_that_goes_no_further(desktop, desk, stranger):
    once = ticket(desk)
    assert use(stranger, once, headers={"host": "evil.example"}).status == 421
    assert use(stranger, once, headers={"origin": "http://evil.example"}).status == 403
    assert use(stranger, once, headers={"sec-fetch-site": "cross-site", "sec-fetch-dest": "image"}).status == 403
    assert use(stranger, once).status == 303


def test_a_ticket_is_no_token(desk, stranger):
    once = ticket(desk)
    assert stranger.ask("GET", "/apps", headers=bearer(once)).status == 401
    assert stranger.ask("GET", f"/apps?ticket={once}").status == 401


def test_only_the_operator_makes_tickets_and_logs_in(desktop, desk, stranger):
    admin = desktop.client()
    _, token = admin.create_process(name="nobody", sandbox_level="SANDBOX_LEVEL_MINIMAL")
    admin.close()
    process = Desk(desktop, bearer(token))
    for path in ("/login", "/login/tickets", "/logout"):
        assert stranger.ask("POST", path).status == 401
        assert process.refused(403, "POST", path)["code"] == "operator_only"


def test_a_cookie_is_worth_nothing_after_the_logout(desktop, desk):
    browser, other = desk.log_in(), desk.log_in()
    name = f"uos_login_{desktop.port}"
    answer = browser.ask("POST", "/logout")
    assert answer.status == 200
    (cookie,) = answer.cookies
    assert cookie.startswith(f"{name}=;") and "Max-Age=0" in cookie, "the browser forgets it too"
    assert browser.ask("GET", "/apps").status == 401
    assert browser.ask("POST", "/logout").status == 401
    assert other.ask("GET", "/apps").status == 200, "the other browser is still logged in"


def test_a_login_outlives_the_server_and_a_logout_does_too(tmp_path):
    first = Server(tmp_path / "data")
    stays, goes = Desk(first).log_in(), Desk(first).log_in()
    goes.done("POST", "/logout")
    first.stop()
    # The cookie's name holds the port.
    second = Server(tmp_path / "data", listen=first.address)
    try:
        assert Desk(second, stays.headers).ask("GET", "/apps").status == 200
        assert Desk(second, goes.headers).ask("GET", "/apps").status == 401
    finally:
        second.stop()
    # Who reads the disk can't log in.
    secret = stays.headers["cookie"].split("=")[1].encode()
    forms = (secret, bytes.fromhex(secret.decode()), base64.b64encode(bytes.fromhex(secret.decode())))
    for path in (tmp_path / "data").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(form in content for form in forms), path


def test_a_cookie_in_doubt_is_none(desktop, desk):
    pair = desk.log_in().headers["cookie"]
    name, secret = pair.split("=")
    for cookie, status in {
        pair: 200,
        f"other=1; {pair}": 200,
        f" {pair} ": 200,
        f"{pair}; {pair}": 401,
        f"{pair}; {name}=x": 401,
        f"{name}=": 401,
        f"{name}={secret[:-1]}": 401,
        f"{name}={secret}0": 401,
        f"{name}={secret.upper()}": 401 if secret.upper() != secret else 200,
        f'{name}="{secret}"': 401,
        f"{name.upper()}={secret}": 401,
        f"uos_login={secret}": 401,
        secret: 401,
        ";" * 1000: 401,
        "=" * 1000: 401,
    }.items():
        assert Desk(desktop, {"cookie": cookie}).ask("GET", "/apps").status == status, cookie


def test_grpc_web_takes_the_cookie_from_our_own_pages_alone(desktop, desk):
    admin = desktop.client()
    request = admin.request("GetUptime").SerializeToString()
    cookie = desk.log_in().headers
    own = {"origin": f"http://{desktop.address}"}
    status, grpc_status, reply = web_call(desktop, "Execute", request, cookie | own)
    assert (status, grpc_status) == (200, "0") and reply
    for origin in ("null", "http://evil.example", f"http://localhost:{desktop.port}"):
        status, grpc_status, reply = web_call(desktop, "Execute", request, cookie | {"origin": origin})
        # 7 is PERMISSION_DENIED.
        assert (grpc_status, reply) == ("7", None), origin
    admin.close()
