"""Apps as data: what a manifest may say, what it may not, and that nothing in it is ever more than data."""

import pytest

from desk import Desk, bearer

SPEC_BYTES = 64 << 10
JSON_BYTES = 1 << 20


def spec(view):
    return {"version": 1, "view": view}


def nested(levels):
    """A view that is so many levels deep."""
    view = {"type": "text", "text": "x"}
    for _ in range(levels - 1):
        view = {"child": view}
    return view


def put(desk, id="mine", /, **manifest):
    return desk.ask("PUT", f"/registry/apps/{id}", {"title": "Mine", "ui_spec": spec({})} | manifest)


WRONG = {
    "no title": ({"title": ""}, "title"),
    "a blank title": ({"title": " \u200b"}, "title"),
    "a title of 101": ({"title": "x" * 101}, "title"),
    "a title with a line break": ({"title": "a\nb"}, "title"),
    "a title with NUL": ({"title": "a\x00"}, "title"),
    "no icon": ({"icon": ""}, "icon"),
    "an icon of 65": ({"icon": "x" * 65}, "icon"),
    "a description of 1,001": ({"description": "x" * 1001}, "description"),
    "a category of 101": ({"category": "x" * 101}, "category"),
    "text as a spec": ({"ui_spec": "<script>"}, "ui_spec"),
    "a list as a spec": ({"ui_spec": []}, "ui_spec"),
    "null as a spec": ({"ui_spec": None}, "ui_spec"),
    "an empty spec": ({"ui_spec": {}}, "ui_spec"),
    "a spec without a version": ({"ui_spec": {"view": {}}}, "ui_spec"),
    "a spec without a view": ({"ui_spec": {"version": 1}}, "ui_spec"),
    "a newer spec": ({"ui_spec": {"version": 2, "view": {}}}, "ui_spec"),
    "a version as text": ({"ui_spec": {"version": "1", "view": {}}}, "ui_spec"),
    "an unknown component": ({"ui_spec": {"builtin": "x" * 10_000}}, "ui_spec"),
    "a component and a view": ({"ui_spec": {"builtin": "notes", "version": 1, "view": {}}}, "ui_spec"),
    "a spec of 33 levels": ({"ui_spec": spec(nested(32))}, "ui_spec"),
    "a spec of 120 levels": ({"ui_spec": spec(nested(120))}, "ui_spec"),
    "a spec of 10,000 nodes": ({"ui_spec": spec({"type": "list", "items": [{"type": "text", "text": "x"}] * 10_000})}, "ui_spec"),
    "an unknown service": ({"services": ["root" + "x" * 10_000]}, "services"),
    "65 services": ({"services": ["ipc"] * 65}, "grants"),
    "text as services": ({"services": "ipc"}, "services"),
    "a right without a pattern": ({"grants": ["fs.read"]}, "grants"),
    "an unknown right": ({"grants": ["root:/**" + "x" * 10_000]}, "grants"),
    "a right of nothing": ({"grants": [""]}, "grants"),
    "a path that climbs": ({"grants": ["fs.read:/home/../**"]}, "grants"),
    "a path from nowhere": ({"grants": ["fs.write:home/**"]}, "grants"),
    "a path with NUL": ({"grants": ["fs.write:/home/\x00"]}, "grants"),
    "a path of 10,000": ({"grants": ["fs.write:/" + "x" * 10_000]}, "grants"),
    "stars in the middle": ({"grants": ["fs.read:/**/etc"]}, "grants"),
    "65 rights": ({"grants": ["ipc.create"] * 65}, "grants"),
    "a number as a right": ({"grants": [7]}, "grants[0]"),
    "a list as a window": ({"window": [1, 1, 1, 1]}, "window"),
    "a window of nothing": ({"window": {"width": 0}}, "window.width"),
    "a window beyond all screens": ({"window": {"min_height": 32_768}}, "window.min_height"),
    "a word as a switch": ({"singleton": "yes"}, "singleton"),
}


@pytest.mark.parametrize("manifest, field", WRONG.values(), ids=WRONG.keys())
def test_a_manifest_that_makes_no_sense_names_the_field(desk, manifest, field):
    before = desk.state()
    answer = put(desk, **manifest)
    assert (answer.status, answer.error["detail"]) == (422, {"field": field}), answer
    assert len(answer.error["message"]) < 1_000, "what was sent is not repeated at length"
    assert desk.state() == before


@pytest.mark.parametrize("id", ["X", "a_b", "-a", "a.b", "a%2fb", "%C3%A9", "a" * 65, "%00", "%20", "a%20b", "..%2f"])
def test_an_id_is_plain(desk, id):
    answer = put(desk, id)
    assert (answer.status, answer.error["detail"]) == (422, {"field": "id"})


@pytest.mark.parametrize("id", ["a", "0", "a-b-", "a" * 64])
def test_the_path_says_the_id(desk, id):
    answer = put(desk, id, id="hub", built_in=True)
    assert (answer.status, answer.json["id"], answer.json["built_in"]) == (201, id, False)
    assert desk.done("GET", f"/registry/apps/{id}") == answer.json
    assert put(desk, id, title="Other").status == 200


@pytest.mark.parametrize(
    "body, status",
    [
        (b"", 400),
        (b'{"title":"a","title":"b","ui_spec":{"version":1,"view":{}}}', 422),
        (b'{"title":"a","ui_spec":{"version":1,"view":' + b"[" * 10_000 + b"]" * 10_000 + b"}}", 422),
        (b'{"title":"a","ui_spec":' + b'{"a":' * 10_000, 400),
        (b'{"title":"\xff","ui_spec":{"version":1,"view":{}}}', 400),
        (b'{"title":"a","ui_spec":{"version":1,"view":"' + b"x" * JSON_BYTES + b'"}}', 413),
        (b'["","a","","","",{"version":1,"view":{}}]', 422),
    ],
    ids=["nothing", "a key twice", "10,000 levels", "10,000 open", "no UTF-8", "too much", "a list in its order"],
)
def test_a_body_that_is_no_manifest_adds_nothing(desk, body, status):
    before = desk.state()
    desk.refused(status, "PUT", "/registry/apps/mine", body)
    assert desk.state() == before


def test_a_spec_may_be_as_large_as_it_says_and_no_larger(desk):
    empty = len('{"version":1,"view":""}')
    for length, status in ((SPEC_BYTES, 201), (SPEC_BYTES + 1, 422)):
        view = "x" * (length - empty)
        body = f'{{"title":"large","ui_spec":{{"version":1,"view":"{view}"}}}}'
        answer = desk.ask("PUT", f"/registry/apps/large{length}", body)
        assert answer.status == status, answer
    assert put(desk, ui_spec=spec(nested(31))).status == 201, "32 levels with the spec itself"


# What would do harm if anybody took it for more than data. The parts of a spec are judged where they are drawn.
HOSTILE = [
    {"type": "text", "text": "<script>document.title='taken'</script>"},
    {"type": "text", "text": "<img src=x onerror=alert(1)>"},
    {"type": "button", "label": "Go", "href": "javascript:alert(1)", "onclick": "alert(1)"},
    {"type": "iframe", "src": "http://evil.example"},
    {"type": "no such type", "children": [{"type": 7}, None, "x", [[]]]},
    {"type": "list", "items": [{"id": "same", "type": "text"}, {"id": "same", "type": "text"}]},
    {"id": "a", "ref": "b", "children": [{"id": "b", "ref": "a"}]},
    {"$ref": "#/view", "__proto__": {"polluted": 1}, "constructor": {"prototype": {"x": 1}}},
    {"type": "text", "text": "\u202etxt.exe\u0000\U0001f600"},
    {"type": "list", "items": [{"t": 1}] * 6_000},
]


@pytest.mark.parametrize("view", HOSTILE, ids=range(len(HOSTILE)))
def test_what_a_spec_holds_stays_data(desk, view):
    """It is kept and given back as it was sent, as JSON, and nothing on the way makes more of it."""
    added = put(desk, title="<script>alert(1)</script>", description="<b onmouseover=alert(1)>", ui_spec=spec(view))
    assert added.status == 201
    app = desk.launch("mine")
    for answer in (added, desk.ask("GET", "/registry/apps"), desk.ask("GET", "/apps"), desk.ask("GET", f"/apps/{app['id']}")):
        assert answer.headers["content-type"] == "application/json"
    assert app["ui_spec"] == spec(view) == desk.app(app["id"])["ui_spec"]
    assert app["title"] == "<script>alert(1)</script>"
    page = desk.ask("GET", "/docs").body
    assert b"<script" not in page


def test_an_app_that_runs_is_not_changed_by_a_new_manifest(desk):
    put(desk, ui_spec=spec({"text": "old"}), grants=["fs.read:/home/**"])
    app = desk.launch("mine")
    put(desk, ui_spec=spec({"text": "new"}), grants=["sys.admin"], title="New")
    assert desk.app(app["id"]) == {name: app[name] for name in app if name != "app_id"}
    newer = desk.launch("mine")
    assert (newer["ui_spec"], newer["grants"], newer["title"]) == (spec({"text": "new"}), ["sys.admin"], "New")
    desk.done("DELETE", "/registry/apps/mine")
    assert len(desk.apps()) == 2, "those that run go on"
    desk.refused(404, "POST", "/registry/apps/mine/launch")


@pytest.mark.parametrize("id", ["hub", "files", "monitor", "notes"])
def test_what_came_with_the_program_stays(desk, id):
    before = desk.done("GET", f"/registry/apps/{id}")
    assert put(desk, id).error["code"] == "built_in"
    assert desk.refused(409, "DELETE", f"/registry/apps/{id}")["code"] == "built_in"
    assert desk.done("GET", f"/registry/apps/{id}") == before


def test_an_app_has_the_rights_its_manifest_asks_for_and_no_more(desktop, desk):
    services = {service["name"]: service["grants"] for service in desk.done("GET", "/registry/services")["services"]}
    put(desk, services=["files", "system"], grants=["fs.read:/home/mine/**"])
    app = desk.launch("mine")
    own = [grant.replace("{own}", "/home/apps/mine") for grant in services["files"]]
    assert app["grants"] == [*own, *services["system"], "fs.read:/home/mine/**"]
    admin = desktop.client()
    # The operator acts as the app's process, by its pid.
    error = admin.refused("ReadFile", pid=app["pid"], path="/home/other/x")
    assert (error.name, error.right) == ("EACCES", "fs.read:/home/other/x")
    assert admin.refused("ReadFile", pid=app["pid"], path="/home/mine/x").name == "ENOENT"
    admin.call("GetSystemInfo", pid=app["pid"])
    admin.close()


def test_an_app_is_never_smaller_than_its_least_size(desk):
    put(desk, window={"width": 10, "height": 900, "min_width": 400, "min_height": 300})
    app = desk.launch("mine")
    assert app["window_size"] == {"width": 400, "height": 900}
    assert app["min_size"] == {"width": 400, "height": 300}
    assert app["restore_bounds"] == {**app["window_pos"], **app["window_size"]}


def test_a_process_adds_no_apps(desktop, desk):
    admin = desktop.client()
    _, token = admin.create_process(name="ambitious", sandbox_level="SANDBOX_LEVEL_MINIMAL", grants=["sys.admin"])
    admin.close()
    process = Desk(desktop, bearer(token))
    assert put(process, grants=["fs.write:/**"]).error["code"] == "operator_only"
