"""Statuses wait until they are confirmed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker_sdk.outbox import ReportedStatus, StatusOutbox, StatusReport

RUNNING, SUCCESS, FAILED = (
    ReportedStatus.RUNNING,
    ReportedStatus.SUCCESS,
    ReportedStatus.FAILED,
)


def write_all(outbox: StatusOutbox) -> list[StatusReport]:
    """What one connection writes."""
    written: list[StatusReport] = []
    while (report := outbox.next_unwritten()) is not None:
        outbox.written(report.sequence)
        written.append(report)
    return written


def test_a_status_is_written_once_on_a_connection() -> None:
    outbox = StatusOutbox()
    report = outbox.put("AJ_1", 1, SUCCESS)
    assert write_all(outbox) == [report]
    assert write_all(outbox) == []


def test_an_unconfirmed_status_is_written_again_on_the_next_connection_with_its_sequence() -> None:
    outbox = StatusOutbox()
    report = outbox.put("AJ_1", 1, SUCCESS)
    write_all(outbox)
    outbox.reconnected(has_receipts=True)
    assert write_all(outbox) == [report]


def test_a_confirmed_status_is_never_written_again() -> None:
    outbox = StatusOutbox()
    report = outbox.put("AJ_1", 1, SUCCESS)
    write_all(outbox)
    assert outbox.confirm(report.sequence)
    outbox.reconnected(has_receipts=True)
    assert write_all(outbox) == []
    assert len(outbox) == 0


def test_a_receipt_for_nothing_is_harmless() -> None:
    assert not StatusOutbox().confirm(7)


def test_a_final_status_supersedes_running() -> None:
    outbox = StatusOutbox()
    outbox.put("AJ_1", 1, RUNNING)
    final = outbox.put("AJ_1", 1, FAILED, "broken")
    assert write_all(outbox) == [final]


def test_statuses_of_two_epochs_of_a_job_are_kept_apart() -> None:
    outbox = StatusOutbox()
    first = outbox.put("AJ_1", 1, FAILED)
    second = outbox.put("AJ_1", 2, RUNNING)
    assert write_all(outbox) == [first, second]


def test_a_server_without_receipts_gets_each_status_once() -> None:
    outbox = StatusOutbox()
    report = outbox.put("AJ_1", None, SUCCESS)
    outbox.reconnected(has_receipts=False)
    assert write_all(outbox) == [report]
    outbox.reconnected(has_receipts=False)
    assert write_all(outbox) == []


def test_a_withdrawn_job_is_not_told() -> None:
    outbox = StatusOutbox()
    outbox.put("AJ_1", 1, SUCCESS)
    kept = outbox.put("AJ_2", 1, SUCCESS)
    outbox.withdraw("AJ_1")
    assert write_all(outbox) == [kept]


def test_only_jobs_with_a_final_status_count_as_ended() -> None:
    outbox = StatusOutbox()
    outbox.put("AJ_1", 1, RUNNING)
    outbox.put("AJ_2", 1, SUCCESS)
    assert list(outbox.ended_jobs) == ["AJ_2"]


def test_a_full_outbox_still_takes_final_statuses() -> None:
    outbox = StatusOutbox(statuses_max=1)
    outbox.put("AJ_1", 1, SUCCESS)
    assert outbox.is_full
    outbox.put("AJ_2", 1, SUCCESS)
    assert list(outbox.ended_jobs) == ["AJ_1", "AJ_2"]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 5), st.sampled_from(list(ReportedStatus))),
        st.tuples(st.just("confirm"), st.integers(1, 30)),
        st.tuples(st.just("write")),
        st.tuples(st.just("reconnect")),
    ),
    max_size=40,
)


@given(steps)
def test_whatever_happens_each_unconfirmed_latest_status_reaches_the_next_connection(
    steps: list[tuple[str, int, ReportedStatus] | tuple[str, int] | tuple[str]],
) -> None:
    outbox = StatusOutbox()
    expected: dict[str, StatusReport] = {}
    for step in steps:
        match step:
            case ("put", int(job), ReportedStatus() as status):
                expected[f"AJ_{job}"] = outbox.put(f"AJ_{job}", 1, status)
            case ("confirm", int(sequence)):
                outbox.confirm(sequence)
                expected = {i: r for i, r in expected.items() if r.sequence != sequence}
            case ("write",):
                if (report := outbox.next_unwritten()) is not None:
                    outbox.written(report.sequence)
            case _:
                outbox.reconnected(has_receipts=True)
    outbox.reconnected(has_receipts=True)
    written = write_all(outbox)
    assert sorted(written, key=lambda r: r.sequence) == written
    assert {r.job_id: r for r in written} == expected
