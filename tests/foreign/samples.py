"""One good call of every kind, as a program would make it that knows the contract by reflection alone.

`SAMPLES` says for each call what its arguments are, and `ANSWERS` what it answers where more can be said than that it
does. A call that is missing here fails the test, so that a new call brings its line.
"""

import functools
import http.server
import os
import threading

GRANTS = [
    "fs.read:/home/**",
    "fs.write:/home/**",
    "fs.admin",
    "proc.spawn:/usr/bin/*",
    "ipc.create",
    "net.connect:127.0.0.1",
    "net.bind:127.0.0.1",
    "net.resolve:localhost",
    "sched.inspect",
    "sched.control",
    "sys.info",
    "sys.admin",
]
USR1, CONT = 10, 18


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"here")

    def log_message(self, *_):
        pass


@functools.cache
def _web():
    """The port of somebody on the network who answers."""
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    return web.server_port


class Bench:
    """A process's own things, each made when a sample first needs it."""

    def __init__(self, client, name):
        self.client = client
        self.home = f"/home/{name}"
        self.client.call("CreateDirectory", path=self.home)

    def make(self, name, /, **arguments):
        return self.client.open(self.execute(name, arguments), name)

    def execute(self, name, arguments):
        # Packed here and not by `call`, whose `pid` says as whom the call is made.
        request = self.client.message("ExecuteRequest", call=self.client.pack(name, **arguments))
        return self.client.rpc("Execute")(request, timeout=30)

    @functools.cached_property
    def file(self):
        path = f"{self.home}/file"
        self.make("WriteFile", path=path, data=b"content")
        return path

    @functools.cached_property
    def folder(self):
        path = f"{self.home}/folder"
        self.make("CreateDirectory", path=path)
        self.make("WriteFile", path=f"{path}/inner", data=b"")
        return path

    @functools.cached_property
    def link(self):
        path = f"{self.home}/link"
        self.make("Symlink", target="file", path=path)
        return path

    @functools.cached_property
    def open(self):
        return self.make("Open", path=self.file, read=True, write=True).id

    @functools.cached_property
    def locked(self):
        self.make("Lock", id=self.open)
        return self.open

    @functools.cached_property
    def attribute(self):
        self.make("SetXattr", path=self.file, name="user.x", value=b"y")
        return {"path": self.file, "name": "user.x"}

    @functools.cached_property
    def watch(self):
        id = self.make("Watch", path=self.folder).id
        self.make("WriteFile", path=f"{self.folder}/new", data=b"")
        return id

    @functools.cached_property
    def pipe(self):
        id = self.make("CreatePipe").id
        self.make("WritePipe", id=id, data=b"waiting")
        return id

    @functools.cached_property
    def segment(self):
        id = self.make("CreateShm", size_bytes=4).id
        self.make("WriteShm", id=id, data=b"shm")
        return id

    @functools.cached_property
    def queue(self):
        id = self.make("CreateQueue").id
        self.make("SendMessage", id=id, data=b"waiting")
        return id

    @functools.cached_property
    def topic(self):
        return self.make("CreateQueue", kind="QUEUE_KIND_TOPIC").id

    @functools.cached_property
    def socket(self):
        return self.make("Socket", kind="SOCKET_KIND_TCP").id

    @functools.cached_property
    def bound(self):
        """A socket and where it is."""
        id = self.make("Socket", kind="SOCKET_KIND_TCP").id
        return id, self.make("Bind", id=id, address={"host": "127.0.0.1"}).address.port

    @functools.cached_property
    def called(self):
        """A socket that somebody waits to be let in at."""
        id, port = self.bound
        self.make("Listen", id=id)
        self.make("Connect", id=self.socket, address={"host": "127.0.0.1", "port": port})
        return id

    @functools.cached_property
    def pair(self):
        """One end, in which there is something to receive."""
        pair = self.make("SocketPair", kind="SOCKET_KIND_UNIX_STREAM")
        self.make("Send", id=pair.peer_id, data=b"waiting")
        return pair.id

    @functools.cached_property
    def mailbox(self):
        """A socket for datagrams, and its port."""
        id = self.make("Socket", kind="SOCKET_KIND_UDP").id
        return id, self.make("Bind", id=id, address={"host": "127.0.0.1"}).address.port

    def post(self, data):
        id, port = self.mailbox
        return {"id": id, "address": {"host": "127.0.0.1", "port": port}, "data": data}

    @functools.cached_property
    def mail(self):
        """The socket for datagrams, with one that has come."""
        self.make("SendTo", **self.post(b"waiting"))
        return self.mailbox[0]

    @functools.cached_property
    def group(self):
        return self.make("CreateGroup").id

    @functools.cached_property
    def mounted(self):
        path = f"{self.home}/mounted"
        self.make("CreateDirectory", path=path)
        self.make("Mount", path=path, kind="MOUNT_KIND_MEMORY")
        return path

    @functools.cached_property
    def snapshot(self):
        id = self.make("Snapshot", path=self.mounted).id
        self.make("WriteFile", path=f"{self.mounted}/new", data=b"")
        return id

    def spawn(self, program, *args, **more):
        return self.make(
            "SpawnProcess", program=f"/usr/bin/{program}", args=args, level="SANDBOX_LEVEL_PRIVILEGED", **more
        ).pid

    @functools.cached_property
    def sleeper(self):
        return self.spawn("sleep", "1000", stdio={"stdin": "INPUT_MODE_PIPE"})

    @functools.cached_property
    def talker(self):
        return self.spawn("printf", "said")

    @functools.cached_property
    def typist(self):
        return self.spawn("sleep", "1000", stdio={"terminal": {"rows": 24, "columns": 80}})

    @functools.cached_property
    def stepped(self):
        """A program that runs when its turn comes. Only where uOS and not the host decides are there turns to end."""
        pid = self.sleeper
        self.make("SetPolicy", policy="SCHEDULING_POLICY_ROUND_ROBIN")
        return pid

    @functools.cached_property
    def signalled(self):
        """A signal that waits for whoever asks for it."""
        self.make("MaskSignals", signals=[USR1])
        self.make("SendSignal", signal=USR1)
        return USR1

    def clear(self):
        """Takes away what outlives its maker, or is of all."""
        self.make("SetPolicy", policy="SCHEDULING_POLICY_FAIR")
        for kept in self.make("ListSnapshots").snapshots:
            if kept.path.startswith(f"{self.home}/"):
                self.make("DropSnapshot", id=kept.id)
        for mount in self.make("ListMounts").mounts:
            if mount.path.startswith(f"{self.home}/"):
                self.make("Unmount", path=mount.path, force=True)


def _of(thing, /, **more):
    """The arguments of a call on one of the bench's things: `_of("pipe")` is `{"id": the pipe's}`."""
    key = {"file": "path", "folder": "path", "link": "path", "mounted": "path"}.get(thing, "id")
    key = "pid" if thing in ("sleeper", "stepped", "talker", "typist") else key
    return lambda bench: {key: getattr(bench, thing), **more}


def _nothing(_bench):
    return {}


def _always(**arguments):
    return lambda _bench: arguments


def _at(name, **more):
    return lambda bench: {"path": f"{bench.home}/{name}", **more}


def _from_to(name):
    return lambda bench: {"from": bench.file, "to": f"{bench.home}/{name}"}


SAMPLES = {
    "ReadFile": _of("file"),
    "WriteFile": _at("written", data=b"new"),
    "CreateFile": _at("made"),
    "DeleteFile": _of("file"),
    "ListDirectory": _of("folder"),
    "FileExists": _of("file"),
    "FileStat": _of("file"),
    "MoveFile": _from_to("moved"),
    "CopyFile": _from_to("copied"),
    "CreateDirectory": _at("a/b", parents=True),
    "RemoveDirectory": _of("folder", recursive=True),
    "GetWorkingDirectory": _nothing,
    "SetWorkingDirectory": _of("folder"),
    "TruncateFile": _of("file", size_bytes=3),
    "SpawnProcess": _always(program="/usr/bin/true", level="SANDBOX_LEVEL_PRIVILEGED"),
    "KillProcess": _of("sleeper", tree=True),
    "GetProcessInfo": _of("sleeper"),
    "GetProcessList": _nothing,
    "SetProcessPriority": _of("sleeper", priority=100),
    "GetProcessState": _of("sleeper"),
    "GetProcessStats": _of("sleeper"),
    "WaitProcess": _of("talker"),
    "GetSystemInfo": _nothing,
    "GetCurrentTime": _nothing,
    "GetEnvironmentVar": _always(name="HOME"),
    "SetEnvironmentVar": _always(name="HOME", value="/home"),
    "NetworkRequest": lambda _bench: {"method": "GET", "url": f"http://127.0.0.1:{_web()}/"},
    "CreatePipe": _nothing,
    "WritePipe": _of("pipe", data=b"more"),
    "ReadPipe": _of("pipe"),
    "ClosePipe": _of("pipe"),
    "DestroyPipe": _of("pipe"),
    "PipeStats": _of("pipe"),
    "CreateShm": _always(size_bytes=1),
    "AttachShm": _of("segment", read_only=True),
    "DetachShm": _of("segment"),
    "WriteShm": _of("segment", offset=1, data=b"x"),
    "ReadShm": _of("segment", length=3),
    "DestroyShm": _of("segment"),
    "ShmStats": _of("segment"),
    "ScheduleNext": lambda bench: {} if bench.stepped else None,
    "YieldProcess": _of("stepped"),
    "GetCurrentScheduled": _nothing,
    "GetSchedulerStats": _nothing,
    "Sleep": _always(duration_us=1),
    "GetUptime": _nothing,
    "GetMemoryStats": _nothing,
    "GetProcessMemoryStats": _of("sleeper"),
    "TriggerGC": _nothing,
    "SendSignal": _of("sleeper", signal=CONT),
    "PassHandle": lambda bench: {"pid": bench.sleeper, "id": bench.pipe, "rights": ["HANDLE_RIGHT_READ"]},
    "RestrictHandle": _of("pipe", rights=["HANDLE_RIGHT_READ"]),
    "ListHandles": _nothing,
    "Lock": _of("open"),
    "Unlock": _of("locked"),
    "Open": _of("file", read=True),
    "Close": _of("open"),
    "Read": _of("open"),
    "Write": _of("open", data=b"x"),
    "Pread": _of("open", offset=3),
    "Pwrite": _of("open", offset=3, data=b"x"),
    "Seek": _of("open", offset=2),
    "Dup": _of("open"),
    "Dup2": lambda bench: {"id": bench.open, "to_id": bench.make("Dup", id=bench.open).id},
    "Fsync": _of("open"),
    "Ftruncate": _of("open", length=1),
    "Fstat": _of("open"),
    "Poll": lambda bench: {"handles": [{"id": bench.pipe, "read": True}]},
    "CloseRange": lambda bench: {"first": bench.pipe, "last": bench.pipe},
    "AppendFile": _of("file", data=b"more"),
    "Link": _from_to("linked"),
    "Symlink": _at("pointer", target="file"),
    "ReadLink": _of("link"),
    "Chmod": _of("file", mode=0o600),
    "Chown": _of("file", uid=0),
    "SetTimes": _of("file", modified_us=1_000_000),
    "GetXattr": lambda bench: bench.attribute,
    "SetXattr": _of("file", name="user.x", value=b"y"),
    "ListXattr": lambda bench: {"path": bench.attribute["path"]},
    "Statfs": _of("file"),
    "Watch": _of("folder"),
    "Unwatch": _of("watch"),
    "TempFile": _of("folder", prefix="draft-"),
    "ReadWatch": _of("watch"),
    "Mount": _of("folder", kind="MOUNT_KIND_MEMORY"),
    "Unmount": _of("mounted"),
    "ListMounts": _nothing,
    "Snapshot": _of("mounted"),
    "ListSnapshots": _nothing,
    "RestoreSnapshot": _of("snapshot"),
    "DiffSnapshot": _of("snapshot"),
    "DropSnapshot": _of("snapshot"),
    "PauseProcess": _of("sleeper"),
    "ResumeProcess": _of("sleeper"),
    "WriteStdin": _of("sleeper", data=b"x"),
    "ReadOutput": _of("talker"),
    "ResizeTerminal": _of("typist", size={"rows": 25, "columns": 90}),
    # None named: which can be changed depends on the host.
    "SetLimits": _of("sleeper", limits={}),
    "GetLimits": _of("sleeper"),
    "GetChildren": _nothing,
    "GetGrants": _nothing,
    "DropGrants": _always(drop=["sys.admin"]),
    "GetResourceUsage": _of("sleeper"),
    "GetEnforcement": _of("sleeper"),
    "SetSignalAction": _always(signal=USR1, action="SIGNAL_ACTION_IGNORE"),
    "MaskSignals": _always(signals=[USR1]),
    "PendingSignals": _nothing,
    "WaitSignal": lambda bench: {"signals": [bench.signalled]},
    "CreateQueue": _always(kind="QUEUE_KIND_PRIORITY"),
    "SendMessage": _of("queue", data=b"more"),
    "ReceiveMessage": _of("queue"),
    "Subscribe": _of("topic"),
    "Unsubscribe": lambda bench: {"id": bench.make("Subscribe", id=bench.topic).id},
    "CloseQueue": _of("queue"),
    "DestroyQueue": _of("queue"),
    "QueueStats": _of("queue"),
    "Socket": _always(kind="SOCKET_KIND_TCP"),
    "Bind": _of("socket", address={"host": "127.0.0.1"}),
    "Listen": lambda bench: {"id": bench.bound[0]},
    "Accept": _of("called"),
    "Connect": lambda bench: {"id": bench.socket, "address": {"host": "127.0.0.1", "port": _web()}},
    "Send": _of("pair", data=b"x"),
    "Receive": _of("pair"),
    "SendTo": lambda bench: bench.post(b"x"),
    "ReceiveFrom": _of("mail"),
    "Shutdown": _of("pair", direction="DIRECTION_SEND"),
    "SocketPair": _always(kind="SOCKET_KIND_UNIX_SEQPACKET"),
    "SetSocketOption": _of("socket", option="SOCKET_OPTION_TTL", value=9),
    "GetSocketOption": _of("socket", option="SOCKET_OPTION_TTL"),
    "Resolve": _always(name="localhost"),
    "SetPolicy": _always(policy="SCHEDULING_POLICY_EEVDF"),
    "GetPolicy": _nothing,
    "SetQuantum": _of("sleeper"),
    "GetProcessSchedule": _of("sleeper"),
    "ListSchedule": _nothing,
    "SetAffinity": _of("sleeper", cpus=[min(os.sched_getaffinity(0))]),
    "GetAffinity": _of("sleeper"),
    "SetRealtime": _of("sleeper"),
    "SetDeadline": _of("sleeper"),
    "CreateGroup": _nothing,
    "SetGroup": lambda bench: {"id": bench.group, "pid": bench.sleeper},
    "DestroyGroup": _of("group"),
    "GetRandom": _always(length=16),
    "ListEnvironment": _nothing,
    "UnsetEnvironmentVar": _always(name="HOME"),
    "GetHostCapabilities": _nothing,
}

# What an answer says where it is known; a call that isn't here has said all by succeeding.
ANSWERS = {
    "ReadFile": lambda reply: reply.data == b"content",
    "WriteFile": lambda reply: reply.bytes_written == 3,
    "ListDirectory": lambda reply: [entry.name for entry in reply.entries] == ["inner"],
    "FileExists": lambda reply: reply.exists,
    "FileStat": lambda reply: reply.size_bytes == 7,
    "CopyFile": lambda reply: reply.copied_bytes == 7,
    "GetWorkingDirectory": lambda reply: reply.path == "/",
    "SpawnProcess": lambda reply: reply.pid > 1 and reply.os_pid > 1,
    "GetProcessState": lambda reply: reply.state == 1,
    "WaitProcess": lambda reply: reply.exited and reply.code == 0,
    "GetCurrentTime": lambda reply: reply.time_us > 1_700_000_000_000_000,
    "NetworkRequest": lambda reply: (reply.status, reply.body) == (200, b"here"),
    "ReadPipe": lambda reply: reply.data == b"waiting",
    "PipeStats": lambda reply: reply.buffered_bytes == 7,
    "ReadShm": lambda reply: reply.data == b"shm",
    "GetUptime": lambda reply: reply.uptime_us > 0,
    "Read": lambda reply: reply.data == b"content",
    "Pread": lambda reply: reply.data == b"tent",
    "Seek": lambda reply: reply.position == 2,
    "Fstat": lambda reply: reply.attributes.size_bytes == 7,
    "Poll": lambda reply: len(reply.ready) == 1 and reply.ready[0].read,
    "CloseRange": lambda reply: reply.closed == 1,
    "ReadLink": lambda reply: reply.target == "file",
    "GetXattr": lambda reply: reply.value == b"y",
    "ListXattr": lambda reply: [it.name for it in reply.names] == ["user.x"],
    "TempFile": lambda reply: "/folder/draft-" in reply.path,
    "ReadWatch": lambda reply: reply.changes[0].path.endswith("/folder/new"),
    "DiffSnapshot": lambda reply: [it.path.rsplit("/", 1)[-1] for it in reply.differences] == ["new"],
    "RestoreSnapshot": lambda reply: reply.changes == 1,
    "ReadOutput": lambda reply: reply.data == b"said",
    "GetGrants": lambda reply: sorted(reply.grants) == sorted(GRANTS),
    "DropGrants": lambda reply: sorted(reply.grants) == sorted(set(GRANTS) - {"sys.admin"}),
    "WaitSignal": lambda reply: reply.signal == USR1,
    "ReceiveMessage": lambda reply: reply.data == b"waiting",
    "SendMessage": lambda reply: reply.receivers == 1,
    "GetRandom": lambda reply: len(reply.data) == 16,
    "Bind": lambda reply: reply.address.port > 0,
    "Accept": lambda reply: reply.id > 0 and reply.peer.host == "127.0.0.1",
    "Connect": lambda reply: reply.peer.port == _web(),
    "Receive": lambda reply: reply.data == b"waiting",
    "ReceiveFrom": lambda reply: reply.data == b"waiting" and reply.address.host == "127.0.0.1",
    "GetSocketOption": lambda reply: reply.value > 0,
    "Resolve": lambda reply: "127.0.0.1" in reply.addresses,
}
