"""The desktop's HTTP routes as a plain program uses them: JSON over http.client, and nothing that hides a header."""

import http.client
import json
import re
import time

from client import DEADLINE_S


def becomes_true(holds):
    """Whether something comes to hold that happens in its own time, such as the end of a program that was killed."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


class Answer:
    """What came back. Names of headers are in small letters."""

    def __init__(self, response, body):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.cookies = response.headers.get_all("set-cookie") or []
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The error that it must be, in the one shape of errors."""
        assert self.headers["content-type"] == "application/json", (self.status, self.headers, self.body)
        answer = self.json
        assert answer.keys() == {"error"} and answer["error"].keys() == {"code", "message", "detail"}, answer
        assert answer["error"]["message"], answer
        return answer["error"]

    def __repr__(self):
        return f"{self.status} {self.body[:500]!r}"


def bearer(token):
    return {"authorization": f"Bearer {token}"}


class Desk:
    """The desktop of a server, as the operator; as somebody else with other headers."""

    def __init__(self, server, headers=None):
        self.server = server
        self.headers = bearer(server.token) if headers is None else headers
        # A process whose call waits for an answer, if a test has made one.
        self.asking = None

    def ask(self, method, path, body=None, headers=()):
        """One request on a connection of its own. A body that is neither text nor bytes is sent as JSON."""
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=DEADLINE_S)
        try:
            sent = {"content-type": "application/json"} if body is not None else {}
            connection.request(method, path, body, sent | self.headers | dict(headers))
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            connection.close()

    def done(self, method, path, body=None, headers=()):
        """A request that must succeed; gives its JSON."""
        answer = self.ask(method, path, body, headers)
        assert 200 <= answer.status < 300, (method, path, answer)
        return answer.json if answer.body else None

    def refused(self, status, method, path, body=None, headers=()):
        """A request that must fail with this status; gives its error."""
        answer = self.ask(method, path, body, headers)
        assert answer.status == status, (method, path, answer)
        return answer.error

    def apps(self):
        return self.done("GET", "/apps")["apps"]

    def app(self, id):
        return self.done("GET", f"/apps/{id}")

    def launch(self, manifest="notes", **how):
        return self.done("POST", f"/registry/apps/{manifest}/launch", how or None)

    def move(self, app, **change):
        return self.ask("POST", f"/apps/{app['id']}/window", window(app, **change))

    def add(self, id, **manifest):
        """Adds an app to the registry."""
        spec = {"version": 1, "view": {"type": "text", "text": id}}
        return self.done("PUT", f"/registry/apps/{id}", {"title": id, "ui_spec": spec} | manifest)

    def save(self, name, **how):
        return self.done("POST", "/sessions", {"name": name} | how)

    def restore(self, id):
        return self.done("POST", f"/sessions/{id}/restore")

    def state(self):
        """All that is kept, in a form to compare. `current` is now, so its times are now."""
        sessions = self.done("GET", "/sessions")["sessions"]
        for session in sessions:
            if session["id"] == "current":
                session["created_us"] = session["updated_us"] = 0
        return self.apps(), sessions, self.done("GET", "/registry/apps")["apps"]

    def processes(self):
        """How many processes there are."""
        return int(re.search(r"^uos_processes (\d+)$", self.ask("GET", "/metrics").body.decode(), re.MULTILINE)[1])

    def clear(self):
        """Takes away whatever a test has left."""
        if self.asking is not None:
            self.asking.close()
            self.asking = None
        for app in self.apps():
            # One that belonged to another is gone with it.
            self.ask("DELETE", f"/apps/{app['id']}")
        for session in self.done("GET", "/sessions")["sessions"]:
            if session["id"] != "current":
                self.done("DELETE", f"/sessions/{session['id']}")
        for manifest in self.done("GET", "/registry/apps")["apps"]:
            if not manifest["built_in"]:
                self.done("DELETE", f"/registry/apps/{manifest['id']}")

    def log_in(self):
        """A browser that has logged in: it sends the cookie and no token."""
        (cookie,) = self.ask("POST", "/login").cookies
        return Desk(self.server, {"cookie": cookie.split(";")[0]})


def window(app, **change):
    """A change of an app's window that leaves it as it is, but for what is given."""
    return {
        "window_id": app["window_id"],
        "position": app["window_pos"],
        "size": app["window_size"],
    } | change


def geometry(app):
    """What a window looks like, and where."""
    names = ("window_id", "window_pos", "window_size", "window_state", "restore_state", "restore_bounds", "snap")
    return {name: app[name] for name in (*names, "z", "workspace", "parent_id", "title", "state")}
