"""gRPC-web by hand: one call over plain HTTP/1.1, as a browser without any library would make it."""

import http.client
import struct

from client import DEADLINE_S, SERVICE


def web_frame(message):
    """A message behind its five bytes: no flags, and its length."""
    return struct.pack(">BI", 0, len(message)) + message


def web_call(server, rpc, message, headers):
    """Makes one call; gives the HTTP status, the gRPC status and the reply's bytes."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=DEADLINE_S)
    try:
        sent = {"content-type": "application/grpc-web+proto", **headers}
        connection.request("POST", f"/{SERVICE}/{rpc}", web_frame(message), sent)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    grpc_status, reply = response.getheader("grpc-status"), None
    if response.getheader("content-type", "").startswith("application/grpc-web"):
        while body:
            flags, length = struct.unpack(">BI", body[:5])
            part, body = body[5 : 5 + length], body[5 + length :]
            if flags & 0x80:
                trailers = dict(line.split(":", 1) for line in part.decode().splitlines() if line)
                grpc_status = trailers["grpc-status"].strip()
            else:
                reply = part
    return response.status, grpc_status, reply
