"""Live events over a real WebSocket: everything once and in order, across broken connections, and only to whom it concerns."""

import os
import random
import threading
import time
import urllib.parse

import jsonschema_rs
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from client import DEADLINE_S
from desk import Desk, bearer, window
from feed import Feed
from routes import API

# One connection in forty events is broken off.
EVENTS = int(os.environ.get("UOS_CAMPAIGN_EVENTS", "2000"))
BREAKS = EVENTS // 40
WRITERS = 3

FRAME = jsonschema_rs.validator_for({"$ref": "#/components/schemas/EventFrame", "components": API["components"]})


@pytest.fixture
def admin(desktop):
    client = desktop.client()
    yield client
    client.close()


def told(event):
    """What an event tells, without its place and without the long parts."""
    return tuple(event[name] for name in ("type", "change", "path", "to", "name", "id") if name in event)


def in_order(events, after):
    """Fails unless these are all events after a number."""
    seqs = [event["seq"] for event in events]
    assert seqs == list(range(after + 1, after + 1 + len(events)))


def mark(desk, name):
    """Makes an event that is known by its name; gives what recognises it."""
    desk.add(name)
    return lambda event: told(event) == ("registry", "put", name)


@pytest.mark.parametrize("as_whom", ["token", "cookie"])
def test_a_new_listener_is_told_where_it_is(desktop, desk, as_whom):
    headers = None if as_whom == "token" else desk.log_in().headers
    with Feed(desktop, headers=headers) as feed:
        hello = feed.next()
        assert hello["type"] == "hello"
        assert hello["epoch"] == desk.done("GET", "/system")["epoch"]
        end = mark(desk, "after")
        in_order(feed.until(end), hello["seq"])


def test_every_change_is_told_once_and_in_order(desktop, desk, admin):
    with Feed(desktop) as feed:
        hello = feed.next()
        app = desk.ask("POST", "/registry/apps/notes/launch", headers={"x-uos-client": "tab 1"}).json
        desk.done("POST", f"/apps/{app['id']}/window", window(app, position={"x": 7, "y": 8}), {"x-uos-client": "tab 2"})
        desk.done("PUT", f"/apps/{app['id']}/state", {"text": "half a sen"})
        session = desk.save("monday")
        admin.call("WriteFile", path="/home/note", data=b"x")
        admin.call("WriteFile", path="/home/note", data=b"y")
        # Arguments called `from` can't be written in Python.
        admin.call("MoveFile", **{"from": "/home/note", "to": "/home/moved"})
        admin.call("CreateDirectory", path="/home/folder")
        admin.call("DeleteFile", path="/home/moved")
        admin.call("RemoveDirectory", path="/home/folder")
        pid, _ = admin.create_process(name="a program", sandbox_level="SANDBOX_LEVEL_MINIMAL")
        admin.call_on("KillProcess", pid, tree=True)
        desk.restore(session["id"])
        desk.done("DELETE", f"/sessions/{session['id']}")
        desk.done("DELETE", f"/apps/{app['id']}")
        desk.add("mine")
        desk.done("DELETE", "/registry/apps/mine")
        events = feed.until(lambda event: told(event) == ("registry", "removed", "mine"))
    in_order(events, hello["seq"])
    for event in [hello, *events]:
        FRAME.validate(event)
        assert event["epoch"] == hello["epoch"]
    id = app["id"]
    # An app's process is told of when it starts and ends, which is beside the app's own story.
    story = [told(event) for event in events if event.get("name") != "notes"]
    assert story == [
        ("app", "opened", id),
        ("window", id),
        ("app", "changed", id),
        ("session", "saved", session["id"]),
        ("file", "created", "/home/note"),
        ("file", "written", "/home/note"),
        ("file", "moved", "/home/note", "/home/moved"),
        ("file", "created", "/home/folder"),
        ("file", "removed", "/home/moved"),
        ("file", "removed", "/home/folder"),
        ("process", "started", "a program"),
        ("process", "ended", "a program"),
        ("session", "saved", "previous"),
        ("desktop",),
        ("session", "removed", session["id"]),
        ("app", "closed", id),
        ("registry", "put", "mine"),
        ("registry", "removed", "mine"),
    ]
    notes = [told(event) for event in events if event.get("name") == "notes"]
    assert notes == [("process", "started", "notes"), ("process", "started", "notes")] + [
        ("process", "ended", "notes"),
        ("process", "ended", "notes"),
    ], "one for the launch, one for the restore, and their ends"
    assert [event.get("by") for event in events if event["type"] in ("app", "window")][:2] == ["tab 1", "tab 2"]
    moved = next(event for event in events if event["type"] == "window")
    assert moved["app"]["window_pos"] == {"x": 7, "y": 8}


class Writer(threading.Thread):
    """Changes one window or file over and over, and notes what was acknowledged, in its order."""

    def __init__(self, change, count):
        super().__init__(daemon=True)
        self.change, self.count, self.made, self.fault = change, count, [], None

    def run(self):
        try:
            for turn in range(self.count):
                self.made.append(self.change(turn))
        except BaseException as fault:
            self.fault = fault


def mover(desk, app):
    """Moves a window step by step, each step from the version of the last."""
    version = [app["version"]]

    def move(turn):
        change = window(app, position={"x": turn % 1000, "y": 0}, version=version[0])
        version[0] = desk.done("POST", f"/apps/{app['id']}/window", change)["version"]
        return app["id"], version[0]

    return move


def scribbler(admin, path):
    def scribble(turn):
        admin.call("WriteFile", path=path, data=b"x")
        return path, turn

    return scribble


def test_who_is_cut_off_again_and_again_misses_nothing(desktop, desk, admin):
    """Several writers, a listener whose connection breaks at random points: no gap, no duplicate, no disorder."""
    seed = 20261124
    print(f"seed {seed}, {EVENTS} events, {BREAKS} breaks")
    dice = random.Random(seed)
    share = EVENTS // (WRITERS + 1)
    apps = [desk.launch() for _ in range(WRITERS)]
    writers = [Writer(mover(desk, app), share) for app in apps]
    admin.call("WriteFile", path="/home/scribble", data=b"")
    writers.append(Writer(scribbler(admin, "/home/scribble"), share))
    feed = Feed(desktop)
    place = begin = feed.next()
    for writer in writers:
        writer.start()

    events, breaks, last = [], 0, lambda event: False
    pause = dice.randint(1, 2 * EVENTS // BREAKS - 10)
    while not (events and last(events[-1])):
        events.append(feed.next())
        place, pause = events[-1], pause - 1
        if pause == 0 and breaks < BREAKS:
            # Half of them are pulled cables, the others part in order.
            feed.break_off() if dice.random() < 0.5 else feed.close()
            feed = Feed(desktop, place)
            breaks, pause = breaks + 1, dice.randint(1, 2 * EVENTS // BREAKS - 10)
        if len(events) == share * len(writers):
            for writer in writers:
                writer.join(DEADLINE_S)
                assert not writer.is_alive() and writer.fault is None, writer.fault
            last = mark(desk, "the-end")
    feed.close()

    assert breaks == BREAKS, "the campaign was shorter than it says"
    in_order(events, begin["seq"])
    assert {event["epoch"] for event in events} == {begin["epoch"]}
    for writer, app in zip(writers, apps):
        heard = [(event["id"], event["app"]["version"]) for event in events if event.get("id") == app["id"]]
        assert heard == writer.made
    scribbled = [event for event in events if event.get("path") == "/home/scribble"]
    assert len(scribbled) == share and len(writers[-1].made) == share


def test_at_the_newest_place_there_is_nothing_to_catch_up_with(desktop, desk):
    with Feed(desktop) as feed:
        feed.next()
        before, newest = feed.until(mark(desk, "one"))[-1], feed.until(mark(desk, "two"))[-1]
    with Feed(desktop, newest) as feed:
        end = mark(desk, "three")
        assert [told(event) for event in feed.until(end)] == [("registry", "put", "three")]
    with Feed(desktop, before) as feed:
        assert feed.next() == newest


def flood(desk, app, count, each=lambda version: None):
    """Makes events of 100 KiB each, which push all older ones out: 8 MiB are kept."""
    desk.done("PUT", f"/apps/{app['id']}/state", {"text": "x" * 100_000})
    for turn in range(count):
        version = desk.done("POST", f"/apps/{app['id']}/window", window(app, position={"x": turn, "y": 0}))["version"]
        each(version)


@pytest.mark.parametrize("what", ["another epoch", "a number never given", "the greatest number", "a place long gone"])
def test_where_nothing_can_be_made_up_for_it_says_so(desktop, desk, what):
    app = desk.launch()
    with Feed(desktop) as feed:
        first = feed.next()
    if what == "a place long gone":
        flood(desk, app, 100)
    place = {
        "another epoch": {**first, "epoch": "0" * 32},
        "a number never given": {**first, "seq": first["seq"] + 1_000_000},
        "the greatest number": {**first, "seq": 2**64 - 1},
        "a place long gone": first,
    }[what]
    with Feed(desktop, place) as feed:
        resync = feed.next()
        FRAME.validate(resync)
        assert resync["type"] == "resync" and resync["epoch"] == first["epoch"]
        # And from there on it goes on as if nothing had been.
        in_order(feed.until(mark(desk, "goes-on")), resync["seq"])


def resident(server):
    """The server's memory, in bytes."""
    for line in open(f"/proc/{server.process.pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise AssertionError("the server has no memory")


def test_who_reads_nothing_is_told_so_and_costs_nobody_else(desktop, desk):
    """Four listeners sleep through 40 MB of events. A fifth gets each as it happens; the server holds no more than before."""
    app = desk.launch()
    flood(desk, app, 100)
    before = resident(desktop)
    sleepers = [Feed(desktop, receive_bytes=4096) for _ in range(4)]
    places = [sleeper.next() for sleeper in sleepers]
    with Feed(desktop) as awake:
        awake.next()

        def heard(version):
            awake.until(lambda event: event["type"] == "window" and event["app"]["version"] == version)

        flood(desk, app, 400, heard)
    grown = resident(desktop) - before
    # Each sleeper holds at most what is on its way to it; all that was told would be 160 MB.
    assert grown < 32 << 20, f"the server has grown by {grown >> 20} MiB"

    for sleeper, place in zip(sleepers, places):
        try:
            events = sleeper.until(lambda event: event["type"] == "resync")
            in_order(events[:-1], place["seq"])
            assert events[-1]["seq"] > events[-2]["seq"] + 1 if len(events) > 1 else True
        except ConnectionClosed:
            # On a slow machine it may have been given up meanwhile; then it is told when it comes back.
            with Feed(desktop, place) as back:
                assert back.next()["type"] == "resync"
        sleeper.break_off()


def test_a_process_hears_of_what_it_may_see(desktop, desk, admin):
    pid, token = admin.create_process(
        name="listener",
        sandbox_level="SANDBOX_LEVEL_MINIMAL",
        grants=["fs.read:/home/mine/**", "fs.write:/home/mine/**", "proc.spawn:/usr/bin/*"],
    )
    admin.call("CreateDirectory", path="/home/mine")
    me = desktop.client(token)
    with Feed(desktop, headers=bearer(token)) as feed:
        hello = feed.next()
        assert hello["type"] == "hello"
        app = desk.launch()
        desk.done("POST", f"/apps/{app['id']}/window", window(app, position={"x": 1, "y": 1}))
        admin.call("WriteFile", path="/home/theirs", data=b"x")
        admin.call("WriteFile", path="/home/mine/a", data=b"x")
        # Out of sight: that it moved there would tell of a place that may not be read.
        admin.call("MoveFile", **{"from": "/home/mine/a", "to": "/home/theirs2"})
        other, _ = admin.create_process(name="other", sandbox_level="SANDBOX_LEVEL_MINIMAL")
        me.call("WriteFile", path="/home/mine/b", data=b"x")
        child, _ = me.create_process(name="child", sandbox_level="SANDBOX_LEVEL_MINIMAL")
        me.call_on("KillProcess", child, tree=True)
        admin.call_on("KillProcess", other, tree=True)
        me.call("WriteFile", path="/home/mine/end", data=b"x")
        events = feed.until(lambda event: event.get("path") == "/home/mine/end")
        assert [told(event) for event in events] == [
            ("file", "created", "/home/mine/a"),
            ("file", "created", "/home/mine/b"),
            ("process", "started", "child"),
            ("process", "ended", "child"),
            ("file", "created", "/home/mine/end"),
        ]
        seqs = [hello["seq"], *(event["seq"] for event in events)]
        assert seqs == sorted(set(seqs)) and seqs[-1] > hello["seq"] + len(events), "gaps are what others did"

        # It can go on as well as the operator can, and past what it may not see.
        with Feed(desktop, events[1], headers=bearer(token)) as again:
            assert [again.next() for _ in events[2:]] == events[2:]

        admin.call_on("KillProcess", pid, tree=True)
        with pytest.raises(ConnectionClosed) as caught:
            feed.until(lambda event: False)
        assert caught.value.rcvd.code == 1008, "its token is worth nothing any more"
    me.close()


def test_logging_out_ends_what_the_browser_hears(desktop, desk):
    browser, other = desk.log_in(), desk.log_in()
    with Feed(desktop, headers=browser.headers) as feed, Feed(desktop, headers=other.headers) as stays:
        feed.next(), stays.next()
        browser.done("POST", "/logout")
        with pytest.raises(ConnectionClosed) as caught:
            feed.next()
        assert caught.value.rcvd.code == 1008
        stays.until(mark(desk, "after-the-logout"))


def test_a_server_that_stops_says_so(own_server):
    server = own_server()
    with Feed(server) as feed:
        feed.next()
        server.stop()
        with pytest.raises(ConnectionClosed) as caught:
            feed.next()
    assert caught.value.rcvd.code == 1012


FOREIGN_PLACES = {
    "a number alone": ({"after": 3}, 422),
    "an epoch alone": ({"epoch": "x"}, 422),
    "no number": ({"epoch": "x", "after": "y"}, 422),
    "a negative number": ({"epoch": "x", "after": -1}, 422),
    "a huge number": ({"epoch": "x", "after": 2**64}, 422),
}


@pytest.mark.parametrize("query, status", FOREIGN_PLACES.values(), ids=FOREIGN_PLACES.keys())
def test_a_place_that_is_none_is_refused(desktop, query, status):
    with pytest.raises(InvalidStatus) as caught:
        Feed(desktop, query=query)
    assert caught.value.response.status_code == status


def handshakes(server, cookie, ended):
    """Handshakes that must fail: the headers, what is asked in the URL, and the answer."""
    name, secret = cookie.split("=", 1)
    token, here = bearer(server.token), f"http://{server.address}"
    yield "no token", {}, None, 401
    yield "garbage", bearer("garbage"), None, 401
    yield "half a token", bearer(server.token[: len(server.token) // 2]), None, 401
    yield "another scheme", {"authorization": f"Basic {server.token}"}, None, 401
    yield "a process that has ended", bearer(ended), None, 401
    for parameter in ("token", "access_token", "authorization", "ticket", name):
        yield f"the token as {parameter} in the URL", {}, {parameter: server.token}, 401
    yield "the cookie in the URL", {}, {name: secret}, 401
    yield "the token as a protocol", {"sec-websocket-protocol": f"bearer, {server.token}"}, None, 401
    yield "another port's cookie", {"cookie": f"uos_login_{server.port + 1}={secret}"}, None, 401
    yield "the cookie twice", {"cookie": f"{cookie}; {cookie}"}, None, 401
    yield "the cookie and a wrong token", {"cookie": cookie} | bearer("wrong"), None, 401
    origins = ["null", "", "http://evil.example", f"http://evil.example:{server.port}", f"http://localhost:{server.port}"]
    origins += ["http://127.0.0.1", f"http://127.0.0.1:{server.port + 1}", f"http://127.0.0.1.evil.example:{server.port}"]
    origins += ["file://", f"ws://{server.address}", f"chrome-extension://{server.address}", f"{here}.evil.example", "*"]
    for origin in origins:
        yield f"the cookie from {origin}", {"cookie": cookie, "origin": origin}, None, 403
        yield f"the token from {origin}", token | {"origin": origin}, None, 403
    for site in ("cross-site", "same-site"):
        page = {"sec-fetch-site": site, "sec-fetch-mode": "websocket", "sec-fetch-dest": "empty"}
        yield f"the cookie, {site}", {"cookie": cookie} | page, None, 403
    for host in ("evil.example", f"evil.example:{server.port}", f"localhost.evil.example:{server.port}", "0.0.0.0"):
        yield f"the token for {host}", token | {"host": host}, None, 421
        yield f"the cookie for {host}", {"cookie": cookie, "host": host, "origin": f"http://{host}"}, None, 421


def opened(server, headers, query=None):
    """The status of a handshake, by hand: a library would put its own `Host` beside ours."""
    upgrade = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    upgrade["sec-websocket-key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    path = "/events" + (f"?{urllib.parse.urlencode(query)}" if query else "")
    return Desk(server, {}).ask("GET", path, headers=upgrade | headers).status


def test_a_handshake_that_is_not_in_order_opens_nothing(desktop, desk, admin):
    pid, ended = admin.create_process(name="ended", sandbox_level="SANDBOX_LEVEL_MINIMAL")
    admin.call_on("KillProcess", pid, tree=True)
    cookie = desk.log_in().headers["cookie"]
    tried = list(handshakes(desktop, cookie, ended))
    assert len(tried) > 45
    answers = {name: opened(desktop, headers, query) for name, headers, query, _ in tried}
    assert answers == {name: status for name, _, _, status in tried}
    # The same by hand with what is in order is let in, so it was not the hand.
    assert opened(desktop, {"cookie": cookie, "origin": f"http://{desktop.address}"}) == 101
    assert opened(desktop, bearer(desktop.token)) == 101
    secrets = (desktop.token, cookie.split("=")[1], ended)
    assert not any(secret in desktop.complaints() for secret in secrets), "a token is in the log"


def test_what_a_listener_says_is_not_heard(desktop, desk):
    """Text, bytes and pings change nothing; what is longer than a listener has a reason for ends the connection."""
    with Feed(desktop) as feed:
        feed.next()
        feed.socket.send('{"type":"window"}')
        feed.socket.send(b"\x00\xff")
        assert feed.socket.ping().wait(DEADLINE_S)
        feed.until(mark(desk, "still-there"))
        with pytest.raises(ConnectionClosed):
            feed.socket.send("x" * 100_000)
            feed.until(lambda event: False)
