"""A program nobody here wrote: it gets a process with three rights, does real work, and is stopped at their edge."""

import pathlib

import pytest

from client import Refused, without_number

GRANTS = ["fs.read:/home/**", "fs.write:/home/**", "proc.spawn:/usr/bin/*"]
EACCES, EBADF, ESRCH = 13, 9, 3

# Ids are given from small numbers upwards; this one is never reached.
NEVER_GIVEN = 2**52 + 12345


def test_a_program_runs_and_its_output_is_kept(process):
    me = process(*GRANTS).client
    child = me.call(
        "SpawnProcess", program="/usr/bin/printf", args=["%s; rm -rf /"], level="SANDBOX_LEVEL_PRIVILEGED"
    )
    assert child.pid > 1 and child.os_pid > 1
    ended = me.call_on("WaitProcess", child.pid)
    assert ended.exited and ended.code == 0
    output = me.read_output(child.pid)
    assert output == b"; rm -rf /"

    assert me.call("WriteFile", path="/home/x", data=output).bytes_written == len(output)
    assert me.call("ReadFile", path="/home/x").data == output


@pytest.mark.parametrize("path", ["/etc/x", "/home/../etc/x", "/home/./a/../../etc/x", "//etc//x"])
def test_a_write_beyond_the_grant_names_the_missing_right(process, path):
    me = process(*GRANTS).client
    error = me.refused("WriteFile", path=path, data=b"mine")
    assert (error.errno, error.name, error.right) == (EACCES, "EACCES", "fs.write:/etc/x")
    assert not pathlib.Path("/etc/x").exists()


def test_a_path_without_right_looks_the_same_whether_or_not_it_exists(process, admin):
    me = process(*GRANTS).client
    admin.call("CreateDirectory", path="/tmp/secret", parents=True)
    admin.call("WriteFile", path="/tmp/secret/qqqqq", data=b"x")
    for name in ("ReadFile", "FileExists", "FileStat", "ListDirectory"):
        there = me.refused(name, path="/tmp/secret/qqqqq")
        absent = me.refused(name, path="/tmp/secret/zzzzz")
        assert there.errno == EACCES and there.right == "fs.read:/tmp/secret/qqqqq"
        same = [error.SerializeToString(deterministic=True) for error in (there, absent)]
        assert same[0].replace(b"qqqqq", b"zzzzz") == same[1], name


def test_a_symlink_in_home_leads_to_the_right_it_needs(own_server, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "out").symlink_to("/etc")
    config = tmp_path / "uos.toml"
    config.write_text(f'[[mounts]]\nat = "/home/shared"\nhost = "{folder}"\nread_only = false\n')

    server = own_server("--config", str(config))
    admin = server.client()
    _, token = admin.create_process(name="linked", sandbox_level="SANDBOX_LEVEL_MINIMAL", grants=GRANTS)
    me = server.client(token)

    # The mount works, so the refusal is not just any.
    me.call("WriteFile", path="/home/shared/kept", data=b"kept")
    assert (folder / "kept").read_bytes() == b"kept"

    error = me.refused("WriteFile", path="/home/shared/out/x", data=b"mine")
    assert (error.errno, error.right) == (EACCES, "fs.write:/etc/x")
    error = me.refused("ReadFile", path="/home/shared/out/passwd")
    assert (error.errno, error.right) == (EACCES, "fs.read:/etc/passwd")
    assert not pathlib.Path("/etc/x").exists()
    assert sorted(entry.name for entry in folder.iterdir()) == ["kept", "out"]
    me.close()
    admin.close()


def test_a_shell_is_refused(process):
    me = process(*GRANTS).client
    error = me.refused("SpawnProcess", program="/bin/sh", args=["-c", "true"], level="SANDBOX_LEVEL_PRIVILEGED")
    assert error.errno == EACCES
    assert error.right.startswith("proc.spawn:/bin/"), error
    assert len(me.call("GetProcessList").processes) == 1, "only oneself: nothing was started"


def test_anothers_pipe_looks_absent(process):
    me, other = process(*GRANTS).client, process("ipc.create").client
    pipe = other.call("CreatePipe").id
    other.call("WritePipe", id=pipe, data=b"private")

    for name, arguments in {"ReadPipe": {"timeout_us": 0}, "WritePipe": {"data": b"x"}, "ClosePipe": {}}.items():
        foreign = me.refused(name, id=pipe, **arguments)
        absent = me.refused(name, id=NEVER_GIVEN, **arguments)
        assert (foreign.errno, foreign.name) == (EBADF, "EBADF")
        assert without_number(foreign, pipe) == without_number(absent, NEVER_GIVEN), name

    assert other.call("ReadPipe", id=pipe).data == b"private", "and it is as it was"


def test_anothers_pid_looks_absent(process, admin):
    me, other = process(*GRANTS).client, process()
    for name, arguments in {
        "GetProcessInfo": {},
        "WaitProcess": {"timeout_us": 0},
        "ReadOutput": {"timeout_us": 0},
        "KillProcess": {"tree": True},
    }.items():
        foreign = me.refused_on(name, other.pid, **arguments)
        absent = me.refused_on(name, NEVER_GIVEN, **arguments)
        assert (foreign.errno, foreign.name) == (ESRCH, "ESRCH")
        assert without_number(foreign, other.pid) == without_number(absent, NEVER_GIVEN), name

    assert other.pid not in [seen.pid for seen in me.call("GetProcessList").processes]
    assert admin.call_on("GetProcessInfo", other.pid).process.state == 1, "and it lives"


def test_nobody_acts_as_another(process):
    me, other = process(*GRANTS), process()
    foreign = me.client.refused("GetUptime", pid=other.pid)
    absent = me.client.refused("GetUptime", pid=NEVER_GIVEN)
    assert (foreign.errno, foreign.name) == (ESRCH, "ESRCH")
    assert without_number(foreign, other.pid) == without_number(absent, NEVER_GIVEN)
    assert me.client.refused("GetUptime", pid=1).errno == ESRCH, "process 1 is the operator's"
    # Its own number is as good as 0.
    me.client.call("GetUptime", pid=me.pid)


def test_a_child_never_has_more_than_its_parent(process):
    me = process(*GRANTS).client
    with pytest.raises(Refused) as caught:
        me.create_process(sandbox_level="SANDBOX_LEVEL_MINIMAL", grants=["fs.write:/tmp/**"])
    assert caught.value.error.name == "EPERM"
    assert len(me.call("GetProcessList").processes) == 1, "nothing was made"
