"""What the same port answers to plain HTTP: health, metrics, gRPC-web, and nothing to a foreign name."""

import http.client
import re

import pytest

from client import DEADLINE_S
from web import web_call


def get(server, path, **headers):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=DEADLINE_S)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_needs_no_token(server, path):
    assert get(server, path)[0] == 200


@pytest.mark.parametrize("path", ["/metrics", "/nothing/here"])
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}], ids=["missing", "wrong"])
def test_everything_else_needs_the_token(server, path, headers):
    assert get(server, path, **headers)[0] == 401


def test_an_unknown_path_is_not_found(server):
    assert get(server, "/nothing/here", authorization=f"Bearer {server.token}")[0] == 404


def count(server, call):
    """How many calls of a name the metrics tell of, whatever came of them."""
    status, text = get(server, "/metrics", authorization=f"Bearer {server.token}")
    assert status == 200
    rows = re.findall(r'^uos_calls_total\{([^}]*)\} (\d+)$', text, re.MULTILINE)
    assert rows or "uos_calls_total" not in text, text
    return sum(int(value) for labels, value in rows if f'call="{call}"' in labels.split(","))


def test_metrics_count_calls(server, admin):
    before = count(server, "GetUptime"), count(server, "ReadFile")
    for _ in range(3):
        admin.call("GetUptime")
    admin.refused("ReadFile", path="/home/nothing here")
    assert count(server, "GetUptime") == before[0] + 3
    assert count(server, "ReadFile") == before[1] + 1, "a failure counts too"


def test_grpc_web_needs_no_library(server, admin):
    request = admin.request("GetUptime").SerializeToString()
    status, grpc_status, reply = web_call(
        server, "Execute", request, {"authorization": f"Bearer {server.token}"}
    )
    assert (status, grpc_status) == (200, "0")
    answer = admin.type("ExecuteResponse").FromString(reply)
    assert admin.open(answer, "GetUptime").uptime_us > 0


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}], ids=["missing", "wrong"])
def test_grpc_web_needs_the_token(server, admin, headers):
    request = admin.request("GetUptime").SerializeToString()
    status, grpc_status, reply = web_call(server, "Execute", request, headers)
    # 16 is UNAUTHENTICATED.
    assert (status, grpc_status) == (200, "16") or status == 401
    assert reply is None


FOREIGN_HOSTS = ["uos.example", "uos.example:{port}", "localhost.uos.example:{port}", "127.0.0.1.uos.example", ""]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_foreign_name_is_refused(server, host):
    """A page that gets its own name resolved to this machine reaches nothing, whatever it asks for."""
    named = host.format(port=server.port)
    for path in ("/healthz", "/metrics"):
        status, _ = get(server, path, host=named, authorization=f"Bearer {server.token}")
        assert status in (403, 421) or (named == "" and status == 400), (named, path, status)


def test_its_own_names_are_taken(server):
    for host in (f"127.0.0.1:{server.port}", f"localhost:{server.port}"):
        assert get(server, "/healthz", host=host)[0] == 200
