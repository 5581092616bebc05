"""The SQLite store, synchronous: what a batch means, and what a commit that failed undoes.

`SqliteDatabase` is used by one thread at a time. Its `reads` have a connection of their
own and may be used by a second thread. Everything that has not ended is in `PendingIndex` too,
which decides the guards; the tables are written by `Batch`. Both go back together when a commit
fails, so a batch can be tried again as it is.

One process has the file (`DataFolder`); a second one would make memory and tables disagree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import apsw

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
    StoreRecovered,
    StoreResult,
)
from dispatcher.core.jobs import Job, JobState, JobStateReason, Lane, Nanoseconds
from dispatcher.core.lifecycle import JobPhase, JobTrigger, LifecycleError
from dispatcher.store.contract import Retention
from dispatcher.store.sqlite import pruning
from dispatcher.store.sqlite.batch import Batch
from dispatcher.store.sqlite.connections import FileConnections
from dispatcher.store.sqlite.failures import corrupt, of_sqlite, translated
from dispatcher.store.sqlite.folder import LOCK_NAME, DataFolder
from dispatcher.store.sqlite.log_check import check_log_has_database
from dispatcher.store.sqlite.pending import LiveJob, PendingIndex
from dispatcher.store.sqlite.reads import Reader
from dispatcher.store.sqlite.recovery import recover
from dispatcher.store.sqlite.rows import (
    DISPATCH_COLUMNS,
    HELD_COLUMNS,
    JOB_COLUMNS,
    JOB_JOINS,
    Row,
    dispatch_of,
    held_job_of,
    phase_of,
    stored_job_of,
)
from protocol.errors import StoreCorrupt, StoreError

# The texts are constant: S608 sees the column lists that they share, nobody's input.
ONE_JOB = f"SELECT {JOB_COLUMNS} FROM {JOB_JOINS} WHERE j.number = ?"  # noqa: S608
ONE_HELD_JOB = f"SELECT {HELD_COLUMNS} FROM {JOB_JOINS} WHERE j.number = ?"  # noqa: S608
ONE_PHASE = (
    "SELECT s.phase, s.epoch, j.project FROM job j CROSS JOIN job_state s ON s.job = j.number"
    " WHERE j.id = ?"
)
STANDING_DISPATCH = (
    "SELECT number FROM dispatch"
    " WHERE id = ? AND project = ? AND room = ? AND deletion_requested_at = 0"
)
NUMBER_OF_DISPATCH = "SELECT number FROM dispatch WHERE id = ?"
QUEUE_TIME = "SELECT queue_time, created_at FROM job WHERE number = ?"
DISPATCHES_OF_ROOM = (
    f"SELECT {DISPATCH_COLUMNS} FROM dispatch d"  # noqa: S608
    " WHERE d.project = ? AND d.room = ? AND d.deletion_requested_at = 0 ORDER BY d.number"
)
JOB_IDS_OF_DISPATCH = "SELECT id FROM job WHERE dispatch = ? ORDER BY number"
MARK_DISPATCH = "UPDATE dispatch SET deletion_requested_at = ? WHERE number = ?"
FINISH_DISPATCH = (
    "UPDATE dispatch SET deleted_at = ?"
    " WHERE id = ? AND deletion_requested_at > 0 AND deleted_at = 0"
)
SET_POSITION = (
    "INSERT INTO position (name, sequence) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET sequence = excluded.sequence"
)
# name in `counter`, table, and column of each number that is given out
NUMBERS = (
    ("dispatch", "dispatch", "number"),
    ("job", "job", "number"),
    ("event", "event", "sequence"),
)


class SqliteDatabase:
    """A store in `<folder>/callboard.db`. Raises StoreError alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = DataFolder(folder)
        self._place = self._folder.database
        self._index = PendingIndex()
        # None before `open` and after `close`
        self._files: FileConnections | None = None
        self._batch: Batch | None = None
        self._reads: Reader | None = None
        # jobs in the table that have ended
        self._ended = 0
        # ended by the batch that is under way
        self._ending = 0

    def open(self) -> StoreRecovered:
        """Hold the folder, check and migrate the file, read what has not ended."""
        try:
            self._folder.hold()
            with translated(self._place):
                check_log_has_database(self._place)
                self._check_not_lost()
                self._files = FileConnections(self._place)
                self._folder.note_store()
                recovered = self._recover(self._files.writer)
                self._reads = Reader(self._files.reader, self._place)
                return recovered
        except StoreError:
            self.close()
            raise

    def _check_not_lost(self) -> None:
        place = self._place
        if self._folder.had_store and not (place.exists() and place.stat().st_size):
            raise StoreCorrupt(
                "is missing or empty, and this folder had a store",
                str(place),
                f"restore it from a backup, or remove {LOCK_NAME} beside it to begin anew",
            )

    def close(self) -> None:
        """Let go of the file and the folder. Idempotent."""
        files = self._files
        self._files = self._batch = self._reads = None
        try:
            if files is not None:
                with translated(self._place):
                    files.close()
        finally:
            self._folder.let_go()

    @property
    def reads(self) -> Reader:
        """The reads, on a connection of their own. StoreError if the store is not open."""
        if self._reads is None:
            raise self._not_open()
        return self._reads

    @property
    def connections(self) -> FileConnections:
        """The connections, for who measures. StoreError if the store is not open."""
        if self._files is None:
            raise self._not_open()
        return self._files

    def apply(self, requests: Sequence[StoreRequest], now: Nanoseconds) -> list[StoreResult]:
        """Apply the requests in order, durably. After an error nothing of them is there."""
        return self.make_durable(self.write(requests, now))

    def write(self, requests: Sequence[StoreRequest], now: Nanoseconds) -> list[StoreResult]:
        """Apply the requests in a transaction that is left open: `make_durable` is to follow.

        After an error nothing of them is there.
        """
        batch = self._writing()
        results: list[StoreResult] = []
        with self._all_or_nothing(batch):
            for request in requests:
                self._apply(batch, request, now, results)
            batch.flush_gathered()
        return results

    def make_durable(self, results: list[StoreResult]) -> list[StoreResult]:
        """Make durable what `write` wrote, and return its results. After an error nothing is there."""
        batch = self._writing()
        with self._all_or_nothing(batch):
            batch.commit()
        self._index.keep()
        self._ended += self._ending
        self._ending = 0
        if self.connections.must_checkpoint:
            self.connections.checkpoint(idle=False)
        return results

    @contextmanager
    def waiting_for_nobody(self) -> Iterator[None]:
        """Where another program has the file, StoreUnavailable at once: for whom must not wait."""
        files = self.connections
        files.waits = False
        try:
            yield
        finally:
            files.waits = True

    def wants_checkpoint(self, idle: bool) -> bool:
        """Is there so much of the log that a checkpoint is due?"""
        return self._files is not None and self._files.wants_checkpoint(idle)

    def checkpoint(self, idle: bool) -> None:
        """Bring the log of recent writes into the file when there is much of it."""
        if self._files is not None:
            self._files.checkpoint(idle)

    def prune(self, retention: Retention, now: Nanoseconds, limit: int) -> int:
        """Delete at most `limit` rows (and what hangs on them) that are past retention."""
        batch = self._writing()
        cursor = batch.cursor
        with self._all_or_nothing(batch):
            batch.begin()
            events = pruning.prune_events(cursor, retention, now, limit, batch.event_sequence)
            jobs, others = pruning.prune_jobs(cursor, retention, now, limit - events, self._ended)
            if events or jobs or others:
                numbers = (batch.dispatch_number, batch.job_number, batch.event_sequence)
                for (name, _, _), number in zip(NUMBERS, numbers, strict=True):
                    cursor.execute(pruning.SAVE_NUMBER, (name, number))
            batch.commit()
        self._ended -= jobs
        return events + jobs + others

    def set_position(self, name: str, sequence: int) -> None:
        """Keep the position under the name, durably."""
        batch = self._writing()
        with self._all_or_nothing(batch):
            batch.begin()
            batch.cursor.execute(SET_POSITION, (name, sequence))
            batch.commit()

    def oldest_queued(self, lanes: Sequence[Lane]) -> dict[Lane, Nanoseconds]:
        """Return since when the job waits that was queued first, of each lane that has one."""
        connection = self.connections.writer
        oldest: dict[Lane, Nanoseconds] = {}
        with translated(self._place):
            for lane in lanes:
                job = self._index.oldest_in(lane)
                if job is not None:
                    queue_time, created_at = connection.execute(QUEUE_TIME, (job.number,)).get
                    oldest[lane] = job.until - queue_time if job.until else created_at
        return oldest

    # --- recovery -------------------------------------------------------------------------

    def _recover(self, connection: apsw.Connection) -> StoreRecovered:
        batch = self._batch = Batch(connection)
        batch.number_from(*(self._last_number(connection, *names) for names in NUMBERS))
        self._ended = pruning.count_ended(connection)
        return recover(connection, self._index)

    def _last_number(self, connection: apsw.Connection, name: str, table: str, column: str) -> int:
        highest, saved = connection.execute(
            f"SELECT (SELECT max({column}) FROM {table}),"  # noqa: S608 - our own names
            " (SELECT value FROM counter WHERE name = ?)",
            (name,),
        ).get
        return max(highest or 0, saved or 0)

    # --- requests -------------------------------------------------------------------------

    def _apply(
        self, batch: Batch, request: StoreRequest, now: Nanoseconds, results: list[StoreResult]
    ) -> None:
        match request:
            case RecordMove():
                refused = self._record_move(batch, request, now)
                if refused is not None:
                    results.append(refused)
            case CreateDispatch():
                results.append(self._create_dispatch(batch, request, now))
            case ClaimJobs():
                results.append(self._claim_jobs(batch, request))
            case ReleaseJobs():
                for job_id in request.job_ids:
                    job = self._index.jobs.get(job_id)
                    if job is not None:
                        self._index.release(job)
            case ClaimDue():
                due = self._index.claim_due(request.now, request.limit)
                jobs = tuple(self._held_job(batch, job) for job in due)
                results.append(JobsDue(jobs, self._index.next_due()))
            case CreateJob():
                number = self._dispatch_number(batch, request.job.dispatch_id)
                self._create_job(batch, request.job, request.state, number, now)
            case LookUpJobs():
                results.append(self._look_up(batch, request))
            case DeleteDispatch():
                results.append(self._delete_dispatch(batch, request, now))
            case FindDispatches():
                rows = batch.cursor.execute(DISPATCHES_OF_ROOM, (request.project, request.room))
                found = tuple(dispatch_of(row) for row in rows)
                results.append(DispatchesFound(request.project, request.room, found))
            case CallOffJobs():
                results.append(self._call_off(batch, request, now))
            case PutNote():
                batch.put_note(request.note)
            case DropNotes():
                batch.drop_notes(request)
            case FinishDeletion():
                batch.begin()
                batch.cursor.execute(FINISH_DISPATCH, (request.deleted_at, request.dispatch_id))

    def _create_dispatch(
        self, batch: Batch, request: CreateDispatch, now: Nanoseconds
    ) -> DispatchCreated:
        number = batch.insert_dispatch(request.dispatch)
        if number is not None:
            for job, state in request.jobs:
                self._create_job(batch, job, state, number, now)
        return DispatchCreated(request.request, request.dispatch.id, number is not None)

    def _dispatch_number(self, batch: Batch, dispatch_id: str) -> int | None:
        if not dispatch_id:
            return None
        row = batch.cursor.execute(NUMBER_OF_DISPATCH, (dispatch_id,)).fetchone()
        return None if row is None else int(row[0])

    def _create_job(
        self,
        batch: Batch,
        job: Job,
        state: JobState,
        dispatch_number: int | None,
        now: Nanoseconds,
    ) -> None:
        if state.phase.is_ended:
            raise LifecycleError(f"no job is stored as {state.phase.value} when it is created")
        if job.id in self._index.jobs:
            raise StoreError(
                "a new job has an id that is taken", str(self._place), "report this as a bug"
            )
        live = LiveJob(
            number=batch.insert_job(job, dispatch_number),
            job_id=job.id,
            dispatch_id=job.dispatch_id if dispatch_number is not None else "",
            lane=job.lane,
            priority=job.priority,
            phase=state.phase,
            epoch=state.epoch,
            until=state.until,
            last_event=0,
        )
        live.last_event = batch.insert_event(live, JobTrigger.CREATED, state, "", now)
        batch.insert_state(live, state, live.last_event)
        self._index.add(live, hold=state.phase is JobPhase.OFFERED)

    def _record_move(
        self, batch: Batch, request: RecordMove, now: Nanoseconds
    ) -> MoveRefused | None:
        job = self._index.jobs.get(request.job_id)
        if job is None:
            return MoveRefused(request.job_id, self._epoch_of_ended(batch, request.job_id))
        if job.epoch != request.epoch:
            return MoveRefused(job.id, job.epoch)
        if request.state.phase is JobPhase.OFFERED:
            raise LifecycleError("a job is stored as offered only when it is created")
        self._move(batch, job, request.trigger, request.state, request.detail, now)
        return None

    def _move(
        self,
        batch: Batch,
        job: LiveJob,
        trigger: JobTrigger,
        state: JobState,
        detail: str,
        now: Nanoseconds,
    ) -> None:
        event = batch.insert_event(job, trigger, state, detail, now)
        batch.update_state(job, state, event)
        self._index.move(job, state.phase, state.epoch, state.until, event)
        self._ending += state.phase.is_ended

    def _claim_jobs(self, batch: Batch, request: ClaimJobs) -> JobsClaimed:
        claimed = []
        for job in self._index.claim_queued(request.lane, request.limit):
            batch.flush()
            row = batch.cursor.execute(ONE_JOB, (job.number,)).fetchone()
            if row is None:
                raise self._missing(job)
            stored = stored_job_of(row)
            claimed.append((stored.job, stored.state))
        return JobsClaimed(request.lane, tuple(claimed), self._index.waiting_in(request.lane))

    def _delete_dispatch(
        self, batch: Batch, request: DeleteDispatch, now: Nanoseconds
    ) -> DispatchDeletionRecorded:
        batch.flush()
        cancelled: Counter[Lane] = Counter()
        named = (request.dispatch_id, request.project, request.room)
        row = batch.cursor.execute(STANDING_DISPATCH, named).fetchone()
        if row is not None:
            batch.begin()
            batch.cursor.execute(MARK_DISPATCH, (request.now, row[0]))
            ids: list[Row] = batch.cursor.execute(JOB_IDS_OF_DISPATCH, row).fetchall()
            for (job_id,) in ids:
                job = self._index.jobs.get(job_id)
                if job is None or job.held or not job.phase.is_waiting:
                    continue
                if job.phase is JobPhase.QUEUED:
                    cancelled[job.lane] += 1
                self._cancel(batch, job, request.reason, "", request.now, now)
        return DispatchDeletionRecorded(
            request.request, request.dispatch_id, row is not None, dict(cancelled)
        )

    def _call_off(self, batch: Batch, request: CallOffJobs, now: Nanoseconds) -> JobsCalledOff:
        queued: Counter[Lane] = Counter()
        cancelled: list[str] = []
        for job_id in request.job_ids:
            job = self._index.jobs.get(job_id)
            if job is None or job.held or not job.phase.is_waiting:
                continue
            if job.phase is JobPhase.QUEUED:
                queued[job.lane] += 1
            cancelled.append(job_id)
            self._cancel(batch, job, request.reason, request.detail, request.now, now)
        return JobsCalledOff(request.job_ids, tuple(cancelled), dict(queued))

    def _cancel(
        self,
        batch: Batch,
        job: LiveJob,
        reason: JobStateReason,
        detail: str,
        ended_at: Nanoseconds,
        now: Nanoseconds,
    ) -> None:
        """End a job that waits and that no node holds."""
        state = replace(
            self._held_job(batch, job).state,
            phase=JobPhase.CANCELLED,
            until=0,
            reason=reason,
            ended_at=ended_at,
            updated_at=ended_at,
        )
        self._move(batch, job, JobTrigger.CANCELLED, state, detail, now)

    def _look_up(self, batch: Batch, request: LookUpJobs) -> JobsLookedUp:
        phases: dict[str, JobPhase] = {}
        for job_id in request.job_ids:
            job = self._index.jobs.get(job_id)
            if job is not None:
                if job.lane.project == request.project:
                    phases[job_id] = job.phase
                continue
            batch.flush()
            row = batch.cursor.execute(ONE_PHASE, (job_id,)).fetchone()
            if row is not None and row[2] == request.project:
                phases[job_id] = phase_of(row[0])
        return JobsLookedUp(request.worker_id, request.job_ids, phases)

    # --- parts of requests ----------------------------------------------------------------

    def _held_job(self, batch: Batch, job: LiveJob) -> HeldJob:
        batch.flush()
        row = batch.cursor.execute(ONE_HELD_JOB, (job.number,)).fetchone()
        if row is None:
            raise self._missing(job)
        return held_job_of(row)

    def _epoch_of_ended(self, batch: Batch, job_id: str) -> int:
        """Return the epoch of a job that has ended, 0 for one that is not known at all."""
        batch.flush()
        row = batch.cursor.execute(ONE_PHASE, (job_id,)).fetchone()
        return 0 if row is None else int(row[1])

    def _missing(self, job: LiveJob) -> StoreError:
        return corrupt(self._place, f"is damaged (job {job.id} is missing)")

    @contextmanager
    def _all_or_nothing(self, batch: Batch) -> Iterator[None]:
        """What is done to the batch is undone, all of it, when it fails."""
        try:
            yield
        except apsw.Error as error:
            self._abandon(batch)
            raise of_sqlite(error, self._place) from error
        except BaseException:  # a bug, or a value that cannot be stored
            self._abandon(batch)
            raise

    def _abandon(self, batch: Batch) -> None:
        """Go back to the last commit, in memory and in the file."""
        self._index.roll_back()
        self._ending = 0
        try:
            batch.abandon()
        except apsw.Error as error:
            raise StoreError(
                f"a batch that failed cannot be undone ({error})",
                str(self._place),
                "start again: what was acknowledged is there",
            ) from error

    def _writing(self) -> Batch:
        if self._batch is None:
            raise self._not_open()
        return self._batch

    def _not_open(self) -> StoreError:
        return StoreError("is not open", str(self._place), "open it first")
