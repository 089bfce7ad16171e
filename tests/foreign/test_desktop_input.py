"""What makes no sense on the desktop is refused by the field that is wrong, and changes nothing."""

import http.client
import json
import threading

import pytest

from client import DEADLINE_S
from desk import Desk, geometry, window

FARTHEST = 32_767
STATE_BYTES = 256 << 10
JSON_BYTES = 1 << 20


@pytest.fixture
def app(desk):
    return desk.launch()


def unchanged(desk, app):
    assert desk.app(app["id"]) == {name: app[name] for name in app if name != "app_id"}


# Numbers as a client may spell them; the first three are no JSON, but what is meant is plain.
NO_PIXELS = ["NaN", "Infinity", "-Infinity", "1e400", "1e99", "1.5", "-0.5", "99999999999999999999", "null", '"1"', "true", "[1]", "{}"]


@pytest.mark.parametrize("field", ["position.x", "position.y", "size.width", "size.height"])
@pytest.mark.parametrize("number", NO_PIXELS)
def test_no_whole_number_is_no_place(desk, app, field, number):
    part, name = field.split(".")
    body = json.dumps(window(app, **{part: {**window(app)[part], name: "HERE"}})).replace('"HERE"', number)
    error = desk.refused(422, "POST", f"/apps/{app['id']}/window", body)
    assert (error["code"], error["detail"]) == ("invalid", {"field": field}), number
    unchanged(desk, app)


EDGES = {
    "position.x": ([-FARTHEST, 0, FARTHEST], [-FARTHEST - 1, FARTHEST + 1, -(2**31), 2**31, 2**32, 2**63, -(2**63)]),
    "position.y": ([-FARTHEST, 0, FARTHEST], [-FARTHEST - 1, FARTHEST + 1]),
    "size.width": ([1, FARTHEST], [0, -1, FARTHEST + 1, 2**32 + 1, -(2**63)]),
    "size.height": ([1, FARTHEST], [0, -1, FARTHEST + 1]),
    "restore_bounds.x": ([-FARTHEST, FARTHEST], [-FARTHEST - 1, FARTHEST + 1]),
    "restore_bounds.width": ([1, FARTHEST], [0, -1, FARTHEST + 1]),
    "z": ([-(2**40), 0, 2**40], [-(2**40) - 1, 2**40 + 1, -(2**63), 2**63, 1.5]),
    "workspace": ([0, 63], [-1, 64, 2**32, 1.5]),
}


@pytest.mark.parametrize("field", EDGES)
def test_what_lies_on_the_edge_is_taken_and_what_lies_beyond_is_not(desk, app, field):
    def change(value):
        part, _, name = field.partition(".")
        whole = {"restore_bounds": {"x": 1, "y": 1, "width": 9, "height": 9}} | window(app)
        return {part: {**whole[part], name: value} if name else value}

    for value in EDGES[field][0]:
        answer = desk.move(app, **change(value))
        assert answer.status == 200, (field, value, answer)
    settled = desk.app(app["id"])
    for value in EDGES[field][1]:
        answer = desk.move(app, **change(value))
        assert (answer.status, answer.error["detail"]) == (422, {"field": field}), (value, answer)
    assert desk.app(app["id"]) == settled


WRONG = {
    "nothing": ({}, "body"),
    "no position": ({"position": None}, "position"),
    "a list as a position": ({"position": [1, 2]}, "position"),
    "text as a size": ({"size": "large"}, "size"),
    "half a size": ({"size": {"width": 9}}, "size"),
    "an unknown state": ({"state": "gone"}, "state"),
    "a state in capitals": ({"state": "Normal"}, "state"),
    "a number as a state": ({"state": 1}, "state"),
    "an unknown snap": ({"state": "snapped", "snap": "top"}, "snap"),
    "snapped to nothing": ({"state": "snapped"}, "snap"),
    "coming back as minimized": ({"state": "minimized", "restore_state": "minimized"}, "restore_state"),
    "coming back snapped to nothing": ({"state": "minimized", "restore_state": "snapped"}, "snap"),
    "a list as bounds": ({"restore_bounds": [1, 1, 9, 9]}, "restore_bounds"),
    "a negative version": ({"version": -1}, "version"),
    "text as a version": ({"version": "1"}, "version"),
    "a number as the window": ({"window_id": 1}, "window_id"),
    "no window": ({"window_id": None}, "window_id"),
}


@pytest.mark.parametrize("change, field", WRONG.values(), ids=WRONG.keys())
def test_a_window_change_that_makes_no_sense_names_the_field(desk, app, change, field):
    body = window(app, **change) if change else {}
    error = desk.refused(422, "POST", f"/apps/{app['id']}/window", body)
    assert error["detail"] == {"field": field}, error
    unchanged(desk, app)


BODIES = {
    "nothing": (b"", 400),
    "a space": (b" ", 400),
    "half an object": (b'{"window_id":', 400),
    "two objects": (b"{}{}", 422),
    "a list": (b"[]", 422),
    "a number": (b"1", 422),
    "null": (b"null", 422),
    "no UTF-8": (b'{"window_id":"\xff\xfe"}', 400),
    "UTF-16": ('{"window_id":"x"}'.encode("utf-16"), 400),
    "a byte order mark": (b"\xef\xbb\xbf{}", 400),
    "a NUL": (b'{"window_id":"a\x00b"}', 400),
    "an escaped NUL": (b'{"window_id":"a\\u0000b"}', 422),
    "half a surrogate pair": (b'{"window_id":"\\ud800"}', 422),
    "a comment": (b"{/* */}", 400),
    "a trailing comma": (b'{"window_id":"x",}', 400),
    "a form": (b"window_id=x&position=1", 400),
    "a key twice": (b'{"window_id":"x","window_id":"y"}', 422),
    "10,000 levels": (b"[" * 10_000 + b"]" * 10_000, 422),
    "10,000 levels in a field": (b'{"position":' + b'{"x":' * 10_000 + b"1" + b"}" * 10_001, 422),
    "10,000 levels in an unknown field": (b'{"more":' + b"[" * 10_000 + b"]" * 10_000 + b"}", 422),
    "10,000 open brackets": (b"[" * 10_000, 422),
    "100,000 fields": (b"{" + b",".join(b'"f%d":0' % number for number in range(60_000)) + b"}", 422),
    "too much": (b'{"window_id":"' + b"x" * JSON_BYTES + b'"}', 413),
    "far too much": (b" " * (16 * JSON_BYTES), 413),
}


@pytest.mark.parametrize("body, status", BODIES.values(), ids=BODIES.keys())
def test_a_body_that_is_none_is_told_so(desk, app, body, status):
    error = desk.refused(status, "POST", f"/apps/{app['id']}/window", body)
    assert error["code"] == {400: "malformed", 413: "too_large", 422: "invalid"}[status]
    unchanged(desk, app)


def test_what_says_it_is_huge_is_not_waited_for(desk, app):
    """The length is believed before the body comes; a gigabyte is never sent."""
    error = desk.refused(413, "POST", f"/apps/{app['id']}/window", b"{}", {"content-length": str(1 << 30)})
    assert error["code"] == "too_large"


def test_what_is_too_much_piece_by_piece_is_told_so_too(desk, app):
    """Without a length said before, and all of it sent before the answer is looked at."""
    connection = http.client.HTTPConnection(desk.server.host, desk.server.port, timeout=DEADLINE_S)
    pieces = (b" " * 65_536 for _ in range(4 * JSON_BYTES // 65_536))
    connection.request("POST", f"/apps/{app['id']}/window", pieces, desk.headers, encode_chunked=True)
    response = connection.getresponse()
    assert response.status == 413 and json.load(response)["error"]["code"] == "too_large"
    connection.close()
    unchanged(desk, app)


def test_unknown_fields_are_not_minded(desk, app):
    assert desk.move(app, colour="red", more={"deep": [1, {"x": None}]}).status == 200


def test_a_stale_version_is_told_what_there_is_now(desk, app):
    assert desk.move(app, position={"x": 1, "y": 1}, version=app["version"]).json["version"] == app["version"] + 1
    for version in (app["version"], app["version"] + 2, 0, 2**64 - 1):
        answer = desk.move(app, position={"x": 2, "y": 2}, version=version)
        assert (answer.status, answer.error["code"]) == (409, "stale_version")
        assert answer.error["detail"]["current"] == desk.app(app["id"])
    assert desk.app(app["id"])["window_pos"] == {"x": 1, "y": 1}


# What other programs find hard to read must not stand in the way of the app's own window.
HARD_STATES = ['"\\ud800"', "1e999", "-0.0", '"\\u0000"', '{"a":1,"a":2}', '{"":""}', "[" * 64 + "]" * 64, "123456789012345678901234567890"]


@pytest.mark.parametrize("state", HARD_STATES)
def test_a_state_is_given_back_to_the_letter(desk, app, state):
    assert desk.ask("PUT", f"/apps/{app['id']}/state", state).status == 200
    kept = f'"state":{state},"state_version"'.encode()
    assert kept in desk.ask("GET", "/apps").body
    answer = desk.move(app, version=app["version"] + 9)
    assert answer.status == 409 and kept in answer.body
    assert kept in desk.ask("GET", f"/apps/{app['id']}").body
    session = desk.save("with a hard state")
    assert kept in desk.ask("GET", f"/sessions/{session['id']}").body
    restored = desk.ask("POST", f"/sessions/{session['id']}/restore")
    assert restored.status == 200 and kept in restored.body
    assert desk.ask("POST", f"/apps/{app['id']}/focus").status == 200


@pytest.mark.parametrize(
    "state, status",
    [("", 400), ("nope", 400), ("NaN", 422), ("{", 400), (b'"\xff"', 400), ("1 2", 400), ("[" * 65 + "]" * 65, 422)]
    + [("[" * 10_000 + "]" * 10_000, 422), ('{"a":' * 10_000, 400)],
)
def test_a_state_that_is_no_json_is_not_kept(desk, app, state, status):
    desk.refused(status, "PUT", f"/apps/{app['id']}/state", state)
    unchanged(desk, app)


def test_a_state_may_be_as_long_as_it_says_and_no_longer(desk, app):
    path = f"/apps/{app['id']}/state"
    for length, status in ((STATE_BYTES - 1, 200), (STATE_BYTES, 200), (STATE_BYTES + 1, 413), (2 * STATE_BYTES, 413)):
        text = "x" * (length - 2)
        answer = desk.ask("PUT", path, f'"{text}"')
        assert answer.status == status, length
    assert len(desk.app(app["id"])["state"]) == STATE_BYTES - 2, "the last that was taken"


def test_a_stale_state_is_told_what_there_is_now(desk, app):
    path = f"/apps/{app['id']}/state"
    assert desk.done("PUT", f"{path}?version={app['state_version']}", "1")["version"] == app["state_version"] + 1
    error = desk.refused(409, "PUT", f"{path}?version={app['state_version']}", "2")
    assert error["detail"]["current"]["state"] == 1
    for version in ("-1", "x", "1.0", "", str(2**64), "1&version=2"):
        assert desk.refused(422, "PUT", f"{path}?version={version}", "3")["detail"] == {"field": "version"}
    assert desk.app(app["id"])["state"] == 1


@pytest.mark.parametrize("what", ["window", "state"])
def test_of_two_who_change_the_same_version_exactly_one_wins(desktop, desk, app, what):
    version, barrier = {"window": app["version"], "state": app["state_version"]}[what], threading.Barrier(2)
    for turn in range(50):
        answers = {}

        def change(who):
            mine = Desk(desktop)
            barrier.wait(DEADLINE_S)
            if what == "window":
                answers[who] = mine.move(app, position={"x": turn, "y": who}, version=version)
            else:
                answers[who] = mine.ask("PUT", f"/apps/{app['id']}/state?version={version}", {"turn": turn, "who": who})

        racers = [threading.Thread(target=change, args=(who,)) for who in (1, 2)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join(DEADLINE_S)
        won, lost = sorted(answers, key=lambda who: answers[who].status)
        assert (answers[won].status, answers[lost].status) == (200, 409), answers
        version += 1
        assert answers[won].json["version"] == version
        now, current = desk.app(app["id"]), answers[lost].error["detail"]["current"]
        assert current == now
        assert (now["window_pos"] if what == "window" else now["state"]) == (
            {"x": turn, "y": won} if what == "window" else {"turn": turn, "who": won}
        )


IDS = ["nothing", "0", "..", "%2e%2e", "%00", "%ff", "a" * 5000, "'--", "\u202e".encode().hex(), "%F0%9F%A6%80", "current%2f..", "%20"]


@pytest.mark.parametrize("id", IDS)
def test_what_is_not_there_is_not_found(desk, app, id):
    before = desk.state()
    body = window(app)
    for method, path, sent in [
        ("GET", f"/apps/{id}", None),
        ("DELETE", f"/apps/{id}", None),
        ("POST", f"/apps/{id}/focus", None),
        ("POST", f"/apps/{id}/restart", None),
        ("POST", f"/apps/{id}/window", body),
        ("PUT", f"/apps/{id}/state", {}),
        ("GET", f"/sessions/{id}", None),
        ("DELETE", f"/sessions/{id}", None),
        ("POST", f"/sessions/{id}/restore", None),
        ("GET", f"/registry/apps/{id}", None),
        ("DELETE", f"/registry/apps/{id}", None),
        ("POST", f"/registry/apps/{id}/launch", None),
    ]:
        error = desk.refused(404, method, path, sent)
        assert error["code"] == "not_found" and len(error["message"]) < 300, "what was asked is not repeated at length"
    assert desk.state() == before


def test_a_window_of_another_app_is_not_the_apps(desk, app):
    other = desk.launch()
    error = desk.refused(404, "POST", f"/apps/{app['id']}/window", window(other))
    assert error["code"] == "not_found"
    unchanged(desk, app)


@pytest.mark.parametrize("parent", ["nothing", "", "a" * 3000])
def test_an_app_of_a_parent_that_is_not_there_does_not_start(desk, parent):
    before = desk.processes()
    desk.refused(404, "POST", "/registry/apps/notes/launch", {"parent_id": parent})
    assert desk.apps() == [] and desk.processes() == before


@pytest.mark.parametrize("body, status", [("[]", 422), ("1", 422), ("{", 400), ('{"parent_id":1}', 422), ("x" * 20_000, 413)])
def test_a_launch_that_makes_no_sense_starts_nothing(desk, body, status):
    before = desk.processes()
    desk.refused(status, "POST", "/registry/apps/notes/launch", body)
    assert desk.apps() == [] and desk.processes() == before


NO_NAMES = {
    "empty": "",
    "blank": "   ",
    "a tab": "\t",
    "wide blanks": "\u3000\u2003\u00a0",
    "nothing to see": "\u200b\u2060\ufeff",
    "101 characters": "x" * 101,
    "10,000 characters": "x" * 10_000,
    "NUL": "a\x00b",
    "a line break": "a\nb",
    "an escape": "a\x1b[31mb",
    "a C1 control": "a\x9bb",
    "a number": 7,
    "null": None,
    "a list": ["monday"],
}


@pytest.mark.parametrize("name", NO_NAMES.values(), ids=NO_NAMES.keys())
def test_a_session_name_that_is_none_is_refused(desk, name):
    error = desk.refused(422, "POST", "/sessions", {"name": name})
    assert error["detail"] == {"field": "name"}
    assert [session["id"] for session in desk.done("GET", "/sessions")["sessions"]] == ["current"]


@pytest.mark.parametrize(
    "name",
    [
        "x",
        "x" * 100,
        "\u05e9\u05dc\u05d5\u05dd",
        "\u0645\u0631\u062d\u0628\u0627 monday",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea",
        "<script>alert(1)</script>",
        "'; DROP TABLE sessions; --",
        "../../etc/passwd",
        "a%00b",
        "\u00e9",
        "e\u0301",
    ],
)
def test_a_session_may_have_any_name_that_people_can_read(desk, name):
    saved = desk.save(name)
    assert saved["name"] == name
    assert desk.done("GET", f"/sessions/{saved['id']}")["name"] == name
    assert desk.refused(409, "POST", "/sessions", {"name": name})["detail"] == {"id": saved["id"]}


def test_blanks_around_a_name_are_not_part_of_it(desk):
    saved = desk.save("  monday \u3000")
    assert saved["name"] == "monday"
    assert desk.refused(409, "POST", "/sessions", {"name": "monday "})["code"] == "duplicate"


def test_a_name_that_is_taken_is_saved_over_only_if_that_is_said(desk, app):
    first = desk.save("monday")
    desk.launch()
    error = desk.refused(409, "POST", "/sessions", {"name": "monday"})
    assert (error["code"], error["detail"]) == ("duplicate", {"id": first["id"]})
    assert len(desk.done("GET", f"/sessions/{first['id']}")["apps"]) == 1
    again = desk.save("monday", replace=True)
    assert (again["id"], again["created_us"], again["apps"]) == (first["id"], first["created_us"], 2)
    assert again["updated_us"] >= first["updated_us"]


@pytest.mark.parametrize("name", ["current", "previous", "CURRENT", " Previous "])
def test_the_servers_own_names_are_not_given_away(desk, name):
    for how in ({}, {"replace": True}):
        assert desk.refused(409, "POST", "/sessions", {"name": name} | how)["code"] == "built_in"


def test_the_desktop_itself_is_no_session_to_forget(desk, app):
    assert desk.refused(409, "DELETE", "/sessions/current")["code"] == "built_in"
    assert desk.restore("current")["apps"] == desk.apps(), "to restore what is there changes nothing"
    assert [geometry(one) for one in desk.done("GET", "/sessions/current")["apps"]] == [geometry(desk.app(app["id"]))]


@pytest.mark.parametrize("client", ["", "x" * 65, "\u00e9", "a,b", "x" * 64])
def test_a_tab_may_call_itself_anything(desk, app, client):
    answer = desk.ask("POST", f"/apps/{app['id']}/focus", headers={"x-uos-client": client.encode()})
    assert answer.status == 200
