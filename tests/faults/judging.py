"""The verdict on a run, from three parties that know nothing of each other.

The server's event log (read from the data folder when the server has ended), the workers' records
of what they ran, and the callers' list of what was acknowledged to them. `tests.crash.judge` holds
them against each other with the history checker; here is what callers and records show by
themselves, and the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.crash.judge import Verdict, judge_folder
from tests.faults.callers import Calls
from tests.faults.fleet import Fleet, record_files
from tests.faults.tally import Tally

__all__ = ["Judgement", "judge_run"]


@dataclass(frozen=True)
class Judgement:
    """What was found. Empty lists are good."""

    verdict: Verdict
    # one call, two jobs: a retry that was taken for a new wish
    doubled_calls: list[str]
    # answers that are none to a call which may be tried again
    refused_calls: list[str]
    # processes that ended by themselves or would not end
    complaints: list[str]
    late_results_refused: int
    given_up: int
    # seconds from the moment a call was due, faults included
    acknowledged_seconds: list[float] = field(repr=False)
    started_seconds: list[float] = field(repr=False)

    @property
    def problems(self) -> list[str]:
        """All that is wrong, in words."""
        verdict = self.verdict
        return [
            *verdict.lost,
            *verdict.doubled,
            *verdict.stale,
            *verdict.broken,
            *self.doubled_calls,
            *self.refused_calls,
            *self.complaints,
        ]

    @property
    def is_good(self) -> bool:
        """Is nothing wrong?"""
        return not self.problems

    def __str__(self) -> str:
        return (
            f"{self.verdict}\n"
            f"{len(self.doubled_calls)} calls with two jobs, {len(self.refused_calls)} refused, "
            f"{self.given_up} given up; {self.late_results_refused} results of older epochs refused; "
            f"{len(self.complaints)} processes ended badly\n"
            f"acknowledged: {percentiles(self.acknowledged_seconds)}\n"
            f"started:      {percentiles(self.started_seconds)} (first epoch, faults included)"
        )


def judge_run(fleet: Fleet, calls: Calls, tally: Tally) -> Judgement:
    """Judge a run whose processes have all ended, and whose records are all in the tally."""
    doubled = [f"{room}: {sorted(ids)}" for room, ids in tally.jobs_of_room.items() if len(ids) > 1]
    return Judgement(
        judge_folder(calls.acknowledged, fleet.data, record_files(fleet.folder)),
        doubled_calls=[*calls.doubled, *doubled],
        refused_calls=calls.refused,
        complaints=fleet.complaints,
        late_results_refused=tally.late_results,
        given_up=len(calls.given_up),
        acknowledged_seconds=calls.answered_after_seconds,
        started_seconds=[
            (started_ns - calls.due_at_ns[room]) / 1e9
            for room, started_ns in tally.first_start_ns.items()
        ],
    )


def percentiles(seconds: list[float]) -> str:
    """Half, 99 % and the worst, in milliseconds."""
    if not seconds:
        return "nothing measured"
    ordered = sorted(seconds)

    def at(share: float) -> str:
        return f"{ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3:,.0f} ms"

    return f"p50 {at(0.5)}, p90 {at(0.9)}, p99 {at(0.99)}, max {at(1.0)}, n={len(ordered):,}"
