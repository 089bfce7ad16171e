"""The routes as the committed description tells them, and a good request for each.

Tests that hold for every route take them from here, so that a new route can't be forgotten: one whose path can't be filled
in makes them fail until this file says how.
"""

import json
import pathlib
import uuid

from asking import Asking

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "openapi.json"
API = json.loads(DOCUMENT.read_text())

# The one route whose good request is no plain request.
UPGRADE = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13", "sec-websocket-key": "x" * 22 + "=="}


class Route:
    """One method of one path."""

    def __init__(self, path, method, operation):
        self.path, self.method, self.operation = path, method.upper(), operation
        self.name = f"{self.method} {path}"
        security = operation.get("security", API["security"])
        self.schemes = {scheme for way in security for scheme in way}

    @property
    def is_open(self):
        """Whether anybody may ask."""
        return not self.schemes

    @property
    def is_for_processes(self):
        return "process" in self.schemes

    def __repr__(self):
        return self.name


ROUTES = [
    Route(path, method, operation) for path, methods in API["paths"].items() for method, operation in methods.items()
]
assert len(ROUTES) > 25, "the description lists no routes"


# Where the lists of things are.
KINDS = ("registry/apps", "apps", "sessions")


class Things:
    """An app, a session, a manifest and a call that waits, all there, for requests that would change them."""

    def __init__(self, desk):
        self.desk = desk
        self.manifest = self.app = self.session = self.request = None
        self.renew()

    def renew(self):
        """Makes those that are not there, or not any more."""
        there = {name: {one["id"] for one in self.desk.done("GET", f"/{name}")[name.split("/")[-1]]} for name in KINDS}
        if self.manifest is None or self.manifest["id"] not in there["registry/apps"]:
            self.manifest = self.desk.add(f"thing-{uuid.uuid4().hex[:8]}")
        if self.app is None or self.app["id"] not in there["apps"]:
            self.app = self.desk.launch()
        if self.session is None or self.session["id"] not in there["sessions"]:
            self.session = self.desk.save(f"thing {uuid.uuid4().hex}")
        if self.desk.asking is None:
            self.desk.asking = Asking(self.desk.server)
        # Each of another file, since what is allowed for good is not asked for again.
        waiting = self.desk.asking.requests(self.desk)
        self.request = waiting[0] if waiting else self.desk.asking.write(self.desk, f"/home/thing-{uuid.uuid4().hex}")

    def id(self, path):
        """The id of the thing that a path is about."""
        things = {"apps": self.app, "sessions": self.session, "registry": self.manifest, "requests": self.request}
        kind = path.split("/")[1]
        assert kind in things, f"{path}: tests/foreign/routes.py does not know whose id this is"
        return things[kind]["id"]

    def url(self, route):
        """The path with everything filled in."""
        path = route.path.replace("{id}", str(self.id(route.path))) if "{id}" in route.path else route.path
        path = path.replace("/files/{path}", "/files/home/thing")
        assert "{" not in path, f"{route}: tests/foreign/routes.py does not know what to fill in"
        return path

    def body(self, route):
        """A body that would be taken."""
        if "requestBody" not in route.operation:
            return None
        window = {"x": 5, "y": 6}, {"width": 300, "height": 200}
        bodies = {
            "apps_window": {"window_id": self.app["window_id"], "position": window[0], "size": window[1]},
            "apps_state": {"text": "changed"},
            "registry_put": {"title": "changed", "ui_spec": {"version": 1, "view": {}}},
            "registry_launch": {},
            "sessions_save": {"name": f"changed {uuid.uuid4().hex}"},
            "files_upload": "changed",
            "requests_answer": {"answer": "once"},
        }
        name = route.operation["operationId"]
        assert name in bodies, f"{route}: tests/foreign/routes.py does not know a body for it"
        return bodies[name]
