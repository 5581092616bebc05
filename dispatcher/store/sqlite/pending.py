"""The jobs that have not ended, in memory: the guard of each move, and the queues.

A waiting job is in its lane's queue and, if it has a deadline, among the due ones, unless this
node holds it: to hold a job is to take it out. Nothing here touches SQLite. Changes are made at
once, so that a later request of a batch sees an earlier one's; `roll_back` undoes all since
`keep`, for a batch whose commit failed.

Costs: each operation is O(log n) in the jobs that wait. A job that leaves a queue early stays in
its heap as garbage, which is cleared when there is more of it than of live entries.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from dispatcher.core.deadlines import Deadlines
from dispatcher.core.jobs import Lane, Nanoseconds
from dispatcher.core.lifecycle import WAITING, JobPhase

GARBAGE_MIN = 64  # below this many dead entries a rebuild is not worth its while


class LiveJob:
    """A job that has not ended: what its next move needs to know."""

    __slots__ = (
        "dispatch_id",
        "epoch",
        "held",
        "id",
        "in_heap",
        "in_queue",
        "lane",
        "last_event",
        "number",
        "phase",
        "priority",
        "until",
    )

    def __init__(
        self,
        number: int,
        job_id: str,
        dispatch_id: str,
        lane: Lane,
        priority: int,
        phase: JobPhase,
        epoch: int,
        until: Nanoseconds,
        last_event: int,
    ) -> None:
        self.number = number
        self.id = job_id
        self.dispatch_id = dispatch_id
        self.lane = lane
        self.priority = priority
        self.phase = phase
        self.epoch = epoch
        self.until = until
        self.last_event = last_event
        # by this node, while it waits
        self.held = False
        # is it in its lane's queue; has it an entry in that queue's heap, be it a dead one
        self.in_queue = False
        self.in_heap = False


class LaneQueue:
    """The queued jobs of one lane, by priority and then by arrival."""

    __slots__ = ("_arrivals", "_heap", "waiting")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, LiveJob]] = []
        # in the order in which they were queued, for who asks how long the oldest has waited; behind
        # the first there may be some that are queued no more, or stand there twice
        self._arrivals: deque[LiveJob] = deque()
        self.waiting = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, job: LiveJob) -> None:
        """Queue the job at the place that its priority and number give it."""
        job.in_queue = True
        self.waiting += 1
        arrivals = self._arrivals
        if arrivals and job.until < arrivals[0].until:
            arrivals.appendleft(job)  # it was held, and is back at its old place
        else:
            arrivals.append(job)
        if not job.in_heap:  # else its old entry, with the same key, lives again
            job.in_heap = True
            heappush(self._heap, (-job.priority, job.number, job))

    def remove(self, job: LiveJob) -> None:
        """Take the job out, wherever it stands."""
        job.in_queue = False
        self.waiting -= 1
        arrivals = self._arrivals
        while arrivals and not arrivals[0].in_queue:
            arrivals.popleft()
        garbage = max(len(self._heap), len(arrivals)) - self.waiting
        if garbage > max(GARBAGE_MIN, self.waiting) or not self.waiting:
            self.sweep()

    def sweep(self) -> None:
        """Clear the heap of its garbage."""
        live = []
        for entry in self._heap:
            if entry[2].in_queue:
                live.append(entry)
            else:
                entry[2].in_heap = False
        heapify(live)
        self._heap = live
        self._arrivals = deque(dict.fromkeys(job for job in self._arrivals if job.in_queue))

    def oldest(self) -> LiveJob | None:
        """Return the job that was queued first, whatever its priority; None if the queue is empty."""
        return self._arrivals[0] if self.waiting else None

    def first(self) -> LiveJob | None:
        """Return the job whose turn it is, without taking it out; None if the queue is empty."""
        heap = self._heap
        while heap:
            job = heap[0][2]
            if job.in_queue:
                return job
            heappop(heap)
            job.in_heap = False
        return None


class _Before(NamedTuple):
    """A job as it was before a change. `known` is False for one that was not there."""

    job: LiveJob
    known: bool
    phase: JobPhase
    epoch: int
    until: Nanoseconds
    last_event: int
    held: bool


class PendingIndex:
    """All jobs that have not ended, by id; the queue of each lane; what is due next."""

    def __init__(self) -> None:
        self.jobs: dict[str, LiveJob] = {}
        self._queues: dict[Lane, LaneQueue] = {}
        self._due: Deadlines[LiveJob] = Deadlines()
        # what `roll_back` restores, oldest change first
        self._undo: list[_Before] = []

    def waiting(self) -> Iterator[tuple[Lane, int]]:
        """Yield the lanes that have queued jobs, with their number."""
        return ((lane, queue.waiting) for lane, queue in self._queues.items())

    def waiting_in(self, lane: Lane) -> int:
        """Return how many jobs of the lane are queued and not held."""
        queue = self._queues.get(lane)
        return queue.waiting if queue is not None else 0

    def oldest_in(self, lane: Lane) -> LiveJob | None:
        """Return the job of the lane, not held, that was queued first."""
        queue = self._queues.get(lane)
        return queue.oldest() if queue is not None else None

    def next_due(self) -> Nanoseconds | None:
        """Return the earliest deadline of a waiting job that is not held."""
        return self._due.next_at()

    # --- changes --------------------------------------------------------------------------

    def load(self, job: LiveJob, hold: bool) -> None:
        """A job was there when the store was opened: `roll_back` leaves it."""
        job.held = hold
        self.jobs[job.id] = job
        if not hold and job.phase in WAITING:
            self._place(job)

    def add(self, job: LiveJob, hold: bool) -> None:
        """A job was created."""
        self._remember(job, known=False)
        job.held = hold
        self.jobs[job.id] = job
        self._place(job)

    def move(
        self, job: LiveJob, phase: JobPhase, epoch: int, until: Nanoseconds, last_event: int
    ) -> None:
        """A job moved, and is not held by that. One that ended is known no longer."""
        self._remember(job)
        job.phase = phase
        job.epoch = epoch
        job.until = until
        job.last_event = last_event
        job.held = False
        if phase.is_ended:
            del self.jobs[job.id]
        self._place(job)

    def claim_queued(self, lane: Lane, limit: int) -> list[LiveJob]:
        """Hold the first `limit` jobs of the lane."""
        claimed: list[LiveJob] = []
        queue = self._queues.get(lane)
        while queue is not None and len(claimed) < limit:
            job = queue.first()
            if job is None:
                break
            self._hold(job)
            claimed.append(job)
        return claimed

    def claim_due(self, now: Nanoseconds, limit: int) -> list[LiveJob]:
        """Hold at most `limit` waiting jobs whose deadline is not after `now`."""
        claimed: list[LiveJob] = []
        while len(claimed) < limit:
            job = self._due.pop_due(now)
            if job is None:
                break
            self._hold(job)
            claimed.append(job)
        return claimed

    def release(self, job: LiveJob) -> None:
        """Give a held job back to its queue; nothing for one that is not held."""
        if job.held:
            self._remember(job)
            job.held = False
            self._place(job)

    # --- undo -----------------------------------------------------------------------------

    def keep(self) -> None:
        """Make all changes until now final."""
        self._undo.clear()

    def roll_back(self) -> None:
        """Undo all changes since the last `keep`."""
        swept: dict[Lane, None] = {}
        for before in reversed(self._undo):
            job = before.job
            job.phase = before.phase
            job.epoch = before.epoch
            job.until = before.until
            job.last_event = before.last_event
            job.held = before.held
            if before.known:
                self.jobs[job.id] = job
            else:
                del self.jobs[job.id]
                job.held = True  # in no queue
                swept[job.lane] = None
            self._place(job)
        self._undo.clear()
        for lane in swept:  # the next new jobs will have the numbers of these
            queue = self._queues.get(lane)
            if queue is not None:
                queue.sweep()

    def _remember(self, job: LiveJob, known: bool = True) -> None:
        self._undo.append(
            _Before(job, known, job.phase, job.epoch, job.until, job.last_event, job.held)
        )

    def _hold(self, job: LiveJob) -> None:
        self._remember(job)
        job.held = True
        self._place(job)

    def _place(self, job: LiveJob) -> None:
        """Put the job into the queues where it belongs, and take it out of the others."""
        queued = job.phase is JobPhase.QUEUED and not job.held
        if queued != job.in_queue:
            queue = self._queues.get(job.lane)
            if queue is None:
                queue = self._queues[job.lane] = LaneQueue()
            if queued:
                queue.add(job)
            else:
                queue.remove(job)
                if not queue.waiting:  # lanes come and go: an empty one leaves nothing behind
                    del self._queues[job.lane]
        if (queued and job.until) or (job.phase is JobPhase.DELAYED and not job.held):
            self._due.schedule(job, job.until)
        else:
            self._due.cancel(job)
