"""As many as may be, and not one more: the answer says what is full, nothing is half done, and room that is made is there."""

import concurrent.futures
import itertools

from desk import Desk, becomes_true

APPS, SESSIONS, MANIFESTS = 256, 1_000, 1_024


def fill(one, most):
    """Does `one` with a new number, many at a time, until it is refused; gives the successes and the refusals."""
    done, refused = [], []
    numbers = itertools.count()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        while not refused:
            assert len(done) <= most, "there is no end to it"
            for answer in pool.map(lambda _: one(next(numbers)), range(64)):
                (done if answer.status < 300 else refused).append(answer)
    return done, refused


def full(answers, what, most):
    for answer in answers:
        assert (answer.status, answer.error["code"]) == (409, "limit"), answer
        assert answer.error["detail"] == {"limit": what, "max": most}


def test_so_many_apps_run_and_no_more(desktop, desk):
    empty, before = desk.save("empty"), desk.processes()
    done, refused = fill(lambda _: Desk(desktop).ask("POST", "/registry/apps/notes/launch"), APPS)
    assert len(done) == APPS == len(desk.apps())
    full(refused, "apps", APPS)
    assert becomes_true(lambda: desk.processes() == before + APPS), "those that were refused left no process"

    # A desktop that is full is saved, restored and changed like any other.
    everything = desk.save("full")
    assert everything["apps"] == APPS
    desk.done("DELETE", f"/apps/{done[0].json['id']}")
    new = desk.launch()
    full([desk.ask("POST", "/registry/apps/notes/launch")], "apps", APPS)
    assert desk.move(new, position={"x": 3, "y": 4}).status == 200
    assert desk.restore(everything["id"])["failed"] == []
    assert {app["id"] for app in desk.apps()} == {answer.json["id"] for answer in done}
    assert becomes_true(lambda: desk.processes() == before + APPS)
    assert desk.restore(empty["id"])["apps"] == [] == desk.apps()
    assert becomes_true(lambda: desk.processes() == before)
    desk.launch()


def test_of_a_lone_app_there_is_one_even_if_many_ask(desktop, desk):
    before = desk.processes()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        launched = list(pool.map(lambda _: Desk(desktop).launch("hub"), range(64)))
    (only,) = desk.apps()
    assert {app["id"] for app in launched} == {only["id"]}
    assert becomes_true(lambda: desk.processes() == before + 1)


def test_so_many_sessions_are_kept_and_no_more(desktop, desk):
    done, refused = fill(lambda n: Desk(desktop).ask("POST", "/sessions", {"name": f"session {n}"}), SESSIONS)
    assert len(done) == SESSIONS
    full(refused, "sessions", SESSIONS)
    ids = [session["id"] for session in desk.done("GET", "/sessions")["sessions"]]
    assert ids[0] == "current" and sorted(ids[1:]) == sorted(answer.json["id"] for answer in done)
    # To save over one needs no room, and what a restore keeps has its own.
    desk.save(done[0].json["name"], replace=True)
    desk.restore(done[0].json["id"])
    assert desk.done("GET", "/sessions/previous")["automatic"]
    desk.done("DELETE", "/sessions/previous")
    desk.done("DELETE", f"/sessions/{done[1].json['id']}")
    desk.save("one more")
    full([desk.ask("POST", "/sessions", {"name": "one too many"})], "sessions", SESSIONS)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda one: Desk(desktop).ask("DELETE", f"/sessions/{one.json['id']}"), done))


def test_so_many_apps_can_be_added_and_no_more(desktop, desk):
    manifest = {"title": "one of many", "ui_spec": {"version": 1, "view": {}}}
    built_in = len(desk.done("GET", "/registry/apps")["apps"])
    done, refused = fill(lambda n: Desk(desktop).ask("PUT", f"/registry/apps/app{n}", manifest), MANIFESTS)
    assert len(done) == MANIFESTS - built_in
    full(refused, "manifests", MANIFESTS)
    ids = [answer.json["id"] for answer in done]
    assert desk.ask("PUT", f"/registry/apps/{ids[0]}", manifest | {"title": "changed"}).status == 200
    desk.done("DELETE", f"/registry/apps/{ids[0]}")
    assert desk.ask("PUT", "/registry/apps/one-more", manifest).status == 201
    full([desk.ask("PUT", "/registry/apps/one-too-many", manifest)], "manifests", MANIFESTS)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda id: Desk(desktop).ask("DELETE", f"/registry/apps/{id}"), ids))


def test_a_long_line_of_children_closes_as_one(desk):
    before, parent, line = desk.processes(), None, []
    for _ in range(200):
        app = desk.launch(**({} if parent is None else {"parent_id": parent}))
        line.append(app["id"])
        parent = app["id"]
    closed = desk.done("DELETE", f"/apps/{line[0]}")["closed"]
    assert closed == line[::-1], "the youngest first"
    assert desk.apps() == [] and becomes_true(lambda: desk.processes() == before)
