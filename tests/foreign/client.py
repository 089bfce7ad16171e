"""A client of a uOS server that is built from server reflection alone.

There is no generated code here and no knowledge of the contract beyond the name of the service: what a program in any
language can do with grpcio and a token.
"""

import re

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVICE = "uos.v1.Kernel"

# Every rpc has a deadline, so that a server that never answers fails a test instead of hanging it.
DEADLINE_S = 30


class Refused(Exception):
    """A call that failed. `error` is the server's `uos.v1.Error`."""

    def __init__(self, error):
        super().__init__(f"{error.name} ({error.errno}): {error.message} right={error.right!r} hint={error.hint!r}")
        self.error = error


class _Bearer(
    grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamStreamClientInterceptor
):
    """Puts the token on every rpc, reflection included."""

    def __init__(self, token):
        self._entry = ("authorization", f"Bearer {token}")

    def _with_token(self, details):
        return details._replace(metadata=[*(details.metadata or ()), self._entry])

    def intercept_unary_unary(self, go_on, details, request):
        return go_on(self._with_token(details), request)

    def intercept_unary_stream(self, go_on, details, request):
        return go_on(self._with_token(details), request)

    def intercept_stream_stream(self, go_on, details, requests):
        return go_on(self._with_token(details), requests)


class Client:
    """One connection with one token."""

    def __init__(self, address, token):
        # A pool of its own: otherwise grpcio shares one connection among all channels to an address, and a test that
        # closes a channel would not close the connection.
        self.channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        self.authorised = grpc.intercept_channel(self.channel, _Bearer(token))
        self._pool = DescriptorPool(ProtoReflectionDescriptorDatabase(self.authorised))
        self.service = self._pool.FindServiceByName(SERVICE)

    def close(self):
        self.channel.close()

    def message(self, name, /, **fields):
        """A message of the contract, such as `message("ReadFile", path="/home/x")`."""
        return self.type(name)(**fields)

    def type(self, name):
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(f"uos.v1.{name}"))

    def rpc(self, name):
        """An rpc of the service as a callable; whether it streams is read from the descriptor."""
        method = self.service.methods_by_name[name]
        shape = ("stream" if method.client_streaming else "unary") + "_" + (
            "stream" if method.server_streaming else "unary"
        )
        return getattr(self.authorised, shape)(
            f"/{SERVICE}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )

    def pack(self, name, /, **arguments):
        """The `Call` that holds one call with its arguments."""
        field = self.field(name)
        call = self.message("Call")
        getattr(call, field).CopyFrom(self.message(name, **arguments))
        # Without this a call without arguments would not be there at all.
        getattr(call, field).SetInParent()
        return call

    def field(self, name):
        """The field of `Call`, and of `Reply`, that belongs to a call."""
        fields = self.type("Call").DESCRIPTOR.oneofs_by_name["call"].fields
        return next(field.name for field in fields if field.message_type.name == name)

    def request(self, name, /, pid=0, request_id=None, **arguments):
        request = self.message("ExecuteRequest", pid=pid, call=self.pack(name, **arguments))
        if request_id is not None:
            request.request_id = request_id
        return request

    def call(self, name, /, pid=0, request_id=None, **arguments):
        """Makes a call and gives its reply; raises `Refused`. Arguments named `pid` go by `call_on`."""
        request = self.request(name, pid=pid, request_id=request_id, **arguments)
        return self.open(self.rpc("Execute")(request, timeout=DEADLINE_S), name)

    def call_on(self, name, target_pid, /, **arguments):
        """Makes a call whose argument is a pid. (`pid` of `call` says as whom it is made.)"""
        request = self.message("ExecuteRequest")
        call = self.pack(name, **arguments)
        getattr(call, self.field(name)).pid = target_pid
        request.call.CopyFrom(call)
        return self.open(self.rpc("Execute")(request, timeout=DEADLINE_S), name)

    def refused(self, name, /, **arguments):
        """Makes a call that must fail, and gives its error."""
        return self._error(lambda: self.call(name, **arguments), name)

    def refused_on(self, name, target_pid, /, **arguments):
        """The same for a call whose argument is a pid."""
        return self._error(lambda: self.call_on(name, target_pid, **arguments), name)

    @staticmethod
    def _error(attempt, name):
        try:
            reply = attempt()
        except Refused as refused:
            return refused.error
        raise AssertionError(f"{name} must be refused, but answered {reply!r}")

    def open(self, answer, name):
        """The reply inside an answer to the call `name`."""
        result = answer.WhichOneof("result")
        if result == "error":
            raise Refused(answer.error)
        assert result == "reply", f"{name} was answered by nothing: {answer}"
        given = answer.reply.WhichOneof("reply")
        assert given == self.field(name), f"{name} was answered by {given}"
        return getattr(answer.reply, given)

    def create_process(self, **fields):
        """Makes a process; gives its pid and its token."""
        answer = self.rpc("CreateProcess")(self.message("CreateProcessRequest", **fields), timeout=DEADLINE_S)
        if answer.HasField("error"):
            raise Refused(answer.error)
        assert answer.pid > 1 and answer.token, answer
        return answer.pid, answer.token

    def read_output(self, pid, stream="OUTPUT_STREAM_STDOUT"):
        """Everything a program has written to a stream, up to its end."""
        data = b""
        while True:
            part = self.call_on("ReadOutput", pid, stream=stream, offset=len(data))
            assert part.offset == len(data), "nothing may have been dropped"
            data += part.data
            if part.end:
                return data


def without_number(error, number):
    """The bytes of an error with the one number that may differ taken out of its sentences."""
    bare = type(error)()
    bare.CopyFrom(error)
    for field in ("message", "hint", "right", "stage"):
        text = getattr(bare, field)
        if text:
            setattr(bare, field, re.sub(rf"\b{number}\b", "#", text))
    return bare.SerializeToString(deterministic=True)
