"""What the tests share: one server for all that do not need their own, and processes that end with their test."""

import pytest

from desk import Desk
from server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("shared") / "data")
    yield server
    server.stop()


@pytest.fixture
def own_server(tmp_path):
    """Starts a server for one test, with further arguments."""
    servers = []

    def start(*args):
        servers.append(Server(tmp_path / f"data{len(servers)}", *args))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="module")
def desktop(tmp_path_factory):
    """A server for the tests of one file, which share a desktop."""
    server = Server(tmp_path_factory.mktemp("desktop") / "data")
    yield server
    server.stop()


@pytest.fixture
def desk(desktop):
    """The desktop as the operator has it, empty."""
    desk = Desk(desktop)
    yield desk
    desk.clear()


@pytest.fixture
def admin(server):
    client = server.client()
    yield client
    client.close()


class Process:
    """A process and a client that acts as it."""

    def __init__(self, server, admin, **fields):
        self.pid, self.token = admin.create_process(**fields)
        self.client = server.client(self.token)

    def close(self):
        self.client.close()


@pytest.fixture
def process(server, admin):
    """Makes processes with exactly the grants given: level MINIMAL adds none. They are killed after the test."""
    made = []

    def make(*grants, **fields):
        level = fields.pop("sandbox_level", "SANDBOX_LEVEL_MINIMAL")
        fields.setdefault("name", "foreign")
        made.append(Process(server, admin, sandbox_level=level, grants=grants, **fields))
        return made[-1]

    yield make
    for one in made:
        one.close()
        # Killing what a test has killed already is fine: its record stays for its parent.
        request = admin.pack("KillProcess", pid=one.pid, tree=True)
        admin.rpc("Execute")(admin.message("ExecuteRequest", call=request), timeout=10)
