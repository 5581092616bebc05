"""Who is let in at an upgrade, and what is remembered: with a clock that the test moves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.config import ApiKey
from dispatcher.core.jobs import SECOND, seconds
from dispatcher.server.access import Access
from dispatcher.server.admission import Admission, Admitted, Refused
from dispatcher.server.limits import ServerLimits
from protocol.limits import WireLimits
from protocol.tokens import mint_api_token

NOW = 1_800_000_000 * SECOND
SECRET = "a-secret-of-the-tests-that-is-long-enough"
LIMITS = ServerLimits(
    refused_upgrades_max=3,
    refused_upgrades_window_seconds=10,
    bad_start_penalty_seconds=1,
    bad_start_penalty_seconds_max=8,
    remembered_addresses_max=4,
)


def _admission(limits: ServerLimits = LIMITS) -> Admission:
    return Admission(Access({"key": ApiKey(SECRET)}, WireLimits()), limits)


def _ask(
    admission: Admission,
    *,
    address: str = "10.0.0.1",
    program: str = "agents",
    good: bool = True,
    at_seconds: float = 0,
    draining: bool = False,
) -> Admitted | Refused:
    now = NOW + seconds(at_seconds)
    token = mint_api_token("key", SECRET, now_ns=now, agent=True) if good else "nonsense"
    headers = [
        (b"authorization", f"Bearer {token}".encode()),
        (b"user-agent", program.encode()),
    ]
    return admission.ask(address, headers, b"", now, draining=draining)


def _let_in(answer: Admitted | Refused) -> Admitted:
    assert isinstance(answer, Admitted), answer
    return answer


def _status(answer: Admitted | Refused) -> int:
    return answer.status if isinstance(answer, Refused) else 101


def test_refusals_over_the_limit_of_a_window_are_429() -> None:
    admission = _admission()
    assert [_status(_ask(admission, good=False)) for _ in range(5)] == [401, 401, 401, 429, 429]


def test_a_new_window_begins_with_401() -> None:
    admission = _admission()
    for _ in range(5):
        _ask(admission, good=False)
    assert _status(_ask(admission, good=False, at_seconds=9.9)) == 429
    assert _status(_ask(admission, good=False, at_seconds=10)) == 401


def test_a_429_says_when_the_window_ends() -> None:
    admission = _admission()
    for _ in range(3):
        _ask(admission, good=False)
    answer = _ask(admission, good=False, at_seconds=7.5)
    assert isinstance(answer, Refused)
    assert answer.retry_after_seconds == 3


def test_a_valid_token_is_never_limited() -> None:
    admission = _admission()
    for _ in range(10):
        _ask(admission, good=False)
    assert _status(_ask(admission)) == 101


def test_each_address_has_a_limit_of_its_own() -> None:
    admission = _admission()
    for _ in range(5):
        _ask(admission, good=False)
    assert _status(_ask(admission, good=False, address="10.0.0.2")) == 401


def test_only_the_first_429_of_a_window_is_worth_a_line_in_the_log() -> None:
    admission = _admission()
    answers = [_ask(admission, good=False) for _ in range(6)]
    noteworthy = [isinstance(answer, Refused) and answer.noteworthy for answer in answers]
    assert noteworthy == [True, True, True, True, False, False]


def test_the_address_seen_longest_ago_is_forgotten_first() -> None:
    admission = _admission()
    for _ in range(3):
        _ask(admission, good=False, address="first")
    for number in range(3):
        _ask(admission, good=False, address=f"other {number}")
    assert _status(_ask(admission, good=False, address="first")) == 429
    for number in range(4):
        _ask(admission, good=False, address=f"more {number}")
    assert _status(_ask(admission, good=False, address="first")) == 401


def test_a_draining_server_refuses_503() -> None:
    assert _status(_ask(_admission(), draining=True)) == 503


def test_a_bad_start_keeps_its_kind_out_for_a_while() -> None:
    admission = _admission()
    admission.note_bad_start(_let_in(_ask(admission)), NOW)
    assert _status(_ask(admission, at_seconds=0.9)) == 429
    assert _status(_ask(admission, at_seconds=1)) == 101


@pytest.mark.parametrize("other", [{"address": "10.0.0.2"}, {"program": "another"}])
def test_a_bad_start_keeps_no_other_kind_out(other: dict[str, str]) -> None:
    admission = _admission()
    admission.note_bad_start(_let_in(_ask(admission)), NOW)
    assert _status(_ask(admission, **other)) == 101  # type: ignore[arg-type]


def test_each_bad_start_doubles_the_wait_up_to_a_limit() -> None:
    admission = _admission()
    admitted = _let_in(_ask(admission))
    for wait_seconds in (1, 2, 4, 8, 8):
        admission.note_bad_start(admitted, NOW)
        assert _status(_ask(admission, at_seconds=wait_seconds - 0.1)) == 429
        assert _status(_ask(admission, at_seconds=wait_seconds)) == 101


def test_a_good_start_forgives_the_bad_ones() -> None:
    admission = _admission()
    admitted = _let_in(_ask(admission))
    admission.note_bad_start(admitted, NOW)
    admission.note_good_start(admitted)
    assert _status(_ask(admission)) == 101


def test_bad_starts_of_long_ago_do_not_count() -> None:
    admission = _admission()
    admitted = _let_in(_ask(admission))
    for _ in range(4):
        admission.note_bad_start(admitted, NOW)
    admission.note_bad_start(admitted, NOW + 60 * SECOND)
    assert _status(_ask(admission, at_seconds=61)) == 101


def test_unregistered_sockets_are_bounded_by_address_and_in_all() -> None:
    limits = replace(LIMITS, unregistered_sockets_per_address_max=2, unregistered_sockets_max=3)
    admission = _admission(limits)
    first = _let_in(_ask(admission))
    _let_in(_ask(admission))
    assert _status(_ask(admission)) == 503
    _let_in(_ask(admission, address="10.0.0.2"))
    assert _status(_ask(admission, address="10.0.0.3")) == 503
    admission.note_start_ended(first)
    assert _status(_ask(admission)) == 101
