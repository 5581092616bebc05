"""Who is let in at an upgrade, and what is remembered: with a clock that the test moves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.config import ApiKey
from dispatcher.core.jobs import SECOND, seconds
from dispatcher.server.access import Access
from dispatcher.server.admission import REASONS_MAX, Admission, Admitted, Refused
from dispatcher.server.limits import ServerLimits
from protocol.limits import WireLimits
from protocol.tokens import mint_api_token

NOW = 1_800_000_000 * SECOND
SECRET = "a-secret-of-the-tests-that-is-long-enough"
LIMITS = ServerLimits(
    refused_upgrades_max=3,
    refused_upgrades_window_seconds=10,
    bad_start_hold_seconds=1,
    bad_start_hold_seconds_max=8,
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


def _noteworthy(answers: list[Admitted | Refused]) -> list[bool]:
    return [isinstance(answer, Refused) and answer.is_noteworthy for answer in answers]


def test_of_the_429s_of_a_window_the_first_second_and_fourth_are_worth_a_line_in_the_log() -> None:
    admission = _admission()
    answers = [_ask(admission, good=False) for _ in range(8)]
    assert _noteworthy(answers) == [True] * 3 + [True, True, False, True, False]


def test_of_the_503s_of_a_window_the_first_second_and_fourth_are_worth_a_line_in_the_log() -> None:
    admission = _admission()
    answers = [_ask(admission, draining=True) for _ in range(5)]
    assert _noteworthy(answers) == [True, True, False, True, False]
    assert _noteworthy([_ask(admission, draining=True, at_seconds=10)]) == [True]


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


def test_no_number_of_bad_starts_refuses_an_upgrade() -> None:
    admission = _admission()
    admitted = _let_in(_ask(admission))
    for _ in range(50):
        admission.note_bad_start(admitted, "bad", NOW)
    assert _status(_ask(admission)) == 101


def _hold(admission: Admission, admitted: Admitted, at_seconds: float = 0) -> float:
    return admission.note_bad_start(admitted, "bad", NOW + seconds(at_seconds)).hold_seconds


def test_each_bad_start_is_held_twice_as_long_up_to_a_limit() -> None:
    admission = _admission()
    admitted = _let_in(_ask(admission))
    assert [_hold(admission, admitted) for _ in range(6)] == [1, 2, 4, 8, 8, 8]


@pytest.mark.parametrize("other", [{"address": "10.0.0.2"}, {"program": "another"}])
def test_bad_starts_of_another_kind_do_not_count(other: dict[str, str]) -> None:
    admission = _admission()
    for _ in range(3):
        _hold(admission, _let_in(_ask(admission)))
    assert _hold(admission, _let_in(_ask(admission, **other))) == 1  # type: ignore[arg-type]


def test_who_comes_back_right_after_the_hold_is_held_longer() -> None:
    admission = _admission()
    admitted = _let_in(_ask(admission))
    at, holds = 0.0, []
    for _ in range(6):
        holds.append(_hold(admission, admitted, at))
        at += holds[-1] + 0.01
    assert holds == [1, 2, 4, 8, 8, 8]


def test_bad_starts_of_long_ago_do_not_count() -> None:
    admission = _admission()
    admitted = _let_in(_ask(admission))
    for _ in range(5):
        _hold(admission, admitted)
    assert _hold(admission, admitted, at_seconds=16) == 1


def test_bad_starts_are_counted_by_their_reason() -> None:
    admission = _admission()
    admitted = _let_in(_ask(admission))
    counts = [
        admission.note_bad_start(admitted, reason, NOW).count for reason in ("a", "a", "b", "a")
    ]
    assert counts == [1, 2, 1, 3]


def test_reasons_without_end_are_counted_together() -> None:
    admission = _admission()
    admitted = _let_in(_ask(admission))
    counts = [admission.note_bad_start(admitted, f"{n}", NOW).count for n in range(REASONS_MAX + 3)]
    assert counts == [1] * REASONS_MAX + [1, 2, 3]


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
