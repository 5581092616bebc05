"""What became of a job, in words: each of its moves, its end, and what is odd about who holds it.

Left to others: why one waits (`reasons`).
"""

from __future__ import annotations

from collections.abc import Iterator

from dispatcher.core.jobs import SECOND, Nanoseconds
from dispatcher.core.lifecycle import JobPhase, JobTrigger, WorkerPhase
from dispatcher.core.reasons import hand_over_told
from dispatcher.core.workers import JobInHand

# What each trigger is called for people.
TOLD: dict[JobTrigger, str] = {
    JobTrigger.CREATED: "made",
    JobTrigger.BECAME_DUE: "its time came: queued",
    JobTrigger.OFFERED: "offered",
    JobTrigger.OFFER_WITHDRAWN: "not taken by who was offered it: queued",
    JobTrigger.OFFER_ACCEPTED: "accepted and assigned",
    JobTrigger.OFFER_TERMINATED: "its worker said that it shall not run at all",
    JobTrigger.ASSIGNMENT_EXPIRED: "the assignment was too late for its worker: queued again",
    JobTrigger.STARTED: "its worker started it",
    JobTrigger.REDELIVERED: "told to its worker once more",
    JobTrigger.WORKER_LOST: "its worker was lost",
    JobTrigger.CLAIMED: "its worker is back and runs it",
    JobTrigger.GRACE_EXPIRED: "its worker did not come back: queued for another",
    JobTrigger.GAVE_UP_LOST: "its worker did not come back, and it is not tried again",
    JobTrigger.SUCCEEDED: "succeeded",
    JobTrigger.LEFT: "succeeded: its agent left the room as one that is done",
    JobTrigger.RETRIED: "waits to be tried again",
    JobTrigger.FAILED: "failed",
    JobTrigger.HANDED_OVER: "its worker handed it over: queued for another",
    JobTrigger.QUEUE_DEADLINE_PASSED: "no worker took it in time: failed",
    JobTrigger.CANCELLED: "cancelled",
}


# What follows when a worker is lost for good, and why it is: nobody came back, or as the evidence says.
_AFTER_LOSS: dict[JobTrigger, str] = {
    JobTrigger.GRACE_EXPIRED: ": queued for another",
    JobTrigger.RETRIED: ": waits to be tried again",
    JobTrigger.GAVE_UP_LOST: ", and it is not tried again",
}


def event_told(
    trigger: JobTrigger,
    phase: JobPhase,
    worker_id: str,
    made_by: str,
    *,
    before: JobPhase | None = None,
    detail: str = "",
) -> str:
    """Say in short words what happened to a job; `made_by` is what made it, for its first event.

    `before` is the phase that it had, where that is known, `detail` the one of the event.
    """
    if trigger is JobTrigger.WORKER_LOST and detail:
        return detail
    if before is JobPhase.ORPHANED and trigger in _AFTER_LOSS:
        # "was on W; evidence", but of a job that is given up the evidence alone
        evidence = detail if trigger is JobTrigger.GAVE_UP_LOST else detail.partition("; ")[2]
        return (evidence or "its worker did not come back") + _AFTER_LOSS[trigger]
    if trigger is JobTrigger.RETRIED and before is not None:
        return f"failed, and {TOLD[trigger]}"
    if trigger is JobTrigger.CREATED:
        first = f"made by {made_by}"
        return (
            f"{first}, offered to {worker_id}" if phase is JobPhase.OFFERED else f"{first}: {phase}"
        )
    told = TOLD.get(trigger, trigger.value)
    named = trigger in (JobTrigger.OFFER_ACCEPTED, JobTrigger.STARTED, JobTrigger.CLAIMED)
    return f"{told} ({worker_id})" if named and worker_id else told


def ended_summary(phase: JobPhase, last_told: str, why: str) -> str:
    """Say in one sentence what became of a job that has ended."""
    return f"it has ended, {phase.value}: {why or last_told}"


def held_notes(hand: JobInHand, now: Nanoseconds) -> Iterator[str]:
    """Say what an operator should know of a job that a worker holds."""
    worker, absence = hand.worker, hand.absence
    if worker is None:
        return
    if absence is not None and hand.phase is JobPhase.RUNNING:
        away = (now - absence.since) / SECOND
        reason = absence.reason.name.lower()
        yield (
            f"its agent left the room ({reason}) and has been away for {away:.0f} s, but its worker"
            " says that it still runs jobs: it is believed (callboard job terminate ends it)"
        )
    if worker.phase is WorkerPhase.OUT_OF_SERVICE:
        told = hand_over_told(worker.hand_over_at, now)
        yield f"its worker is out of service: {told}"
    elif hand.id in worker.yielding:
        yield "its worker drains and would hand it over, and no other has room for it"
