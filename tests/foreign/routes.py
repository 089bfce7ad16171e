"""The routes as the committed description tells them, and a good request for each.

Tests that hold for every route take them from here, so that a new route can't be forgotten: one whose path can't be filled
in makes them fail until this file says how.
"""

import json
import pathlib
import re
import uuid

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


class Things:
    """An app, a session and a manifest that are there, for requests that would change them."""

    def __init__(self, desk):
        self.desk = desk
        self.manifest = desk.add(f"thing-{uuid.uuid4().hex[:8]}")
        self.app = desk.launch()
        self.session = desk.save(f"thing {uuid.uuid4().hex}")

    def url(self, route):
        """The path with everything filled in."""

        def fill(found):
            kind = (route.path.split("/")[1], found[1])
            known = {
                ("apps", "id"): self.app["id"],
                ("sessions", "id"): self.session["id"],
                ("registry", "id"): self.manifest["id"],
                ("files", "path"): "home/thing",
            }
            assert kind in known, f"{route}: tests/foreign/routes.py does not know what `{found[1]}` is"
            return known[kind]

        return re.sub(r"\{(\w+)\}", fill, route.path)

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
        }
        name = route.operation["operationId"]
        assert name in bodies, f"{route}: tests/foreign/routes.py does not know a body for it"
        return bodies[name]
