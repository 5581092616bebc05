"""What a run promises beside the invariants of its log, and how many chances each promise had to break.

The plan knows what each job was meant for, so here is said to which ends it may come. The
clocks of all processes are one, so here is judged in time, too: a result that counts was reached before
it counted, and who is back has stopped what went elsewhere. What never came up proves nothing: each
count of what was wrong goes with a count of what could have been (`Chance`).

Left to others: the invariants (`dispatcher.history`), and words (`judging`, `screen`).
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from dispatcher.core.jobs import SECOND, Nanoseconds, RestartPolicy
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.policy import Policy
from dispatcher.history import WorkerRecord
from dispatcher.history.checkers import REPORTED
from dispatcher.store.contract import EventRow
from tests.faults.jobs import JobKind, Wish

__all__ = ["Chance", "Late", "Promises", "end_is_wrong", "judge_promises", "late_words"]

ATTEMPTS_MAX = Policy().attempts_max
# A move may have the time at which its turn began.
_TURN: Nanoseconds = SECOND // 4
# Who is given a job on a new connection has had its verdicts by then, or has them very soon; and
# who was suspended has a moment to do what it was told before.
_FENCED: Nanoseconds = 2 * SECOND
_WAKING: Nanoseconds = SECOND
_COUNTED_RESULTS = {JobTrigger.SUCCEEDED: "success", JobTrigger.FAILED: "failed"}
# kinds of workers, by how their instance ids begin
_KINDS = {"stock": "stock ones", "late": "late ones", "away": "late ones"}
# what core/holding.py writes of a failure that its worker reported, and that is tried again
_FAILED_ON = "failed on "


class Chance(Enum):
    """Something that has to come up for a promise to be tried. The value is what a person reads."""

    EPOCHS = "epochs of jobs were started by workers"
    STALE_RESULTS = "results of older epochs were offered"
    COUNTED_RESULTS = "results counted, each held against its worker's own record"
    COME_BACK = "runs were not their worker's any more when it was heard of again"
    OLD_CLAIMS = "claims of older epochs were answered by a verdict"
    RETRIED = "jobs failed and were to be tried again"
    NOT_RETRIED = "jobs failed and were not to be tried again"
    EXHAUSTED = "jobs failed until nobody was to try them any more"
    KILLERS = "jobs killed each worker they met, to be parked in the end"
    TERMINATED = "jobs were ended by an operator"
    DELETED = "jobs ran when their dispatch was deleted"


@dataclass(frozen=True)
class Late:
    """What a late worker wrote down: an old result that it told, or a verdict on what it claimed."""

    job_id: str
    epoch: int
    # of the result, or of the claim
    at: Nanoseconds
    # None: it is a result
    is_kept: bool | None = None


@dataclass
class Promises:
    """What was found. Empty lists are good."""

    # results that counted before a worker of that epoch had reached them, each with its job
    stale: list[tuple[str, str]] = field(default_factory=list)
    # old runs that went on although their worker was back
    unfenced: list[str] = field(default_factory=list)
    # jobs that nobody meant to fail, and that were lost with their workers as often as one may be
    parked: list[str] = field(default_factory=list)
    chances: Counter[Chance] = field(default_factory=Counter)
    # results of older epochs that were offered, by the kind of worker
    offered_by: Counter[str] = field(default_factory=Counter)


@dataclass
class _Run:
    start: WorkerRecord
    stop: WorkerRecord | None = None
    end: WorkerRecord | None = None

    @property
    def over_at(self) -> Nanoseconds | None:
        """When it had ended, or was told to."""
        times = [one.at for one in (self.stop, self.end) if one is not None]
        return min(times, default=None)


def judge_promises(
    rows: Iterable[EventRow],
    records: Iterable[WorkerRecord],
    wishes: Mapping[str, Wish],
    called_off_ns: Mapping[str, int],
    late: Iterable[Late] = (),
) -> Promises:
    """Judge a run that is over.

    `wishes` by acknowledged dispatch; `called_off_ns`: when the call that ended its job was answered
    (0: never); `late`: what late workers wrote down. That each job came to one of its ends is
    `end_is_wrong`'s.
    """
    found = Promises()
    by_job: dict[str, list[EventRow]] = defaultdict(list)
    for row in rows:
        by_job[row.job_id].append(row)
    runs, by_process = _runs(records)
    for of_job in by_job.values():
        wish = wishes.get(of_job[0].dispatch_id)
        if wish is not None:
            _count_end(found, wish, of_job, called_off_ns.get(of_job[0].dispatch_id, 0))
        _judge_results(found, of_job, runs)
    found.chances[Chance.EPOCHS] = len(runs)
    for of_epoch in runs.values():
        for run in of_epoch:
            _judge_old_run(found, run, by_job, by_process[run.start.instance_id])
    for word in late:
        left_at = _left_at(by_job.get(word.job_id, ()), word.epoch)
        if left_at is None or left_at >= word.at:
            continue
        if word.is_kept is None:
            found.offered_by["late ones, once more"] += 1
            continue
        found.chances[Chance.OLD_CLAIMS] += 1
        if word.is_kept:
            found.unfenced.append(
                f"{word.job_id}: who claimed it at its old epoch {word.epoch} kept it"
            )
    found.chances[Chance.STALE_RESULTS] = found.offered_by.total()
    return found


def late_words(paths: Iterable[Path]) -> list[Late]:
    """Read what late workers wrote down."""
    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    return [Late(said["job_id"], said["epoch"], said["at_ns"], said.get("kept")) for said in lines]


def _runs(
    records: Iterable[WorkerRecord],
) -> tuple[dict[tuple[str, int], list[_Run]], dict[str, list[WorkerRecord]]]:
    """Return the runs of each job and epoch, and the records of each process, in order."""
    runs: dict[tuple[str, int], list[_Run]] = defaultdict(list)
    by_process: dict[str, list[WorkerRecord]] = defaultdict(list)
    for record in records:
        by_process[record.instance_id].append(record)
        of_epoch = runs[record.job_id, record.epoch]
        if record.event == "start":
            of_epoch.append(_Run(record))
            continue
        for run in reversed(of_epoch):
            if run.start.instance_id == record.instance_id and run.end is None:
                if record.event == "end":
                    run.end = record
                else:
                    run.stop = run.stop or record
                break
    return runs, by_process


# --- ends ---


def end_is_wrong(wish: Wish, last: EventRow, answered_ns: int | None = None) -> str:
    """Return what is wrong with the last row of a job of this kind; "" for nothing.

    `answered_ns`: when the call that ended it was answered; 0: it was made and not answered, None: it
    was not made.
    """
    kind, phase = wish.kind, last.phase
    is_parked = phase is JobPhase.FAILED and last.attempt >= ATTEMPTS_MAX
    is_lost_once = last.trigger is JobTrigger.GAVE_UP_LOST and last.attempt == 1
    if kind is JobKind.KILLER:
        is_right = is_parked and last.trigger is JobTrigger.GAVE_UP_LOST
    elif kind is JobKind.FAILS_ALWAYS:
        is_right = is_parked
    elif kind is JobKind.FAILS_ONCE:
        is_right = phase is JobPhase.FAILED and last.attempt == 1
    elif kind is JobKind.ONCE:
        is_right = last.attempt == 1 and (phase is JobPhase.SUCCEEDED or is_lost_once)
    elif not kind.is_called_off or answered_ns is None:
        is_right = phase is JobPhase.SUCCEEDED or _is_lost_too_often(last)
    elif phase is JobPhase.CANCELLED:
        is_late = kind is JobKind.TERMINATED and 0 < answered_ns < last.at - _TURN
        if is_late:
            late_ms = (last.at - answered_ns) // 1_000_000
            return f"was ended {late_ms} ms after its operator had been told so"
        is_right = True
    else:
        is_right = not answered_ns or last.at <= answered_ns
    if is_right:
        return ""
    return f"ended as {last.phase.value} ({last.trigger.value}) at attempt {last.attempt}"


def _is_lost_too_often(last: EventRow) -> bool:
    return last.trigger is JobTrigger.GAVE_UP_LOST and last.attempt >= ATTEMPTS_MAX


def _count_end(found: Promises, wish: Wish, rows: list[EventRow], answered_ns: int) -> None:
    last, kind = rows[-1], wish.kind
    if _is_lost_too_often(last) and kind not in (JobKind.KILLER, JobKind.FAILS_ALWAYS):
        found.parked.append(f"{last.job_id} ({kind.value}), attempt {last.attempt}")
    chances = found.chances
    chances[Chance.KILLERS] += kind is JobKind.KILLER
    chances[Chance.TERMINATED] += kind is JobKind.TERMINATED and answered_ns > 0
    chances[Chance.DELETED] += kind is JobKind.DELETED and answered_ns > 0
    is_failure = last.trigger is JobTrigger.FAILED
    is_once = kind.restart_policy is RestartPolicy.NEVER
    chances[Chance.NOT_RETRIED] += is_failure and is_once
    chances[Chance.EXHAUSTED] += is_failure and not is_once
    failed_before = any(row.detail.startswith(_FAILED_ON) for row in rows)
    chances[Chance.RETRIED] += failed_before


# --- results ---


def _judge_results(
    found: Promises, rows: list[EventRow], runs: Mapping[tuple[str, int], list[_Run]]
) -> None:
    """What counted as a result of an epoch had been reached at that epoch, by then."""
    before: EventRow | None = None
    for row in rows:
        outcome = epoch = None
        if row.detail.startswith(REPORTED):
            outcome, epoch = _COUNTED_RESULTS.get(row.trigger), row.epoch
        elif row.trigger is JobTrigger.RETRIED and row.detail.startswith(_FAILED_ON) and before:
            outcome, epoch = "failed", before.epoch
        before = row
        if outcome is None or epoch is None:
            continue
        found.chances[Chance.COUNTED_RESULTS] += 1
        ends = [run.end for run in runs.get((row.job_id, epoch), ()) if run.end is not None]
        if any(end.outcome == outcome and end.at <= row.at + _TURN for end in ends):
            continue
        later = [(end.at - row.at) / SECOND for end in ends if end.outcome == outcome]
        told = f"; that came {later[0]:.1f} s later" if later else ""
        what = (
            f"{row.job_id}: {row.trigger.value} counted at epoch {epoch} (event {row.sequence}),"
            f" and no worker had ended that epoch so{told}"
        )
        found.stale.append((row.job_id, what))


# --- old runs ---


def _left_at(rows: Iterable[EventRow], epoch: int) -> Nanoseconds | None:
    """When the job left this epoch; None if it never did."""
    return next((row.at for row in rows if row.epoch > epoch), None)


def _judge_old_run(
    found: Promises,
    run: _Run,
    by_job: Mapping[str, list[EventRow]],
    of_process: list[WorkerRecord],
) -> None:
    """A run whose job was given to others, or ended: its result comes too late, or it is stopped."""
    job_id, epoch, process = run.start.job_id, run.start.epoch, run.start.instance_id
    rows = by_job.get(job_id, ())
    left_at = _left_at(rows, epoch)
    if left_at is not None and run.end is not None and run.end.at > left_at:
        is_offered = run.end.outcome != "stopped" and run.stop is None
        found.offered_by[_KINDS.get(process.partition("-")[0], "ours")] += is_offered
    if left_at is None and rows and rows[-1].phase.is_ended:
        left_at = rows[-1].at
    if left_at is None or (run.end is not None and run.end.at <= left_at):
        return
    if process.startswith("stock-"):
        return  # it writes no orders down
    over_at = run.over_at
    back_at = _back_at(of_process, left_at, by_job)
    if back_at is None:
        found.chances[Chance.COME_BACK] += run.stop is not None
        return
    found.chances[Chance.COME_BACK] += 1
    # Alive twice, with a moment between, when it should long have been told.
    lived_at: Nanoseconds | None = None
    for record in of_process[bisect_right(of_process, back_at, key=lambda one: one.at) :]:
        if over_at is not None and record.at >= over_at:
            return
        if lived_at is None and record.at > back_at + _FENCED:
            lived_at = record.at
        elif lived_at is not None and record.at >= lived_at + _WAKING:
            late = (record.at - back_at) / SECOND
            found.unfenced.append(
                f"{job_id}: {process} ran epoch {epoch} still {late:.1f} s after it was back and"
                " had been given another job, and was not told to stop"
            )
            return


def _back_at(
    of_process: list[WorkerRecord], left_at: Nanoseconds, by_job: Mapping[str, list[EventRow]]
) -> Nanoseconds | None:
    """When the process first started a job that it was given after this moment."""
    for record in of_process[bisect_right(of_process, left_at, key=lambda one: one.at) :]:
        if record.event == "start":
            for row in by_job.get(record.job_id, ()):
                is_given = row.trigger is JobTrigger.OFFER_ACCEPTED and row.epoch == record.epoch
                if is_given and row.at > left_at:
                    return record.at
    return None
