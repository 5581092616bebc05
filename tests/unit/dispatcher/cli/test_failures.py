"""The one line of a failure: what a person at a terminal can do about it, by options that there are."""

from __future__ import annotations

import pytest

from dispatcher.cli.failures import sentence
from protocol.errors import CallboardError
from worker_sdk.errors import CallTimedOut, ServerUnreachable, UnexpectedAnswer

URL = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "error",
    [
        ServerUnreachable(URL, "refused", 3),
        UnexpectedAnswer(f"{URL}/twirp/callboard.JobService/ListJobs", 404, "Not Found"),
        UnexpectedAnswer(URL, 200, "no JSON"),
    ],
)
def test_a_wrong_address_is_told_by_the_option_that_has_it(error: CallboardError) -> None:
    assert "that --url (LIVEKIT_URL) is" in sentence(error)


def test_a_slow_server_is_not_answered_with_what_only_a_program_can_set() -> None:
    told = sentence(CallTimedOut(URL, "none within 15 s", 1, may_have_happened=True))
    assert "call_timeout_seconds" not in told
    assert told.endswith("see its log; what was asked for may be done or not")
