"""Schemathesis reads the committed description and tries what comes to mind: no answer may surprise who has read it.

The cases are the same in every run. What is looked for: no answer of the 500s, only answers that are described, in the
described form, and none that takes what the description forbids.
"""

import os

import hypothesis
import pytest
import schemathesis

from desk import bearer
from routes import API, Things

EXAMPLES = int(os.environ.get("UOS_CAMPAIGN_EXAMPLES", "5"))


def described(**generation):
    """The routes, with what is expected of them where it differs from what schemathesis expects."""
    checks = {
        # Every key at every door is tried in test_doors.py; here the token is always sent along.
        "ignored_auth": {"enabled": False},
        # Not all that makes no sense can be said in a schema, such as a snapped window that fills no part of the desktop.
        "positive_data_acceptance": {"expected-statuses": ["2xx", "401", "403", "404", "409", "422", "426"]},
        # A plain request for events is always told that they come over a WebSocket.
        "negative_data_rejection": {"expected-statuses": ["400", "401", "403", "404", "405", "409", "413", "422", "426"]},
    }
    config = schemathesis.Config.from_dict({"seed": 20261124, "checks": checks, "generation": generation})
    return schemathesis.openapi.from_dict(API, config=config)


SETTINGS = hypothesis.settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
anything = described()
sensible = described(mode="positive")
# For each route with an id, what it answered when that was the id of something.
answered = {}


def tried(case, server):
    # Any bytes are a file, so the description forbids none.
    spared = [schemathesis.checks.negative_data_rejection] if case.path == "/files/{path}" else []
    return case.call_and_validate(
        base_url=f"http://{server.address}", headers=bearer(server.token), excluded_checks=spared
    )


@pytest.fixture
def things(desk):
    return Things(desk)


@anything.parametrize()
@SETTINGS
def test_whatever_is_sent_is_answered_as_described(case, desktop, desk):
    tried(case, desktop)


@sensible.include(path_regex=r"\{id\}").parametrize()
@SETTINGS
def test_what_is_done_to_things_that_are_there_is_answered_as_described(case, desktop, things):
    things.renew()
    case.path_parameters["id"] = things.id(case.path)
    if isinstance(case.body, dict) and "window_id" in case.body:
        case.body["window_id"] = things.app["window_id"]
    answer = tried(case, desktop)
    answered.setdefault(f"{case.method} {case.path}", set()).add(answer.status_code)


def test_each_of_these_has_succeeded_at_least_once():
    """The control: had nothing got past the door, the two above would have shown little."""
    assert len(answered) > 10
    never = {route: statuses for route, statuses in answered.items() if min(statuses) >= 300}
    assert not never, never
