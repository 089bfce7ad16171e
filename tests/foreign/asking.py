"""A process that lacks a right and may ask for it, with a call that waits for the answer."""

from client import DEADLINE_S
from desk import becomes_true


class Asking:
    """One process, and its newest call."""

    def __init__(self, server, *grants):
        self.admin = server.client()
        self.pid, self.token = self.admin.create_process(
            name="asker", sandbox_level="SANDBOX_LEVEL_MINIMAL", grants=grants or ["ask:fs.write:/home/**"]
        )
        self.client = server.client(self.token)
        self.answer = None

    def write(self, desk, path="/home/asked", data=b"asked"):
        """Begins a call, and gives the request that it leads to."""
        known = {request["id"] for request in self.requests(desk)}
        request = self.client.request("WriteFile", path=path, data=data)
        self.answer = self.client.rpc("Execute").future(request, timeout=DEADLINE_S)
        new = lambda: [request for request in self.requests(desk) if request["id"] not in known]
        assert becomes_true(new), "no request came"
        return new()[0]

    def requests(self, desk):
        return [request for request in desk.done("GET", "/requests")["requests"] if request["pid"] == self.pid]

    def result(self):
        """What came of the call; raises `Refused`."""
        return self.client.open(self.answer.result(), "WriteFile")

    def close(self):
        self.admin.call_on("KillProcess", self.pid, tree=True)
        self.client.close()
        self.admin.close()
