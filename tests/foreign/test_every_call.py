"""A program in another language walks through all calls there are, and each succeeds."""

import pytest

from client import Refused
from samples import ANSWERS, GRANTS, SAMPLES, Bench


@pytest.fixture
def bench(process):
    made = []

    def make(name):
        made.append(Bench(process(*GRANTS).client, f"bench-{name}"))
        return made[-1]

    yield make
    for bench in made:
        bench.client.call("SetWorkingDirectory", path="/home")
        bench.clear()
        bench.make("RemoveDirectory", path=bench.home, recursive=True)


def calls(client):
    return [field.message_type.name for field in client.type("Call").DESCRIPTOR.oneofs_by_name["call"].fields]


def test_every_call_has_a_sample(admin):
    assert sorted(calls(admin)) == sorted(SAMPLES), "say in samples.py how a new call is made"
    assert set(ANSWERS) <= set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_call_succeeds(bench, name):
    own = bench(name)
    arguments = SAMPLES[name](own)
    try:
        reply = own.make(name, **arguments)
    except Refused as refused:
        raise AssertionError(f"{name} {arguments}: {refused}") from None
    assert ANSWERS.get(name, lambda _reply: True)(reply), f"{name} {arguments} answered {reply}"


def test_one_program_walks_through_all_of_them(bench):
    """On one connection, as one process; what some calls end is made anew for the next."""
    own = bench("walk")
    walked = []
    for name in calls(own.client):
        if name == "DropGrants":
            # Nothing comes back of what is given up: last of all.
            continue
        step = Bench(own.client, f"bench-walk/{name}")
        reply = step.make(name, **SAMPLES[name](step))
        assert reply.DESCRIPTOR.name == f"{name}Reply"
        walked.append(name)
        own.client.call("SetWorkingDirectory", path="/home")
        step.clear()
    own.make("DropGrants", **SAMPLES["DropGrants"](own))
    assert len(walked) + 1 == len(SAMPLES)
