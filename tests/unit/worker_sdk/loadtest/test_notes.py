"""What is said before the figures are believed."""

from __future__ import annotations

import os

import pytest

from tests.unit.worker_sdk.loadtest.measured_runs import good_book, measured_run, results_of
from worker_sdk.loadtest.notes import notes_on
from worker_sdk.loadtest.profile import Profile
from worker_sdk.loadtest.server_record import ServerRecord
from worker_sdk.loadtest.tally import Count

CORES = float(os.cpu_count() or 1)


def notes(
    *,
    is_saturated: bool = False,
    is_stock: bool = False,
    record: ServerRecord | None = None,
    sums: dict[str, int] | None = None,
    not_made: int = 0,
    **values: float,
) -> list[str]:
    measured = measured_run(machine_cpu=0.0)
    measured.sums.update(sums or {})
    measured.counts[Count.NOT_MADE][0] += not_made
    figures = {**results_of(measured, good_book()).figures.values, **values}
    return notes_on(
        Profile(), measured, figures, is_saturated=is_saturated, is_stock=is_stock, record=record
    )


def test_of_a_good_run_there_is_nothing_to_note() -> None:
    assert notes() == []


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ({"is_saturated": True}, "the harness itself was the bottleneck"),
        ({"harness_late_p99_ms": 8.0}, "the harness made calls up to 8 ms late (p99)"),
        ({"machine_cpu_cores": CORES}, "server, harness and all else on this machine used"),
        ({"sums": {"waits_for_connection": 7}}, "7 calls waited for one of the connections"),
        ({"sums": {"foreign_jobs": 3}}, "3 jobs were not of this run"),
        ({"harness_lag_p99_ms": 8.0}, "the harness read what came up to 8 ms late (p99)"),
        ({"lost": 2.0}, "2 jobs are lost 15 s after the last call"),
        (
            {"record": ServerRecord(queued=5, running=1)},
            "5 jobs were queued and 1 running still 15 s after the last call",
        ),
        ({"record": ServerRecord(ended=3)}, "3 jobs have ended by the server's record"),
        (
            {"record": ServerRecord(unasked=4, why_unasked="more than 2,000")},
            "of 4 of the jobs that count as lost the server was not asked: more than 2,000",
        ),
        ({"not_made": 4}, "calls that were due were not made"),
        ({"is_stock": True}, "livekit-server: durability"),
    ],
    ids=str,
)
def test_what_spoils_a_figure_is_noted(run: dict[str, object], said: str) -> None:
    (note,) = notes(**run)  # type: ignore[arg-type]
    assert note.startswith(said)
