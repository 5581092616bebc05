"""The synchronous core of the memory store: what is there, and how a batch changes it.

What outlives a node is explicit: a batch is there to stay when `apply` returns, and what nodes hold
is not. `crash` ends a node at any moment, `open` is the next start on what is left.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from dispatcher.core.effects import (
    CallOffJobs,
    ClaimDue,
    ClaimJobs,
    CreateDispatch,
    CreateJob,
    DeleteDispatch,
    DropNotes,
    FindDispatches,
    FinishDeletion,
    LookUpJobs,
    PutNote,
    RecordMove,
    ReleaseJobs,
    StoreRequest,
)
from dispatcher.core.events import (
    DispatchCreated,
    DispatchDeletionRecorded,
    DispatchesFound,
    HeldJob,
    JobsCalledOff,
    JobsClaimed,
    JobsDue,
    JobsLookedUp,
    MoveRefused,
    OrderedJob,
    StoreRecovered,
    StoreResult,
)
from dispatcher.core.jobs import (
    Dispatch,
    Job,
    JobState,
    JobStateReason,
    Lane,
    Nanoseconds,
)
from dispatcher.core.lifecycle import JobPhase, JobTrigger, LifecycleError
from dispatcher.core.notes import Note, NoteKind
from dispatcher.store.contract import (
    EventRow,
    JobFilter,
    QueuePlace,
    Retention,
    StoredDispatch,
    StoredJob,
)
from protocol.errors import StoreError

PLACE = "memory"


class _Entry:
    """A job with what became of it."""

    __slots__ = ("events", "held", "job", "number", "state")

    def __init__(self, number: int, job: Job, state: JobState, held: bool) -> None:
        self.number = number
        self.job = job
        self.state = state
        # by the node, while it waits; a crash forgets it
        self.held = held
        self.events: list[EventRow] = []

    @property
    def stored(self) -> StoredJob:
        return StoredJob(self.number, self.job, self.state)

    @property
    def held_job(self) -> HeldJob:
        job = self.job
        return HeldJob(
            id=job.id,
            dispatch_id=job.dispatch_id,
            room=job.room,
            lane=job.lane,
            restart_policy=job.restart_policy,
            queue_time=job.queue_time,
            state=self.state,
            order=job.order,
            unique_key=job.unique_key,
        )


class MemoryDatabase:
    """What is kept, by id, in order of arrival and in queues. Everything is done when a call returns."""

    def __init__(self) -> None:
        self.is_open = False
        # durable, each in order of arrival
        self._dispatches: dict[str, Dispatch] = {}
        self._jobs_of: dict[str, list[_Entry]] = {}  # by dispatch id
        self._jobs: dict[str, _Entry] = {}
        self._events: list[EventRow] = []
        self._notes: dict[tuple[NoteKind, str, str, str], Note] = {}
        self._job_number = 0
        self._event_sequence = 0
        self._positions: dict[str, int] = {}
        # not durable: the queues, sorted; (-priority, number, id) and (until, number, id)
        self._queues: dict[Lane, list[tuple[int, int, str]]] = {}
        self._due: list[tuple[Nanoseconds, int, str]] = []

    # --- life -----------------------------------------------------------------------------

    def open(self) -> StoreRecovered:
        """Start on what is durable: nothing is held, all that waits is in its queue."""
        self._queues, self._due = {}, []
        deletions = tuple(
            d.id for d in self._dispatches.values() if d.deletion_requested_at and not d.deleted_at
        )
        for entry in self._jobs.values():
            phase = entry.state.phase
            entry.held = phase is JobPhase.OFFERED or (
                phase.is_waiting and entry.job.dispatch_id in deletions
            )
            self._enqueue(entry)
        self.is_open = True
        return StoreRecovered(
            held=tuple(e.held_job for e in self._jobs.values() if e.held or e.state.phase.is_held),
            waiting={lane: len(queue) for lane, queue in self._queues.items()},
            next_due=self._next_due(),
            deletions=deletions,
            notes=tuple(self._notes.values()),
            ordered=tuple(
                OrderedJob(e.job.id, e.job.lane.project, e.job.order, e.job.unique_key)
                for e in self._jobs.values()
                if e.job.order and not e.state.phase.is_ended
            ),
        )

    def crash(self) -> None:
        """Lose all that is not durable; `open` comes next."""
        self.is_open = False

    def close(self) -> None:
        """Let go. Idempotent."""
        self.crash()

    # --- writes ---------------------------------------------------------------------------

    def apply(self, requests: Sequence[StoreRequest], now: Nanoseconds) -> list[StoreResult]:
        """Apply the requests in order; all or nothing."""
        self._must_be_open()
        self._check(requests)
        results: list[StoreResult] = []
        for request in requests:
            self._apply(request, now, results)
        return results

    def oldest_queued(self, lanes: Sequence[Lane]) -> dict[Lane, Nanoseconds]:
        """Return since when the job waits that was queued first, of each lane that has one."""
        oldest: dict[Lane, Nanoseconds] = {}
        for lane in lanes:
            since = [_queued_at(self._jobs[row[2]]) for row in self._queues.get(lane, ())]
            if since:
                oldest[lane] = min(since)
        return oldest

    def prune(self, retention: Retention, now: Nanoseconds, limit: int) -> int:
        """Delete at most `limit` rows that are past retention."""
        self._must_be_open()
        cutoff = now - retention.events_age
        events = 0
        for event in self._events[:limit]:
            if event.at >= cutoff and len(self._events) - events <= retention.events_max:
                break
            events += 1
        del self._events[:events]
        return events + self._prune_jobs(retention, now, limit - events)

    def _prune_jobs(self, retention: Retention, now: Nanoseconds, limit: int) -> int:
        cutoff = now - retention.ended_jobs_age
        ended = [e for e in self._jobs.values() if e.state.phase.is_ended]
        ended.sort(key=lambda entry: (entry.state.ended_at, entry.number))
        deleted = 0
        for index, entry in enumerate(ended[:limit]):
            if entry.state.ended_at >= cutoff and len(ended) - index <= retention.ended_jobs_max:
                break
            del self._jobs[entry.job.id]
            deleted += 1
            of_dispatch = self._jobs_of.get(entry.job.dispatch_id)
            if of_dispatch is not None:
                of_dispatch.remove(entry)
                dispatch = self._dispatches[entry.job.dispatch_id]
                finished = not dispatch.deletion_requested_at or dispatch.deleted_at
                if not of_dispatch and finished:
                    self._forget(dispatch)
                    deleted += 1
        emptied = [
            dispatch
            for dispatch in self._dispatches.values()
            if 0 < dispatch.deleted_at < cutoff and not self._jobs_of[dispatch.id]
        ]
        for dispatch in emptied[:limit]:
            self._forget(dispatch)
            deleted += 1
        return deleted

    def _forget(self, dispatch: Dispatch) -> None:
        del self._dispatches[dispatch.id]
        del self._jobs_of[dispatch.id]

    # --- reads ----------------------------------------------------------------------------

    def get_dispatch(self, project: str, dispatch_id: str) -> StoredDispatch | None:
        """Return the dispatch with its jobs."""
        self._must_be_open()
        dispatch = self._dispatches.get(dispatch_id)
        if dispatch is None or dispatch.project != project:
            return None
        return StoredDispatch(dispatch, tuple(e.stored for e in self._jobs_of[dispatch_id]))

    def list_dispatches(self, project: str, room: str, limit: int) -> list[StoredDispatch]:
        """Return the room's dispatches that nobody deleted, oldest first."""
        self._must_be_open()
        found = [
            StoredDispatch(dispatch, tuple(e.stored for e in self._jobs_of[dispatch.id]))
            for dispatch in self._dispatches.values()
            if dispatch.project == project
            and dispatch.room == room
            and not dispatch.deletion_requested_at
        ]
        return found[:limit]

    def get_job(self, project: str, job_id: str) -> StoredJob | None:
        """Return one job."""
        self._must_be_open()
        entry = self._jobs.get(job_id)
        if entry is None or entry.job.lane.project != project:
            return None
        return self._with_detail(entry)

    def _with_detail(self, entry: _Entry) -> StoredJob:
        """Return the job with the detail of its last event, if that is kept."""
        last = entry.events[-1]
        is_kept = bool(self._events) and last.sequence >= self._events[0].sequence
        return replace(entry.stored, detail=last.detail if is_kept else "")

    def list_jobs(self, where: JobFilter, limit: int, before: int = 0) -> list[StoredJob]:
        """Return jobs, newest first."""
        self._must_be_open()
        found: list[StoredJob] = []
        for entry in reversed(self._jobs.values()):
            if len(found) < limit and not 0 < before <= entry.number and _matches(entry, where):
                found.append(self._with_detail(entry))
        return found

    def queue_place(self, stored: StoredJob, live_jobs_max: int) -> QueuePlace | None:
        """Return the place of a queued job in its lane."""
        self._must_be_open()
        live = [entry for entry in self._jobs.values() if not entry.state.phase.is_ended]
        if len(live) > live_jobs_max:
            return None
        before = higher = 0
        for entry in live:
            if entry.state.phase is JobPhase.QUEUED and entry.job.lane == stored.job.lane:
                is_higher = entry.job.priority > stored.job.priority
                is_earlier = entry.number < stored.number
                higher += is_higher
                before += is_higher or (is_earlier and entry.job.priority == stored.job.priority)
        return QueuePlace(before, higher)

    def job_events(self, project: str, job_id: str) -> list[EventRow]:
        """Return the events that are kept of a job that is kept."""
        self._must_be_open()
        entry = self._jobs.get(job_id)
        if entry is None or entry.job.lane.project != project or not self._events:
            return []
        first = self._events[0].sequence
        return [event for event in entry.events if event.sequence >= first]

    def events_after(self, sequence: int, limit: int) -> list[EventRow]:
        """Return events with greater sequence numbers, in order."""
        self._must_be_open()
        if not self._events:
            return []
        start = max(0, sequence + 1 - self._events[0].sequence)
        return self._events[start : start + limit]

    def last_sequence(self) -> int:
        """Return the highest sequence number that an event was given."""
        self._must_be_open()
        return self._event_sequence

    def get_position(self, name: str) -> int | None:
        """Return the position under the name."""
        self._must_be_open()
        return self._positions.get(name)

    def set_position(self, name: str, sequence: int) -> None:
        """Keep the position under the name."""
        self._must_be_open()
        self._positions[name] = sequence

    # --- requests -------------------------------------------------------------------------

    def _check(self, requests: Sequence[StoreRequest]) -> None:
        """Refuse a batch that has a bug in it, before anything is changed."""
        new: set[str] = set()
        dispatches: set[str] = set()
        for request in requests:
            created: tuple[tuple[Job, JobState], ...] = ()
            if isinstance(request, RecordMove):
                if request.state.phase is JobPhase.OFFERED:
                    raise LifecycleError("a job is stored as offered only when it is created")
            elif isinstance(request, CreateJob):
                created = ((request.job, request.state),)
            elif isinstance(request, CreateDispatch):
                id_ = request.dispatch.id
                if id_ not in self._dispatches and id_ not in dispatches:
                    created = request.jobs
                dispatches.add(id_)
            for job, state in created:
                if state.phase.is_ended:
                    raise LifecycleError(f"no new job is {state.phase.value}")
                if job.id in self._jobs or job.id in new:
                    raise StoreError("a new job has an id that is taken", PLACE, "report it")
                new.add(job.id)

    def _apply(self, request: StoreRequest, now: Nanoseconds, results: list[StoreResult]) -> None:
        match request:
            case RecordMove():
                entry = self._jobs.get(request.job_id)
                if entry is None:
                    results.append(MoveRefused(request.job_id, 0))
                elif entry.state.phase.is_ended or entry.state.epoch != request.epoch:
                    results.append(MoveRefused(request.job_id, entry.state.epoch))
                else:
                    self._move(entry, request.trigger, request.state, request.detail, now)
            case CreateDispatch():
                dispatch = request.dispatch
                created = dispatch.id not in self._dispatches
                if created:
                    self._dispatches[dispatch.id] = dispatch
                    self._jobs_of[dispatch.id] = []
                    for job, state in request.jobs:
                        entry = self._create(job, state, now)
                        self._jobs_of[dispatch.id].append(entry)
                results.append(DispatchCreated(request.request, dispatch.id, created))
            case CreateJob():
                job = request.job
                if job.dispatch_id not in self._dispatches:
                    job = replace(job, dispatch_id="")
                entry = self._create(job, request.state, now)
                if job.dispatch_id:
                    self._jobs_of[job.dispatch_id].append(entry)
            case FindDispatches():
                standing = tuple(
                    d
                    for d in self._dispatches.values()
                    if (d.project, d.room) == (request.project, request.room)
                    and not d.deletion_requested_at
                )
                results.append(DispatchesFound(request.project, request.room, standing))
            case ClaimJobs():
                claimed = self._hold_all(
                    [row[2] for row in self._queues.get(request.lane, ())[: request.limit]]
                )
                waiting = len(self._queues.get(request.lane, ()))
                jobs = tuple((entry.job, entry.state) for entry in claimed)
                results.append(JobsClaimed(request.lane, jobs, waiting))
            case ClaimDue():
                end = bisect_left(self._due, (request.now + 1,))
                due = self._hold_all([row[2] for row in self._due[: min(end, request.limit)]])
                held = tuple(entry.held_job for entry in due)
                results.append(JobsDue(held, self._next_due()))
            case ReleaseJobs():
                for job_id in request.job_ids:
                    entry = self._jobs.get(job_id)
                    if entry is not None and entry.held:
                        entry.held = False
                        self._enqueue(entry)
            case DeleteDispatch():
                results.append(self._delete(request, now))
            case CallOffJobs():
                results.append(self._call_off(request, now))
            case PutNote():
                note = request.note
                self._notes[note.kind, note.project, note.scope, note.key] = note
            case DropNotes():
                scope = (request.kind, request.project, request.scope)
                for name in [name for name in self._notes if name[:3] == scope]:
                    if request.key is None or name[3] == request.key:
                        del self._notes[name]
            case FinishDeletion():
                found = self._dispatches.get(request.dispatch_id)
                if found is not None and found.deletion_requested_at and not found.deleted_at:
                    finished = replace(found, deleted_at=request.deleted_at)
                    self._dispatches[found.id] = finished
            case LookUpJobs():
                phases = {
                    job_id: self._jobs[job_id].state.phase
                    for job_id in request.job_ids
                    if self.get_job(request.project, job_id) is not None
                }
                results.append(JobsLookedUp(request.worker_id, request.job_ids, phases))

    def _create(self, job: Job, state: JobState, now: Nanoseconds) -> _Entry:
        self._job_number += 1
        entry = self._jobs[job.id] = _Entry(
            self._job_number, job, state, held=state.phase is JobPhase.OFFERED
        )
        self._log(entry, JobTrigger.CREATED, "", now)
        self._enqueue(entry)
        return entry

    def _move(
        self, entry: _Entry, trigger: JobTrigger, state: JobState, detail: str, now: Nanoseconds
    ) -> None:
        self._dequeue(entry)
        entry.state = state
        entry.held = False
        self._log(entry, trigger, detail, now)
        self._enqueue(entry)

    def _delete(self, request: DeleteDispatch, now: Nanoseconds) -> DispatchDeletionRecorded:
        cancelled: Counter[Lane] = Counter()
        dispatch = self._dispatches.get(request.dispatch_id)
        found = (
            dispatch is not None
            and (dispatch.project, dispatch.room) == (request.project, request.room)
            and not dispatch.deletion_requested_at
        )
        if dispatch is not None and found:
            marked = replace(dispatch, deletion_requested_at=request.now)
            self._dispatches[dispatch.id] = marked
            for entry in self._jobs_of[dispatch.id]:
                if entry.held or not entry.state.phase.is_waiting:
                    continue
                if entry.state.phase is JobPhase.QUEUED:
                    cancelled[entry.job.lane] += 1
                self._cancel(entry, request.reason, "", request.now, now)
        return DispatchDeletionRecorded(
            request.request, request.dispatch_id, found, dict(cancelled)
        )

    def _call_off(self, request: CallOffJobs, now: Nanoseconds) -> JobsCalledOff:
        queued: Counter[Lane] = Counter()
        cancelled: list[str] = []
        for job_id in request.job_ids:
            entry = self._jobs.get(job_id)
            if entry is None or entry.held or not entry.state.phase.is_waiting:
                continue
            if entry.state.phase is JobPhase.QUEUED:
                queued[entry.job.lane] += 1
            cancelled.append(job_id)
            self._cancel(entry, request.reason, request.detail, request.now, now)
        return JobsCalledOff(request.job_ids, tuple(cancelled), dict(queued))

    def _cancel(
        self,
        entry: _Entry,
        reason: JobStateReason,
        detail: str,
        ended_at: Nanoseconds,
        now: Nanoseconds,
    ) -> None:
        state = replace(
            entry.state,
            phase=JobPhase.CANCELLED,
            until=0,
            reason=reason,
            ended_at=ended_at,
            updated_at=ended_at,
        )
        self._move(entry, JobTrigger.CANCELLED, state, detail, now)

    # --- parts ----------------------------------------------------------------------------

    def _log(self, entry: _Entry, trigger: JobTrigger, detail: str, now: Nanoseconds) -> None:
        self._event_sequence += 1
        job, state = entry.job, entry.state
        event = EventRow(
            sequence=self._event_sequence,
            at=now,
            project=job.lane.project,
            job_id=job.id,
            dispatch_id=job.dispatch_id,
            trigger=trigger,
            phase=state.phase,
            epoch=state.epoch,
            attempt=state.attempt,
            worker_id=state.worker_id,
            reason=state.reason.name if state.reason else "",
            error=state.error,
            detail=detail,
            order=job.order,
        )
        self._events.append(event)
        entry.events.append(event)

    def _hold_all(self, job_ids: list[str]) -> list[_Entry]:
        entries = [self._jobs[job_id] for job_id in job_ids]
        for entry in entries:
            self._dequeue(entry)
            entry.held = True
        return entries

    def _enqueue(self, entry: _Entry) -> None:
        """Put a job that waits and is not held where it belongs."""
        phase, until, job = entry.state.phase, entry.state.until, entry.job
        if entry.held:
            return
        if phase is JobPhase.QUEUED:
            insort(self._queues.setdefault(job.lane, []), (-job.priority, entry.number, job.id))
        if phase is JobPhase.DELAYED or (phase is JobPhase.QUEUED and until):
            insort(self._due, (until, entry.number, job.id))

    def _dequeue(self, entry: _Entry) -> None:
        """Take a job out of where `_enqueue` put it."""
        phase, until, job = entry.state.phase, entry.state.until, entry.job
        if entry.held:
            return
        if phase is JobPhase.QUEUED:
            queue = self._queues[job.lane]
            del queue[bisect_left(queue, (-job.priority, entry.number, job.id))]
            if not queue:
                del self._queues[job.lane]
        if phase is JobPhase.DELAYED or (phase is JobPhase.QUEUED and until):
            del self._due[bisect_left(self._due, (until, entry.number, job.id))]

    def _next_due(self) -> Nanoseconds | None:
        return self._due[0][0] if self._due else None

    def _must_be_open(self) -> None:
        if not self.is_open:
            raise StoreError("is not open", PLACE, "open it first")


def _matches(entry: _Entry, where: JobFilter) -> bool:
    job, state = entry.job, entry.state
    return (
        job.lane.project == where.project
        and (not where.phases or state.phase in where.phases)
        and where.agent_name in ("", job.lane.agent_name)
        and where.room in ("", job.room)
        and where.worker_id in ("", state.worker_id)
        and where.dispatch_id in ("", job.dispatch_id)
    )


def _queued_at(entry: _Entry) -> Nanoseconds:
    until = entry.state.until
    return until - entry.job.queue_time if until else entry.job.created_at
