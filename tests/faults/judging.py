"""The verdict on a run, from three parties that know nothing of each other.

The server's event log (read from the data folder when the server has ended), the workers' records
of what they ran, and the callers' list of what was acknowledged to them. `tests.crash.judge` holds
them against each other with the history checker, `promises` against what the plan meant; here is
what callers and records show by themselves, what was never tried, and the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dispatcher.history import WorkerRecord
from dispatcher.history.folder import FolderHistory
from dispatcher.history.reading import Logs
from dispatcher.store.contract import EventRow
from tests.crash.judge import Verdict, judge
from tests.faults.callers import Calls
from tests.faults.fleet import Fleet, offered_files, record_files
from tests.faults.plan import Plan
from tests.faults.promises import (
    Chance,
    Promises,
    end_is_wrong,
    judge_promises,
    late_words,
)
from tests.faults.tally import Tally

__all__ = ["Judgement", "judge_run"]


@dataclass(frozen=True)
class Judgement:
    """What was found. Empty lists are good."""

    verdict: Verdict
    promises: Promises
    # what the plan meant to put to the test, and did not
    untried: list[str]
    # one call, two jobs: a retry that was taken for a new wish
    doubled_calls: list[str]
    # answers that are none to a call which may be tried again
    refused_calls: list[str]
    # processes that ended by themselves or would not end
    complaints: list[str]
    given_up: int
    # seconds from the moment a call was due, faults included
    acknowledged_seconds: list[float] = field(repr=False)
    started_seconds: list[float] = field(repr=False)

    @property
    def stale(self) -> list[str]:
        """Results that counted, and were not of the epoch, or not reached."""
        said = {one.job_id for one in self.verdict.history.of("results")}
        own = [what for job_id, what in self.promises.stale if job_id not in said]
        return [*self.verdict.stale, *own]

    @property
    def problems(self) -> list[str]:
        """All that is wrong, in words."""
        verdict = self.verdict
        return [
            *self.untried,
            *verdict.lost,
            *verdict.doubled,
            *self.stale,
            *self.promises.unfenced,
            *verdict.broken,
            *self.doubled_calls,
            *self.refused_calls,
            *self.complaints,
        ]

    @property
    def is_good(self) -> bool:
        """Is nothing wrong, and was everything tried?"""
        return not self.problems

    def __str__(self) -> str:
        verdict, promises = self.verdict, self.promises
        history, chances = verdict.history, promises.chances
        back = (
            f"{chances[Chance.COME_BACK]:,} whose worker was heard of again, and "
            f"{chances[Chance.OLD_CLAIMS]:,} claimed"
        )
        counts = [
            (verdict.lost, "lost", f"{history.acknowledged:,} acknowledged dispatches"),
            (verdict.doubled, "epochs with two holders", f"{chances[Chance.EPOCHS]:,} started"),
            (self.stale, "stale results accepted", f"{_offered(promises)}"),
            (
                promises.unfenced,
                "old runs that went on",
                back,
            ),
            (verdict.broken, "contradictions in the log", f"{history.events:,} rows"),
            (self.doubled_calls, "calls with two jobs", f"{len(self.acknowledged_seconds):,}"),
        ]
        return "\n".join(
            [
                *(f"{what}: {len(wrong)} of {tried}" for wrong, what, tried in counts),
                (
                    f"{len(self.refused_calls)} calls refused, {self.given_up} given up; "
                    f"{len(self.complaints)} processes ended badly; "
                    f"{history.records:,} worker records, {verdict.attempts_beyond_first:,} attempts "
                    f"beyond the first; {len(promises.parked)} jobs parked that met a fault in each"
                ),
                f"acknowledged: {percentiles(self.acknowledged_seconds)}",
                f"started:      {percentiles(self.started_seconds)} (first epoch, faults included)",
            ]
        )


def judge_run(plan: Plan, fleet: Fleet, calls: Calls, tally: Tally) -> Judgement:
    """Judge a run whose processes have all ended, and whose records are all in the tally."""

    def wrong(dispatch_id: str, last: EventRow) -> str:
        wish = calls.wishes[dispatch_id]
        what = end_is_wrong(wish, last, calls.called_off_ns.get(dispatch_id))
        return what and f"({wish.kind.value}) {what}"

    read = list(Logs(record_files(fleet.folder)).records())
    records = [record for record in read if isinstance(record, WorkerRecord)]
    with FolderHistory(fleet.data) as folder:
        rows = [row for row in folder.events() if isinstance(row, EventRow)]
        verdict = judge(calls.acknowledged, rows, records, folder, end_is_wrong=wrong)
    late = late_words(offered_files(fleet.folder))
    promises = judge_promises(rows, records, calls.wishes, calls.called_off_ns, late)
    doubled = [f"{room}: {sorted(ids)}" for room, ids in tally.jobs_of_room.items() if len(ids) > 1]
    return Judgement(
        verdict,
        promises,
        untried=_untried(plan, verdict, promises),
        doubled_calls=[*calls.doubled, *doubled],
        refused_calls=calls.refused,
        complaints=[*fleet.complaints, *_unexplained(fleet, tally)],
        given_up=len(calls.given_up),
        acknowledged_seconds=calls.answered_after_seconds,
        started_seconds=[
            (started_ns - calls.due_at_ns[room]) / 1e9
            for room, started_ns in tally.first_start_ns.items()
        ],
    )


def _offered(promises: Promises) -> str:
    by = ", ".join(f"{count:,} by {who}" for who, count in sorted(promises.offered_by.items()))
    return f"{promises.chances[Chance.STALE_RESULTS]:,} offered" + (by and f" ({by})")


def _untried(plan: Plan, verdict: Verdict, promises: Promises) -> list[str]:
    """A count of nothing wrong says nothing where nothing was judged."""
    judged = {finding.invariant: finding.judged for finding in verdict.history.findings}
    nothing = "UNTRIED: the plan meant to put this to the test, and it never came up:"
    return [
        *(f"{nothing} {name}" for name in sorted(plan.fed_checkers) if not judged[name]),
        *(
            f"{nothing} {chance.value}"
            for chance in Chance
            if chance in plan.fed_chances and not promises.chances[chance]
        ),
    ]


def _unexplained(fleet: Fleet, tally: Tally) -> list[str]:
    """Each worker that was killed by no fault was killed by a job of it."""
    count = fleet.brought_down - tally.killer_starts
    return [f"{count} workers were killed by nobody that is known"] if count > 0 else []


def percentiles(seconds: list[float]) -> str:
    """Half, 99 % and the worst, in milliseconds."""
    if not seconds:
        return "nothing measured"
    ordered = sorted(seconds)

    def at(share: float) -> str:
        return f"{ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3:,.0f} ms"

    return f"p50 {at(0.5)}, p90 {at(0.9)}, p99 {at(0.99)}, max {at(1.0)}, n={len(ordered):,}"
