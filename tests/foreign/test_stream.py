"""Many calls at once: a stream of overlapping calls, batches, and requests made twice."""

import queue
import time

import pytest

from client import DEADLINE_S

ECANCELED, ENOENT = 125, 2
SECOND_US = 1_000_000


class Stream:
    """A stream that stays open until it is told to end."""

    def __init__(self, client):
        self._client = client
        self._requests = queue.Queue()
        self._answers = client.rpc("Stream")(iter(self._requests.get, None), timeout=DEADLINE_S)

    def send(self, call_id, name, /, **arguments):
        call = self._client.pack(name, **arguments)
        self._requests.put(self._client.message("StreamRequest", id=call_id, call=call))

    def cancel(self, id):
        request = self._client.message("StreamRequest", id=id)
        request.cancel.SetInParent()
        self._requests.put(request)

    def answer(self):
        return next(self._answers)

    def end(self):
        """Ends our side; gives what still comes."""
        self._requests.put(None)
        return list(self._answers)

    def break_off(self):
        """Leaves without a word."""
        self._answers.cancel()
        self._requests.put(None)


@pytest.fixture
def stream(process):
    stream = Stream(process("fs.read:/home/**", "fs.write:/home/**", "ipc.create").client)
    yield stream
    stream.end()


def test_answers_overtake(stream):
    stream.send(1, "Sleep", duration_us=SECOND_US)
    stream.send(2, "GetUptime")
    first, second = stream.answer(), stream.answer()
    assert (first.id, first.reply.WhichOneof("reply")) == (2, "get_uptime")
    assert (second.id, second.reply.WhichOneof("reply")) == (1, "sleep")


def test_many_calls_wait_at_the_same_time(stream):
    count = 200
    begun = time.monotonic()
    for id in range(1, count + 1):
        stream.send(id, "Sleep", duration_us=SECOND_US // 2)
    answers = [stream.answer() for _ in range(count)]
    took = time.monotonic() - begun
    assert sorted(answer.id for answer in answers) == list(range(1, count + 1))
    assert all(answer.WhichOneof("result") == "reply" for answer in answers)
    assert took < count * 0.5 / 4, f"{count} half seconds took {took:.1f} s: they waited for each other"


def test_every_answer_belongs_to_its_call(stream):
    count = 100
    for id in range(1, count + 1):
        stream.send(id, "WriteFile", path=f"/home/stream{id}", data=b"x" * id)
    written = {(answer := stream.answer()).id: answer.reply.write_file.bytes_written for _ in range(count)}
    assert written == {id: id for id in range(1, count + 1)}
    for id in range(1, count + 1):
        stream.send(id, "DeleteFile", path=f"/home/stream{id}")
    assert all(stream.answer().WhichOneof("result") == "reply" for _ in range(count))


def test_a_cancelled_call_says_so(stream):
    begun = time.monotonic()
    stream.send(7, "Sleep", duration_us=600 * SECOND_US)
    stream.cancel(7)
    answer = stream.answer()
    assert (answer.id, answer.error.errno, answer.error.name) == (7, ECANCELED, "ECANCELED")
    assert time.monotonic() - begun < 10


def test_a_cancelled_read_takes_nothing(stream):
    stream.send(1, "CreatePipe")
    pipe = stream.answer().reply.create_pipe.id
    stream.send(2, "ReadPipe", id=pipe)
    stream.cancel(2)
    assert stream.answer().error.errno == ECANCELED
    stream.send(3, "WritePipe", id=pipe, data=b"kept")
    assert stream.answer().reply.write_pipe.bytes_written == 4
    stream.send(4, "ReadPipe", id=pipe)
    assert stream.answer().reply.read_pipe.data == b"kept"


def test_a_failure_stays_with_its_call(stream):
    stream.send(1, "ReadFile", path="/home/nothing here")
    stream.send(2, "GetUptime")
    answers = {(answer := stream.answer()).id: answer for _ in range(2)}
    assert answers[1].error.errno == ENOENT
    assert answers[2].WhichOneof("result") == "reply"


def test_ending_the_requests_still_answers_what_is_under_way(process):
    stream = Stream(process().client)
    stream.send(1, "Sleep", duration_us=SECOND_US // 2)
    stream.send(2, "GetUptime")
    answers = stream.end()
    assert [(answer.id, answer.WhichOneof("result")) for answer in answers] == [(2, "reply"), (1, "reply")]


def test_breaking_off_the_stream_gives_up_what_is_under_way(process):
    me = process("ipc.create")
    pipe = me.client.call("CreatePipe").id
    held = me.client.call("GetProcessInfo").process.handles
    stream = Stream(me.client)
    for id in range(1, 11):
        stream.send(id, "ReadPipe", id=pipe)
    stream.send(11, "GetUptime")
    assert stream.answer().id == 11, "the reads are waiting"
    stream.break_off()
    # The server has to hear of it first; what is written before that may rightly go to one of the old readers.
    time.sleep(0.5)
    me.client.call("WritePipe", id=pipe, data=b"kept")
    assert me.client.call("ReadPipe", id=pipe, timeout_us=5 * SECOND_US).data == b"kept"
    assert me.client.call("GetProcessInfo").process.handles == held


def batch(client, calls, **fields):
    request = client.message("ExecuteBatchRequest", calls=calls, **fields)
    return client.rpc("ExecuteBatch")(request, timeout=DEADLINE_S)


def test_a_batch_keeps_its_order(process):
    me = process("fs.read:/home/**", "fs.write:/home/**").client
    path = "/home/batch"
    results = batch(
        me,
        [
            me.pack("WriteFile", path=path, data=b"one"),
            me.pack("ReadFile", path=path),
            me.pack("WriteFile", path=path, data=b"three"),
            me.pack("ReadFile", path=path),
            me.pack("DeleteFile", path=path),
            me.pack("FileExists", path=path),
        ],
    ).results
    kinds = [result.reply.WhichOneof("reply") for result in results]
    assert kinds == ["write_file", "read_file", "write_file", "read_file", "delete_file", "file_exists"]
    assert (results[1].reply.read_file.data, results[3].reply.read_file.data) == (b"one", b"three")
    assert not results[5].reply.file_exists.exists


def test_a_batch_goes_on_or_stops_at_a_failure(process):
    me = process("fs.read:/home/**").client
    calls = [me.pack("GetUptime"), me.pack("ReadFile", path="/home/nothing here"), me.pack("GetUptime")]
    going_on = batch(me, calls).results
    assert [result.WhichOneof("result") for result in going_on] == ["reply", "error", "reply"]
    stopping = batch(me, calls, stop_on_error=True).results
    assert [result.WhichOneof("result") for result in stopping] == ["reply", "error"]
    assert stopping[1].error.errno == ENOENT


def test_a_batch_that_is_too_long_does_nothing(process, admin):
    me = process("fs.read:/home/**", "fs.write:/home/**").client
    first = me.pack("WriteFile", path="/home/too long", data=b"x")
    fill = me.pack("GetUptime")
    answer = batch(me, [first] + [fill] * 1000)
    assert answer.HasField("error") and not answer.results
    assert not me.call("FileExists", path="/home/too long").exists

    answer = batch(me, [fill] * 1000)
    assert not answer.HasField("error") and len(answer.results) == 1000


def test_a_repeated_request_gives_the_first_answer(process):
    me, other = process().client, process().client
    first = me.call("GetUptime", request_id="once").uptime_us
    time.sleep(0.01)
    assert me.call("GetUptime", request_id="once").uptime_us == first
    assert me.call("GetUptime", request_id="twice").uptime_us > first
    assert other.call("GetUptime", request_id="once").uptime_us > first, "an id belongs to its process"
