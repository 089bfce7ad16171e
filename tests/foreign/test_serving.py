"""How the server starts, refuses to start, and stops."""

import os
import threading

import pytest

from client import DEADLINE_S, SERVICE
from server import refused_start


def test_a_second_server_on_the_same_data_is_refused(server, admin):
    code, complaint = refused_start("--listen", "127.0.0.1:0", "--data-dir", str(server.data_dir))
    assert code == 1
    assert str(server.process.pid) in complaint, complaint
    admin.call("GetUptime")


def test_a_wider_address_without_a_token_is_refused(tmp_path):
    code, complaint = refused_start("--listen", "0.0.0.0:0", "--data-dir", str(tmp_path / "data"))
    assert code == 2
    assert "UOS_TOKEN" in complaint, complaint


@pytest.mark.parametrize(
    "args",
    [["--listen", "nowhere"], ["--fly"], ["--config", "/no/such/file.toml"]],
    ids=["address", "flag", "configuration"],
)
def test_bad_usage_is_refused(tmp_path, args):
    code, complaint = refused_start("--data-dir", str(tmp_path / "data"), *args)
    assert code == 2
    assert complaint.strip()


def test_a_configuration_with_an_unknown_key_is_refused(tmp_path):
    config = tmp_path / "uos.toml"
    config.write_text('[[mounts]]\nat = "/home/shared"\nhots = "/tmp"\n')
    code, complaint = refused_start(
        "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "data"), "--config", str(config)
    )
    assert code == 2
    assert "hots" in complaint or "host" in complaint, complaint


def test_the_token_is_for_its_owner_alone(server):
    assert (server.data_dir / "token").stat().st_mode & 0o777 == 0o600


def test_it_stops_in_time_with_calls_under_way_and_leaves_no_program(own_server):
    server = own_server()
    admin = server.client()
    child = admin.call(
        "SpawnProcess", program="/usr/bin/sleep", args=["600"], level="SANDBOX_LEVEL_PRIVILEGED"
    )
    waiting = admin.rpc("Execute").future(admin.request("Sleep", duration_us=600_000_000), timeout=DEADLINE_S)
    ended = threading.Event()
    waiting.add_done_callback(lambda _: ended.set())
    assert not ended.wait(0.3)
    server.stop()
    assert ended.wait(10), "the client is told"
    with pytest.raises(ProcessLookupError):
        os.kill(child.os_pid, 0)
    admin.close()


def test_a_restarted_server_keeps_its_token(own_server):
    first = own_server()
    token = first.token
    first.stop()
    second = type(first)(first.data_dir)
    try:
        assert second.token == token
        client = second.client(token)
        client.call("GetUptime")
        client.close()
    finally:
        second.stop()


def test_health_is_served_to_whoever_has_the_token(server, admin):
    check = admin.authorised.unary_unary(
        "/grpc.health.v1.Health/Check", request_serializer=bytes, response_deserializer=bytes
    )
    # Field 1 is the service's name; the answer's field 1 is the status, and 1 is SERVING.
    for request in (b"", b"\x0a" + bytes([len(SERVICE)]) + SERVICE.encode()):
        assert check(request, timeout=DEADLINE_S) == b"\x08\x01"


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_the_service(admin, version):
    ask = admin.authorised.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=bytes,
        response_deserializer=bytes,
    )
    # Field 7 is `list_services`; the two versions are the same on the wire.
    (answer,) = ask(iter([b"\x3a\x00"]), timeout=DEADLINE_S)
    assert SERVICE.encode() in answer
