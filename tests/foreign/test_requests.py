"""Calls that wait for a right: seen, answered and told about over HTTP, as a program or a person would."""

import base64

import pytest

from asking import Asking
from client import Refused
from desk import Desk, bearer
from feed import Feed


@pytest.fixture
def asking(desktop):
    made = []

    def make(*grants):
        made.append(Asking(desktop, *grants))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_the_request_shows_the_exact_arguments_and_the_answer_lets_the_call_go_on(desktop, desk, asking):
    asker = asking()
    with Feed(desktop) as feed:
        request = asker.write(desk, "/home/once", b"\x00data")
        shown = {"path": "/home/once", "data": base64.b64encode(b"\x00data").decode()}
        assert request == {
            "id": request["id"],
            "pid": asker.pid,
            "name": "asker",
            "call": "WriteFile",
            "right": "fs.write:/home/once",
            "arguments": shown,
            "abridged": False,
        }
        assert desk.ask("POST", f"/requests/{request['id']}", {"answer": "once"}).status == 204
        asker.result()
        events = feed.until(lambda event: event["type"] == "right_settled")
        told = next(event for event in events if event["type"] == "right_requested")
        assert {name: told[name] for name in request} == request
        assert (events[-1]["id"], events[-1]["outcome"], events[-1]["by"]) == (request["id"], "once", 1)
    desk.refused(404, "POST", f"/requests/{request['id']}", {"answer": "once"})
    assert asker.requests(desk) == []


def test_what_is_denied_is_refused_and_what_is_always_allowed_is_held(desk, asking):
    asker = asking()
    request = asker.write(desk, "/home/denied")
    desk.done("POST", f"/requests/{request['id']}", {"answer": "deny"})
    with pytest.raises(Refused) as refused:
        asker.result()
    assert (refused.value.error.name, refused.value.error.right) == ("EACCES", "fs.write:/home/denied")
    assert "denied" in refused.value.error.message
    request = asker.write(desk, "/home/always")
    desk.done("POST", f"/requests/{request['id']}", {"answer": "always"})
    asker.result()
    asker.client.call("WriteFile", path="/home/always", data=b"again")
    assert "fs.write:/home/always" in asker.client.call("GetGrants").grants


def test_long_payloads_are_shown_in_part_and_written_whole(desktop, desk, asking):
    asker = asking("ask:fs.write:/home/**", "fs.read:/home/long")
    data = bytes(range(256)) * 2_000
    request = asker.write(desk, "/home/long", data)
    shown = request["arguments"]["data"]
    assert request["abridged"] and shown.endswith("…") and len(shown) < 5_000
    assert base64.b64encode(data).decode().startswith(shown[:-1])
    desk.done("POST", f"/requests/{request['id']}", {"answer": "once"})
    asker.result()
    assert asker.client.call("ReadFile", path="/home/long").data == data


def test_nobody_answers_themselves_nor_hears_of_others(desktop, desk, asking):
    asker, stranger = asking(), asking("fs.write:/home/**")
    request = asker.write(desk)
    answer = f"/requests/{request['id']}"
    for other in (asker, stranger):
        own = Desk(desktop, bearer(other.token))
        assert own.done("GET", "/requests") == {"requests": []}
        assert own.refused(404, "POST", answer, {"answer": "always"})["detail"]["name"] == "ENOENT"
    # Who may control processes may answer, but gives nothing that it doesn't hold.
    steward = Desk(desktop, bearer(asking("proc.control").token))
    assert [one["id"] for one in steward.done("GET", "/requests")["requests"]] == [request["id"]]
    assert steward.refused(403, "POST", answer, {"answer": "once"})["detail"]["right"] == request["right"]
    reader = asking("fs.read:/home/**")
    with Feed(desktop, headers=bearer(reader.token)) as feed:
        assert feed.next()["type"] == "hello"
        steward.done("POST", answer, {"answer": "deny"})
        with pytest.raises(Refused):
            asker.result()
        stranger.client.call("WriteFile", path="/home/heard", data=b"")
        # A file that may be read is the first thing that is heard of since: nothing of the request.
        assert feed.next()["path"] == "/home/heard"
    assert asker.requests(desk) == []


@pytest.mark.parametrize(
    "body", ["", "once", {}, {"answer": "yes"}, {"answer": None}, {"answer": ["once"]}, [], '{"answer": "once"', "\x00"]
)
def test_an_answer_that_makes_no_sense_leaves_the_call_waiting(desk, asking, body):
    asker = asking()
    request = asker.write(desk)
    assert desk.ask("POST", f"/requests/{request['id']}", body).status in (400, 422)
    assert [one["id"] for one in asker.requests(desk)] == [request["id"]]
    for id in ("0", "-1", "x", str(2**64), str(request["id"] + 1), "%00"):
        assert desk.refused(404, "POST", f"/requests/{id}", {"answer": "once"})["code"] in ("refused", "not_found")
    desk.done("POST", f"/requests/{request['id']}", {"answer": "deny"})


def test_a_client_that_goes_away_takes_its_request_along(desktop, desk, asking):
    asker = asking()
    with Feed(desktop) as feed:
        request = asker.write(desk)
        asker.answer.cancel()
        end = feed.until(lambda event: event["type"] == "right_settled")[-1]
        assert (end["id"], end["outcome"], "by" in end) == (request["id"], "given_up", False)
    assert asker.requests(desk) == []
