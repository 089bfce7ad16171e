"""Starts and stops the real server binary."""

import os
import pathlib
import queue
import re
import signal
import subprocess
import threading
import time

import client

START_S = 30
STOP_S = 10


def environment():
    """The environment without what would configure the server from outside."""
    return {name: value for name, value in os.environ.items() if not name.startswith("UOS_")}


def binary():
    path = os.environ.get("UOS_SERVER_BIN")
    assert path, "UOS_SERVER_BIN must name the server binary; `cargo xtask test foreign` sets it"
    return path


class Server:
    """A running server with a data directory of its own."""

    def __init__(self, data_dir, *args, listen="127.0.0.1:0"):
        self.data_dir = pathlib.Path(data_dir)
        self._complaints = open(self.data_dir.parent / f"{self.data_dir.name}.stderr", "w+b")
        self.process = subprocess.Popen(
            [binary(), "--listen", listen, "--data-dir", str(data_dir), *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=environment(),
            text=True,
        )
        self._lines = queue.Queue()
        # The pipe is read to its end, so that a server that prints much is never held up by us.
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.address = self._listening()
            self.token = (self.data_dir / "token").read_text().strip()
        except BaseException:
            self.kill()
            raise
        self.host, port = self.address.split(":")
        self.port = int(port)

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _listening(self):
        return self.printed(r"listening on http://(127\.0\.0\.1:\d+)\n")

    def printed(self, pattern):
        """Waits for a line that looks so; gives its first group. Lines before it are not looked at again."""
        deadline = time.monotonic() + START_S
        while True:
            try:
                line = self._lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line {pattern} within {START_S} s\n{self.complaints()}") from None
            assert line is not None, f"the server ended before it said {pattern}\n{self.complaints()}"
            found = re.fullmatch(pattern, line)
            if found:
                return found.group(1)

    def complaints(self):
        self._complaints.flush()
        return pathlib.Path(self._complaints.name).read_text(errors="replace")[-4000:]

    def client(self, token=None):
        return client.Client(self.address, self.token if token is None else token)

    def stop(self):
        """Stops it as an operator would; a server that doesn't end well and in time is a failure."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not stop within {STOP_S} s\n{self.complaints()}") from None
        finally:
            self._complaints.close()
        assert code == 0, f"the server ended with {code}"

    def kill(self):
        self.process.kill()
        self.process.wait()


def refused_start(*args, **variables):
    """Runs a server that must not start; gives its exit code and what it complained."""
    done = subprocess.run(
        [binary(), *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=START_S,
        env={**environment(), **variables},
        text=True,
    )
    assert "listening on" not in done.stdout, done.stdout
    return done.returncode, done.stderr
