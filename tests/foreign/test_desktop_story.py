"""The desktop as a person has it: opened, arranged, saved, closed, restored, and there again after the server stopped."""

import os

import pytest

from desk import Desk, becomes_true, geometry
from feed import Feed
from server import Server


@pytest.fixture
def admin(desktop):
    client = desktop.client()
    yield client
    client.close()


def arrange(desk):
    """Four windows: one snapped, one minimised, a note half written with a child, Files somewhere else."""
    files, notes, monitor = desk.launch("files"), desk.launch("notes"), desk.launch("monitor")
    child = desk.launch("notes", parent_id=notes["id"])
    half = {"position": {"x": 0, "y": 0}, "size": {"width": 640, "height": 720}}
    whole = {"x": 100, "y": 90, "width": 500, "height": 400}
    for answer in (
        desk.move(files, **half, state="snapped", snap="left", restore_bounds=whole),
        desk.ask("PUT", f"/apps/{files['id']}/state", {"path": "/home/files/trip"}),
        desk.move(monitor, state="minimized", workspace=2),
        desk.move(notes, position={"x": -20, "y": 333}, size={"width": 401, "height": 299}),
        desk.ask("PUT", f"/apps/{notes['id']}/state", {"text": "half a sen", "caret": 10}),
        desk.move(child, state="maximized"),
        desk.ask("POST", f"/apps/{files['id']}/focus"),
    ):
        assert answer.status == 200, answer
    return files, notes, monitor, child


def picture(apps):
    """What a person would see, and in which order."""
    return [(app["id"], geometry(app)) for app in apps]


def alive(admin, app):
    process = admin.call_on("GetProcessInfo", app["pid"]).process
    return process.state == 1 and process.name == app["manifest_id"]


def runs(os_pid):
    """Whether the host has this process."""
    try:
        os.kill(os_pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_desktop_is_saved_closed_and_restored(desk, admin):
    files, notes, monitor, child = arrange(desk)
    before = desk.apps()
    assert [app["id"] for app in before][-1] == files["id"], "what has the focus is at the front"
    assert len({app["z"] for app in before}) == 4
    monday = desk.save("monday")
    assert (monday["name"], monday["apps"], monday["automatic"]) == ("monday", 4, False)

    closed = desk.done("DELETE", f"/apps/{notes['id']}")["closed"]
    assert closed == [child["id"], notes["id"]]
    for app in (files, monitor):
        desk.done("DELETE", f"/apps/{app['id']}")
    assert desk.apps() == []
    for app in before:
        assert not alive(admin, app), "its process is gone with it"

    restored = desk.restore(monday["id"])
    assert restored["failed"] == []
    assert picture(restored["apps"]) == picture(before) == picture(desk.apps())
    assert restored["apps"] == desk.apps()
    assert all(alive(admin, app) for app in desk.apps())
    assert {app["pid"] for app in desk.apps()}.isdisjoint({app["pid"] for app in before}), "processes are new"
    assert picture(desk.done("GET", f"/sessions/{monday['id']}")["apps"]) == picture(before), "and it is still saved"


def test_a_restore_can_be_taken_back(desk, admin):
    arrange(desk)
    monday = desk.save("monday")
    desk.restore(monday["id"])
    other = desk.launch("notes")
    desk.ask("PUT", f"/apps/{other['id']}/state", {"text": "written on tuesday"})
    desk.done("DELETE", f"/apps/{desk.apps()[0]['id']}")
    tuesday = desk.apps()
    desk.restore(monday["id"])
    assert picture(desk.apps()) != picture(tuesday)
    assert desk.restore("previous")["failed"] == []
    assert picture(desk.apps()) == picture(tuesday)
    assert all(alive(admin, app) for app in desk.apps())
    # And that too can be taken back.
    desk.restore("previous")
    assert picture(desk.apps()) == picture(desk.done("GET", f"/sessions/{monday['id']}")["apps"])


def test_who_still_shows_the_old_desktop_is_told_after_a_restore(desk):
    files, *_ = arrange(desk)
    stale = desk.app(files["id"])
    monday = desk.save("monday")
    desk.restore(monday["id"])
    answer = desk.move(stale, position={"x": 1, "y": 1}, version=stale["version"])
    assert (answer.status, answer.error["code"]) == (409, "stale_version"), "versions only grow"


def test_closing_an_app_closes_what_belongs_to_it_and_ends_the_processes(desktop, desk, admin):
    before = desk.processes()
    desk.add("spawner", grants=["proc.spawn:/usr/bin/*"])
    parent, other = desk.launch("spawner"), desk.launch("notes")
    child = desk.launch("spawner", parent_id=parent["id"])
    grandchild = desk.launch("notes", parent_id=child["id"])
    # A real program that an app has started.
    program = admin.call(
        "SpawnProcess", pid=child["pid"], program="/usr/bin/sleep", args=["600"], level="SANDBOX_LEVEL_PRIVILEGED"
    )
    assert runs(program.os_pid)
    closed = desk.done("DELETE", f"/apps/{parent['id']}")["closed"]
    assert closed == [grandchild["id"], child["id"], parent["id"]]
    assert [app["id"] for app in desk.apps()] == [other["id"]]
    assert becomes_true(lambda: not runs(program.os_pid))
    assert becomes_true(lambda: desk.processes() == before + 1) and alive(admin, other)


def test_an_app_whose_process_has_ended_says_so_and_is_restarted(desktop, desk, admin):
    files, *_ = arrange(desk)
    before = desk.app(files["id"])
    admin.call_on("KillProcess", before["pid"], tree=True)
    # It is told by an event too; here the next look is what counts, and it may come before the note is made.
    with Feed(desktop) as feed:
        feed.next()
        if desk.app(files["id"])["pid"] is not None:
            feed.until(lambda event: event.get("id") == files["id"] and event["app"]["pid"] is None)
    dead = desk.app(files["id"])
    assert dead == {**before, "pid": None}, "the window stays as it is"

    again = desk.done("POST", f"/apps/{files['id']}/restart")
    assert picture([again]) == picture([before])
    assert again["pid"] != before["pid"] and alive(admin, again)
    assert again["grants"] == before["grants"]
    assert desk.done("POST", f"/apps/{files['id']}/restart")["pid"] == again["pid"], "one that runs is left alone"


def test_windows_are_raised_in_turn(desk):
    apps = [desk.launch("notes") for _ in range(4)]

    def order():
        return [app["id"] for app in desk.apps()]

    assert order() == [app["id"] for app in apps]
    for app in (apps[1], apps[0], apps[3], apps[3]):
        focused = desk.done("POST", f"/apps/{app['id']}/focus")
        assert order()[-1] == app["id"] and focused["z"] == desk.app(app["id"])["z"]
    assert order() == [apps[index]["id"] for index in (2, 1, 0, 3)]
    desk.move(apps[2], state="minimized")
    raised = desk.done("POST", f"/apps/{apps[2]['id']}/focus")
    assert desk.app(apps[2]["id"])["window_state"] == "normal" and order()[-1] == apps[2]["id"]
    assert raised["version"] == desk.app(apps[2]["id"])["version"]


def test_a_minimised_window_comes_back_as_it_was(desk):
    app = desk.launch("notes")
    bounds = {"x": 10, "y": 20, "width": 300, "height": 200}
    desk.move(app, state="snapped", snap="top_right", restore_bounds=bounds)
    desk.move(app, state="minimized")
    hidden = desk.app(app["id"])
    assert (hidden["window_state"], hidden["restore_state"], hidden["snap"]) == ("minimized", "snapped", "top_right")
    desk.done("POST", f"/apps/{app['id']}/focus")
    shown = desk.app(app["id"])
    assert (shown["window_state"], shown["snap"], shown["restore_bounds"]) == ("snapped", "top_right", bounds)
    desk.move(app, state="normal", position={"x": 1, "y": 2}, size={"width": 3, "height": 4})
    free = desk.app(app["id"])
    assert free["snap"] is None and free["restore_bounds"] == {"x": 1, "y": 2, "width": 3, "height": 4}


def test_everything_is_there_after_the_server_has_stopped(tmp_path):
    first = Server(tmp_path / "data")
    desk = Desk(first)
    arrange(desk)
    monday = desk.save("monday")
    desk.launch("hub")
    desk.add("mine", description="added", grants=["fs.read:/home/**"])
    before = desk.apps(), desk.state()
    first.stop()

    second = Server(tmp_path / "data")
    try:
        again, admin = Desk(second), second.client()
        apps = again.apps()
        assert picture(apps) == picture(before[0])
        assert [app["version"] for app in apps] == [app["version"] for app in before[0]]
        assert all(alive(admin, app) for app in apps), "each has a process, a new one"
        assert again.state()[1:] == before[1][1:], "sessions and registry"
        assert again.done("GET", "/system")["epoch"] != ""
        admin.close()
        # And it goes on from there.
        assert again.move(apps[0], position={"x": 5, "y": 5}, version=apps[0]["version"]).status == 200
        assert len(again.restore(monday["id"])["apps"]) == 4
        again.launch("mine")
    finally:
        second.stop()


def test_what_is_restored_after_the_manifest_is_gone_is_restored_all_the_same(desk, admin):
    """A running app is a copy of its manifest, and so is one that is saved."""
    desk.add("mine", grants=["fs.read:/home/**"], description="soon gone")
    app = desk.launch("mine")
    saved = desk.save("with mine")
    desk.done("DELETE", f"/apps/{app['id']}")
    desk.done("DELETE", "/registry/apps/mine")
    restored = desk.restore(saved["id"])
    assert restored["failed"] == [] and picture(restored["apps"]) == picture([app])
    assert restored["apps"][0]["grants"] == ["fs.read:/home/**"] and alive(admin, restored["apps"][0])
