"""Whole files in and out over plain HTTP: `GET` and `PUT /files/*path`."""

import http.client
import json
import os
import random
import socket
import threading
import time
import urllib.parse

import pytest

from client import DEADLINE_S

ENOENT, EACCES, EISDIR = 2, 13, 21
FILES = "/home/files"
LARGE = 20 << 20


def ask(server, method, path, body=None, token=None, pid=None, **headers):
    """One request; gives the status, the headers and the body."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=DEADLINE_S)
    try:
        url = f"/files{urllib.parse.quote(path)}" + ("" if pid is None else f"?pid={pid}")
        sent = {"authorization": f"Bearer {token or server.token}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, url, body, sent)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def fault(answer):
    return answer[0], json.loads(answer[2])["error"]


def put(server, path, body, **more):
    status, _, reply = ask(server, "PUT", path, body, **more)
    assert status == 200, reply
    assert json.loads(reply) == {"bytes_written": len(body)}


def kept(server):
    """What lies in the folder on the host behind /home/files."""
    return sorted(os.listdir(server.data_dir / "files"))


@pytest.mark.parametrize("folder", [FILES, "/home", "/tmp"])
def test_what_goes_in_comes_out(server, admin, folder):
    content = random.Random(7).randbytes(3_000_017)
    path = f"{folder}/caf\u00e9 100% #1?.bin"
    put(server, path, content)
    status, headers, body = ask(server, "GET", path)
    assert (status, body) == (200, content)
    assert headers["content-length"] == str(len(content))
    assert headers["content-type"] == "application/octet-stream"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("sandbox")
    assert headers["content-disposition"].startswith("attachment; ")
    assert headers["content-disposition"].endswith("''caf%C3%A9%20100%25%20%231%3F.bin")
    assert headers["accept-ranges"] == "bytes"
    assert admin.call("ReadFile", path=path, length=10).data == content[:10]

    put(server, path, b"")
    status, headers, body = ask(server, "GET", path)
    assert (status, headers["content-length"], body) == (200, "0", b"")


def test_a_part_is_given_and_only_of_the_same_file(server):
    path = f"{FILES}/parts"
    put(server, path, b"0123456789")
    status, headers, body = ask(server, "GET", path, range="bytes=2-4")
    assert (status, body, headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    tag = headers["etag"]
    assert ask(server, "GET", path, range="bytes=-3")[2] == b"789"
    assert ask(server, "GET", path, range="bytes=0-1,3-4")[0] == 200
    status, headers, _ = ask(server, "GET", path, range="bytes=10-")
    assert (status, headers["content-range"]) == (416, "bytes */10")

    assert ask(server, "GET", path, if_none_match=tag)[::2] == (304, b"")
    status, headers, body = ask(server, "HEAD", path)
    assert (status, headers["content-length"], body) == (200, "10", b"")

    put(server, path, b"abcdefghij")
    assert ask(server, "GET", path, if_none_match=tag)[0] == 200
    assert ask(server, "GET", path, range="bytes=2-4", if_range=tag)[::2] == (200, b"abcdefghij")


def test_names_are_bytes(server, admin):
    name = f"{FILES}/not-\udcff-utf8".encode(errors="surrogateescape")
    connection = http.client.HTTPConnection(server.host, server.port, timeout=DEADLINE_S)
    url = "/files" + urllib.parse.quote(name)
    connection.request("PUT", url, b"x", {"authorization": f"Bearer {server.token}"})
    assert connection.getresponse().status == 200
    connection.close()
    assert b"not-\xff-utf8" in os.listdir(bytes(server.data_dir / "files"))
    assert admin.call("ReadFile", path_raw=name).data == b"x"
    admin.call("DeleteFile", path_raw=name)


def test_it_is_the_process_that_reads_and_writes(server, process):
    put(server, f"{FILES}/seen", b"seen")
    agent = process(f"fs.read:{FILES}/seen", f"fs.write:{FILES}/made")
    other = process(f"fs.read:{FILES}/**")
    for asked in [{"token": agent.token}, {"token": agent.token, "pid": agent.pid}, {"pid": agent.pid}]:
        assert ask(server, "GET", f"{FILES}/seen", **asked)[::2] == (200, b"seen")
        put(server, f"{FILES}/made", b"made", **asked)
        for method, path, right in [("GET", "none", "read"), ("GET", "made", "read"), ("PUT", "seen", "write")]:
            status, error = fault(ask(server, method, f"{FILES}/{path}", b"", **asked))
            assert (status, error["detail"]["errno"]) == (403, EACCES)
            assert error["detail"]["right"] == f"fs.{right}:{FILES}/{path}"
    status, error = fault(ask(server, "GET", f"{FILES}/seen", token=agent.token, pid=other.pid))
    assert (status, error["detail"]["name"]) == (404, "ESRCH"), "others are as absent as none"
    absent = fault(ask(server, "GET", f"{FILES}/seen", token=agent.token, pid=2**50))[1]
    assert absent["detail"] == error["detail"]
    assert ask(server, "GET", f"{FILES}/seen", token="wrong")[0] == 401
    assert fault(ask(server, "GET", f"{FILES}/seen", pid="x"))[1]["detail"] == {"field": "pid"}


@pytest.mark.parametrize(
    ("method", "path", "status", "errno"),
    [
        ("GET", f"{FILES}/none", 404, "ENOENT"),
        ("GET", FILES, 409, "EISDIR"),
        ("PUT", FILES, 409, "EISDIR"),
        ("PUT", f"{FILES}/none/x", 404, "ENOENT"),
        ("PUT", "/usr/bin/new", 403, "EROFS"),
        ("GET", f"{FILES}/a\0b", 422, "EINVAL"),
        ("PUT", f"{FILES}/{'x' * 300}", 422, "ENAMETOOLONG"),
    ],
)
def test_what_is_no_file_is_a_clear_error(server, method, path, status, errno):
    before = kept(server)
    given, error = fault(ask(server, method, path, b"x" * 100_000))
    assert (given, error["detail"]["name"]) == (status, errno)
    assert kept(server) == before


def test_an_upload_may_spare_what_is_there(server):
    path = f"{FILES}/spared"
    put(server, path, b"first", if_none_match="*")
    status, error = fault(ask(server, "PUT", path, b"second", if_none_match="*"))
    assert (status, error["code"]) == (412, "exists")
    assert ask(server, "GET", path)[2] == b"first"
    for headers, status in [
        ({"if_none_match": '"tag"'}, 422),
        ({"content_encoding": "gzip"}, 415),
        ({"content_range": "bytes 0-1/2"}, 415),
    ]:
        assert ask(server, "PUT", path, b"x", **headers)[0] == status
    assert ask(server, "GET", path)[2] == b"first"


def begun(server, path, announced, token=None):
    """An upload that has sent its head and a piece of what it announces."""
    stream = socket.create_connection((server.host, server.port), DEADLINE_S)
    head = f"PUT /files{path} HTTP/1.1\r\nhost: {server.address}\r\n"
    head += f"authorization: Bearer {token or server.token}\r\n"
    stream.sendall(f"{head}content-length: {announced}\r\n\r\n".encode() + b"n" * 100_000)
    return stream


def until(what, condition):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def test_an_upload_that_breaks_off_changes_nothing(own_server):
    server = own_server()
    put(server, f"{FILES}/whole", b"old")
    for announced in (200_000, 1 << 40):
        stream = begun(server, f"{FILES}/whole", announced)
        until("it is under way", lambda: len(kept(server)) == 2)
        assert ask(server, "GET", f"{FILES}/whole")[2] == b"old"
        stream.close()
        until("nothing of it stays", lambda: kept(server) == ["whole"])
    assert ask(server, "GET", f"{FILES}/whole")[2] == b"old"


def test_a_process_that_ends_leaves_no_upload_behind(server, process, admin):
    agent = process(f"fs.write:{FILES}/**")
    stream = begun(server, f"{FILES}/never", 1_000_000, agent.token)
    until("it is under way", lambda: any(name.endswith(".part") for name in kept(server)))
    admin.call("KillProcess", pid=agent.pid, tree=True)
    stream.sendall(b"n" * 1000)
    until("nothing of it stays", lambda: not any(name.endswith(".part") for name in kept(server)))
    stream.close()
    assert "never" not in kept(server)


def test_two_at_once_are_one_or_the_other(server):
    path = f"{FILES}/raced"
    contents = [bytes([letter]) * 2_000_000 for letter in b"abcd"]
    threads = [threading.Thread(target=put, args=(server, path, content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ask(server, "GET", path)[2] in contents
    assert not any(name.endswith(".part") for name in kept(server))


def resident(server):
    """The server's memory in bytes."""
    fields = open(f"/proc/{server.process.pid}/statm").read().split()
    return int(fields[1]) * os.sysconf("SC_PAGESIZE")


def test_a_file_larger_than_a_message_passes_without_being_held(own_server):
    server = own_server()
    content = random.Random(3).randbytes(LARGE)
    put(server, f"{FILES}/small", content[: 1 << 20])
    ask(server, "GET", f"{FILES}/small")
    before = resident(server)
    put(server, f"{FILES}/large", content)
    assert ask(server, "GET", f"{FILES}/large")[2] == content
    assert resident(server) - before < LARGE // 2, "it is passed on, not collected"


def test_a_full_filesystem_is_told_and_changes_nothing(own_server, tmp_path):
    config = tmp_path / "uos.toml"
    config.write_text(f"home_bytes = {2 << 20}\n")
    server = own_server("--config", str(config))
    put(server, "/home/file", b"old")
    for _ in range(3):
        status, error = fault(ask(server, "PUT", "/home/file", b"n" * (8 << 20)))
        assert (status, error["detail"]["name"]) == (507, "ENOSPC")
        assert ask(server, "GET", "/home/file")[2] == b"old"
        put(server, "/home/other", b"n" * (1 << 19))
