"""Bad input: each is a typed error with the right code, changes nothing and leaves nothing behind."""

import http.client
import select
import time

import grpc
import pytest

from client import DEADLINE_S, SERVICE, Refused
from web import web_frame

ENOENT, ESRCH, EACCES, EINVAL, ENAMETOOLONG, ENOSYS = 2, 3, 13, 22, 36, 38
MESSAGE_LIMIT = 4 * 1024 * 1024
NEVER_GIVEN = 2**52 + 54321


def raw_execute(client, request):
    """Sends bytes as an ExecuteRequest."""
    send = client.authorised.unary_unary(
        f"/{SERVICE}/Execute",
        request_serializer=bytes,
        response_deserializer=client.type("ExecuteResponse").FromString,
    )
    return send(request, timeout=DEADLINE_S)


# To a server all three look the same: it knows no field for the call of a later version.
@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"", id="missing call"),
        pytest.param(b"\x12\x00", id="empty call"),
        # Field 2 (`call`) of 4 bytes: field 4000 of `Call`, a message of no bytes.
        pytest.param(b"\x12\x04\x82\xfa\x01\x00", id="unknown call"),
    ],
)
def test_a_call_that_is_none_is_named_so(admin, request_bytes):
    answer = raw_execute(admin, request_bytes)
    assert answer.WhichOneof("result") == "error"
    assert (answer.error.errno, answer.error.name) == (ENOSYS, "ENOSYS")


def test_bytes_that_are_no_message_are_refused(admin):
    with pytest.raises(grpc.RpcError) as caught:
        raw_execute(admin, b"\x12\xff\xff\xff")
    # Which of the two is the transport's own choice.
    assert caught.value.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT)


def test_an_unknown_method_is_unimplemented(admin):
    send = admin.authorised.unary_unary(f"/{SERVICE}/Fly", request_serializer=bytes, response_deserializer=bytes)
    with pytest.raises(grpc.RpcError) as caught:
        send(b"", timeout=DEADLINE_S)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_an_oversized_message_changes_nothing(admin):
    with pytest.raises(grpc.RpcError) as caught:
        admin.call("WriteFile", path="/home/oversized", data=bytes(MESSAGE_LIMIT + 1))
    assert caught.value.code() in (grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert not admin.call("FileExists", path="/home/oversized").exists

    # What just fits is taken; the rest of the message is some dozens of bytes.
    fitting = MESSAGE_LIMIT - 100
    assert admin.call("WriteFile", path="/home/fitting", data=bytes(fitting)).bytes_written == fitting
    admin.call("DeleteFile", path="/home/fitting")


TOKENS = {
    "missing": None,
    "empty": "Bearer ",
    "wrong": "Bearer " + "0" * 64,
    "garbage": "Bearer ;DROP TABLE tokens--%00../..",
    "long": "Bearer " + "a" * 5000,
    "other scheme": "Basic YWRtaW46YWRtaW4=",
}


@pytest.mark.parametrize("value", TOKENS.values(), ids=TOKENS.keys())
@pytest.mark.parametrize(
    "method",
    [
        f"/{SERVICE}/CreateProcess",
        f"/{SERVICE}/Execute",
        f"/{SERVICE}/ExecuteBatch",
        f"/{SERVICE}/Stream",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
def test_without_the_token_nothing_answers(server, method, value):
    metadata = [] if value is None else [("authorization", value)]
    with grpc.insecure_channel(server.address) as channel:
        send = channel.stream_stream(method, request_serializer=bytes, response_deserializer=bytes)
        with pytest.raises(grpc.RpcError) as caught:
            list(send(iter([b""]), metadata=metadata, timeout=DEADLINE_S))
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_the_token_with_one_letter_changed_is_wrong(server):
    changed = server.token[:-1] + ("0" if server.token[-1] != "0" else "1")
    for token in (changed, server.token[:-1], server.token + "0"):
        with grpc.insecure_channel(server.address) as channel:
            send = channel.unary_unary(f"/{SERVICE}/Execute", request_serializer=bytes, response_deserializer=bytes)
            with pytest.raises(grpc.RpcError) as caught:
                send(b"", metadata=[("authorization", f"Bearer {token}")], timeout=DEADLINE_S)
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_the_token_of_a_killed_process_is_dead(process, admin):
    victim = process()
    victim.client.call("GetUptime")
    admin.call_on("KillProcess", victim.pid)
    with pytest.raises(grpc.RpcError) as caught:
        victim.client.call("GetUptime")
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_an_unknown_pid_is_no_process(admin):
    error = admin.refused("GetUptime", pid=NEVER_GIVEN)
    assert (error.errno, error.name) == (ESRCH, "ESRCH")
    with pytest.raises(Refused) as caught:
        admin.create_process(pid=NEVER_GIVEN, name="orphan")
    assert caught.value.error.errno == ESRCH


def test_anothers_pid_is_no_use_in_any_rpc(process):
    me, other = process("proc.spawn:/usr/bin/*"), process()
    call = me.client.pack("GetUptime")
    request = me.client.message("ExecuteBatchRequest", pid=other.pid, calls=[call])
    answer = me.client.rpc("ExecuteBatch")(request, timeout=DEADLINE_S)
    assert answer.error.errno == ESRCH and not answer.results

    request = me.client.message("StreamRequest", id=1, pid=other.pid, call=call)
    answers = list(me.client.rpc("Stream")(iter([request]), timeout=DEADLINE_S))
    assert [(answer.id, answer.error.errno) for answer in answers] == [(1, ESRCH)]

    with pytest.raises(Refused) as caught:
        me.client.create_process(pid=other.pid, sandbox_level="SANDBOX_LEVEL_MINIMAL")
    assert caught.value.error.errno == ESRCH


PATHS = {
    "NUL": ("/home/a\x00b", EINVAL),
    "empty": ("", ENOENT),
    "long": ("/home/" + "a/" * 2500, ENAMETOOLONG),
    "long name": ("/home/" + "a" * 300, ENAMETOOLONG),
    "dots": ("/home/../home/../etc/x", EACCES),
    "dots beyond the root": ("/../../../../etc/x", EACCES),
}


@pytest.mark.parametrize("path, errno", PATHS.values(), ids=PATHS.keys())
@pytest.mark.parametrize("name", ["ReadFile", "WriteFile", "DeleteFile", "CreateDirectory", "ListDirectory"])
def test_a_bad_path_is_a_typed_error(process, admin, name, path, errno):
    before = [entry.name for entry in admin.call("ListDirectory", path="/home").entries]
    error = process("fs.read:/home/**", "fs.write:/home/**").client.refused(name, path=path)
    assert error.errno == errno, error
    if errno == EACCES:
        assert error.right.endswith(":/etc/x"), error
    assert [entry.name for entry in admin.call("ListDirectory", path="/home").entries] == before


def test_arguments_are_text(process):
    arguments = ["$(id)", "`id`", "a;b", "a|b", "a&&b", ">/tmp/x", "*", "?", "~", "'", '"', "\\", "", " ", "\n", "%s"]
    me = process("proc.spawn:/usr/bin/*").client
    child = me.call(
        "SpawnProcess", program="/usr/bin/printf", args=["[%s]", *arguments], level="SANDBOX_LEVEL_PRIVILEGED"
    )
    assert me.read_output(child.pid) == "".join(f"[{text}]" for text in arguments).encode()


@pytest.mark.parametrize(
    "arguments",
    [{"args": ["a\x00b"]}, {"env": ["A\x00=b"]}, {"env": ["no equals sign"]}, {"env": ["=b"]}, {"grants": ["fly"]}],
    ids=["argument", "variable", "no equals sign", "no name", "grant"],
)
def test_a_malformed_spawn_starts_nothing(process, arguments):
    me = process("proc.spawn:/usr/bin/*").client
    error = me.refused("SpawnProcess", program="/usr/bin/true", level="SANDBOX_LEVEL_PRIVILEGED", **arguments)
    assert error.errno == EINVAL, error
    assert len(me.call("GetProcessList").processes) == 1


def handles(owner):
    return owner.client.call("GetProcessInfo").process.handles


def test_a_client_that_vanishes_in_a_blocking_read_leaves_the_pipe_whole(server, process):
    me = process("ipc.create")
    pipe = me.client.call("CreatePipe").id
    held = handles(me)
    for turn in range(10):
        vanishing = server.client(me.token)
        waiting = vanishing.rpc("Execute").future(vanishing.request("ReadPipe", id=pipe), timeout=DEADLINE_S)
        with pytest.raises(grpc.FutureTimeoutError):
            waiting.result(timeout=0.2)
        waiting.cancel()
        vanishing.close()
        still_works(me, pipe, b"turn %d" % turn)
    assert handles(me) == held


def test_a_connection_that_breaks_in_a_blocking_read_leaves_the_pipe_whole(server, process):
    me = process("ipc.create")
    pipe = me.client.call("CreatePipe").id
    held = handles(me)
    request = me.client.request("ReadPipe", id=pipe)
    for turn in range(10):
        connection = http.client.HTTPConnection(server.host, server.port, timeout=DEADLINE_S)
        headers = {"content-type": "application/grpc-web+proto", "authorization": f"Bearer {me.token}"}
        connection.request("POST", f"/{SERVICE}/Execute", web_frame(request.SerializeToString()), headers)
        assert not select.select([connection.sock], [], [], 0.2)[0], "the read must be waiting"
        connection.close()
        still_works(me, pipe, b"turn %d" % turn)
    assert handles(me) == held


def still_works(owner, pipe, data):
    """What is written now reaches the next reader, not the one that is gone."""
    # The server has to hear of it first; what is written before that may rightly go to the old reader.
    time.sleep(0.5)
    owner.client.call("WritePipe", id=pipe, data=data)
    assert owner.client.call("ReadPipe", id=pipe, timeout_us=5_000_000).data == data
