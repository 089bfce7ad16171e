"""A listener to the live events: a WebSocket by a library that knows nothing of uOS."""

import json
import socket
import threading
import urllib.parse

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from client import DEADLINE_S
from desk import bearer


class Feed:
    """One connection. `place` is the last event one had, or any `{epoch, seq}`."""

    def __init__(self, server, place=None, headers=None, receive_bytes=None, query=None):
        if place is not None:
            query = {"epoch": place["epoch"], "after": place["seq"]}
        path = "/events" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        # A socket of our own: the name in the URL is then only what `Host` says.
        own = socket.socket()
        if receive_bytes is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        own.settimeout(DEADLINE_S)
        own.connect((server.host, server.port))
        try:
            connection = connect(
                f"ws://{server.address}{path}",
                sock=own,
                additional_headers=bearer(server.token) if headers is None else headers,
                open_timeout=DEADLINE_S,
                close_timeout=DEADLINE_S,
                proxy=None,
                compression=None,
                ping_interval=None,
                max_size=None,
                # Nothing is read ahead of what a test reads, but for one message.
                max_queue=1,
            )
            self.socket = connection.__enter__()
        except BaseException:
            own.close()
            raise
        self._own = own

    def next(self):
        """The next event. Fails if none comes within the deadline."""
        return json.loads(self.socket.recv(timeout=DEADLINE_S))

    def until(self, last):
        """All events up to the first that `last` holds for, which is among them."""
        events = []
        while not events or not last(events[-1]):
            events.append(self.next())
        return events

    def close(self):
        """Parts in order. What still comes is read and thrown away, since the library waits for that."""
        parting = threading.Thread(target=self.socket.close)
        parting.start()
        try:
            while True:
                self.socket.recv(timeout=DEADLINE_S)
        except ConnectionClosed:
            parting.join()

    def break_off(self):
        """Goes without a word, as a cable that is pulled."""
        self._own.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
