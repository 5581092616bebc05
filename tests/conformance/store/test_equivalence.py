"""Whatever is asked, in whatever order: both stores answer the same, and the promises hold.

Random batches go to the SQLite store and to the one in memory, which share no code, with crashes
and prunes in between. Each is the other's oracle for results and for all reads.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

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
from dispatcher.core.events import StoreResult
from dispatcher.core.jobs import AttemptReason, JobState, JobStateReason, Nanoseconds
from dispatcher.core.lifecycle import ENDED, HELD, JobPhase, JobTrigger
from dispatcher.core.notes import Note, NoteKind
from dispatcher.store.contract import JobFilter, Retention, StoredJob
from dispatcher.store.sqlite import SqliteDatabase
from dispatcher.store.sqlite.folder import DATABASE_NAME
from protocol.errors import StoreError
from tests.conformance.store.builders import LANE, OTHER_LANE, dispatch, job
from tests.support.full_disk import file_growth_refused
from tests.support.memory_store import MemoryDatabase

LANES = (LANE, replace(LANE, project="other"), OTHER_LANE)
STORED = sorted(set(JobPhase) - {JobPhase.OFFERED}, key=str)
ALL = 10_000

# What is done, as (what, values): ids are drawn from those that exist when it is done.
Step = tuple[str, list[int]]
WHATS = [
    "create",
    "create",
    "create-job",
    "move",
    "move",
    "move",
    "move",
    "claim",
    "claim",
    "due",
    "release",
    "delete",
    "finish",
    "look-up",
    "call-off",
    "find",
    "note",
    "drop-notes",
    "commit",
    "commit",
    "commit",
    "crash",
    "prune",
]
STEPS = st.lists(
    st.tuples(st.sampled_from(WHATS), st.lists(st.integers(0, 10**6), min_size=8, max_size=8)),
    min_size=5,
    max_size=80,
)


class Pair:
    """The two stores, and the batch that both get next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.generation = 0
        self.sqlite = SqliteDatabase(folder / "0")
        self.memory = MemoryDatabase()
        assert self.sqlite.open() == self.memory.open()
        self.batch: list[StoreRequest] = []
        self.now: Nanoseconds = 1_000
        self.made = 0  # names of jobs and dispatches are numbers that grow
        self.until = 0  # deadlines all differ: the order of equal ones is open
        # what ended states, configs and events must remain
        self.ended: dict[str, JobState] = {}
        self.configs: dict[str, bytes] = {}
        self.sequence = 0

    def state(self, phase: JobPhase, numbers: list[int]) -> JobState:
        self.until += 1
        return JobState(
            phase=phase,
            epoch=numbers[0] % 3,
            attempt=numbers[1] % 3,
            attempt_reason=list(AttemptReason)[numbers[1] % len(AttemptReason)],
            until=0 if numbers[2] % 4 == 0 else numbers[2] % 3_000 * 100_000 + self.until,
            worker_id=f"AW_{numbers[3] % 3}",
            reason=JobStateReason(numbers[3] % len(JobStateReason)),
            error="x" * (numbers[4] % 5),
            ended_at=self.now if phase in ENDED else 0,
            updated_at=self.now,
        )

    def do(self, step: Step) -> None:
        what, n = step
        self.now += n[7] % 50
        name = str(n[0] % (self.made + 1))
        waiting = (JobPhase.DELAYED, JobPhase.QUEUED, JobPhase.OFFERED)[n[5] % 3]
        lane = LANES[n[1] % len(LANES)]
        match what:
            case "create":
                self.made += 1
                again = n[0] % 5 == 0
                of = dispatch(name if again else str(self.made), f"room{n[2] % 3}", lane.project)
                jobs = tuple(
                    (
                        job(f"{self.made}.{index}", of=of, lane=lane, priority=n[3] % 3),
                        self.state(waiting, n[index:]),
                    )
                    for index in range(n[4] % 3)
                )
                self.batch.append(CreateDispatch(n[5], of, jobs))
            case "create-job":
                self.made += 1
                made = job(f"{self.made}.0", lane=lane, priority=n[3] % 3)
                phase = JobPhase.ASSIGNED if n[4] % 5 == 0 else waiting
                self.batch.append(CreateJob(made, self.state(phase, n)))
            case "move":
                trigger = list(JobTrigger)[n[2] % len(JobTrigger)]
                state = self.state(STORED[n[1] % len(STORED)], n[2:])
                id_ = f"AJ_{name}.{n[6] % 2}"
                self.batch.append(RecordMove(id_, n[5] % 3, trigger, state, "why"))
            case "claim":
                self.batch.append(ClaimJobs(lane, n[2] % 4))
            case "due":
                self.batch.append(ClaimDue(n[2] % 3_000 * 100_000, n[3] % 4))
            case "release":
                ids = tuple(f"AJ_{each % (self.made + 1)}.0" for each in n[:4])
                self.batch.append(ReleaseJobs(ids))
            case "delete":
                delete = DeleteDispatch(
                    n[1], lane.project, f"room{n[2] % 3}", f"AD_{name}", self.now
                )
                self.batch.append(delete)
            case "finish":
                self.batch.append(FinishDeletion(f"AD_{name}", self.now))
            case "look-up":
                ids = tuple(f"AJ_{each % (self.made + 1)}.0" for each in n[:4])
                self.batch.append(LookUpJobs("AW_1", lane.project, ids))
            case "call-off":
                ids = tuple(f"AJ_{each % (self.made + 1)}.0" for each in n[:4])
                reason = JobStateReason(n[5] % len(JobStateReason))
                self.batch.append(CallOffJobs(ids, reason, "why", self.now))
            case "find":
                self.batch.append(FindDispatches(lane.project, f"room{n[2] % 3}"))
            case "note":
                kind = list(NoteKind)[n[2] % 2]
                scope, key = f"scope{n[3] % 2}", f"key{n[4] % 3}"
                self.batch.append(PutNote(Note(kind, lane.project, scope, key, f"{n[0]}")))
            case "drop-notes":
                kind = list(NoteKind)[n[2] % 2]
                one = None if n[4] % 4 == 0 else f"key{n[4] % 3}"
                self.batch.append(DropNotes(kind, lane.project, f"scope{n[3] % 2}", one))
            case "commit":
                self.commit(fail=n[0] % 3 == 0)
            case "crash":
                self.crash()
            case _:
                assert what == "prune"
                self.commit()
                self.prune(Retention(n[0] % 500, n[1] % 20, n[2] % 500, n[3] % 40), n[4] % 9)

    def commit(self, fail: bool = False) -> None:
        """Commit the batch; with `fail` the disk fails first, and the batch is tried again."""
        batch, self.batch = self.batch, []
        results: list[StoreResult] | None = None
        if fail:
            log = self.folder / str(self.generation) / (DATABASE_NAME + "-wal")
            try:
                with file_growth_refused(log):
                    results = self.sqlite.apply(batch, self.now)
            except StoreError as error:
                if not error.retryable:
                    raise
        if results is None:
            results = self.sqlite.apply(batch, self.now)
        assert results == self.memory.apply(batch, self.now)
        self.compare()

    def crash(self) -> None:
        """Both lose the batch that was not committed, and what was held."""
        self.batch.clear()
        old = self.folder / str(self.generation)
        self.generation += 1
        new = self.folder / str(self.generation)
        new.mkdir()
        for file in (DATABASE_NAME, DATABASE_NAME + "-wal"):
            shutil.copy(old / file, new / file)
        self.sqlite.close()
        self.sqlite = SqliteDatabase(new)
        self.memory.crash()
        self.must_recover_the_same()
        self.compare()

    def must_recover_the_same(self) -> None:
        """Open both: notes come in no order."""
        sqlite, memory = self.sqlite.open(), self.memory.open()
        assert replace(sqlite, notes=()) == replace(memory, notes=())
        assert sorted(sqlite.notes, key=repr) == sorted(memory.notes, key=repr)

    def prune(self, retention: Retention, limit: int) -> None:
        pruned = self.sqlite.prune(retention, self.now, limit)
        assert pruned == self.memory.prune(retention, self.now, limit)
        kept = {stored.job.id for stored in self.all_jobs()}
        for known in (self.ended, self.configs):
            for job_id in known.keys() - kept:
                known.pop(job_id)
        self.compare()

    def all_jobs(self) -> list[StoredJob]:
        return [
            stored
            for project in ("project", "other")
            for stored in self.memory.list_jobs(JobFilter(project), ALL)
        ]

    def compare(self) -> None:
        """Compare all reads, and check what may never change."""
        sqlite, memory = self.sqlite.reads, self.memory
        rooms = {(lane.project, f"room{number}") for lane in LANES for number in range(3)}
        for project, room in rooms:
            found = sqlite.list_dispatches(project, room, 5)
            assert found == memory.list_dispatches(project, room, 5)
        for number in range(self.made + 1):
            for project in ("project", "other"):
                found_one = sqlite.get_dispatch(project, f"AD_{number}")
                assert found_one == memory.get_dispatch(project, f"AD_{number}")
        events = sqlite.events_after(0, ALL)
        assert events == memory.events_after(0, ALL)
        sequences = [event.sequence for event in events]
        assert sequences == list(range(sequences[0], sequences[-1] + 1)) if sequences else True
        assert not sequences or sequences[-1] >= self.sequence
        self.sequence = max(self.sequence, *sequences, 0)
        for project in ("project", "other"):
            for where in (
                JobFilter(project),
                JobFilter(project, frozenset(HELD)),
                JobFilter(project, frozenset({JobPhase.QUEUED, JobPhase.FAILED}), worker_id="AW_1"),
                JobFilter(project, room="room1"),
                JobFilter(project, dispatch_id="AD_1"),
            ):
                jobs = sqlite.list_jobs(where, 7, self.made)
                assert jobs == memory.list_jobs(where, 7, self.made)
            for stored in sqlite.list_jobs(JobFilter(project), ALL, 0):
                id_ = stored.job.id
                assert memory.get_job(project, id_) == sqlite.get_job(project, id_) == stored
                assert sqlite.job_events(project, id_) == memory.job_events(project, id_)
                for live_jobs_max in (3, ALL):
                    place = memory.queue_place(stored, live_jobs_max)
                    assert sqlite.queue_place(stored, live_jobs_max) == place
                assert self.configs.setdefault(id_, stored.job.config) == stored.job.config
                if stored.state.phase in ENDED:
                    assert self.ended.setdefault(id_, stored.state) == stored.state
                else:
                    assert id_ not in self.ended

    def close(self) -> None:
        self.sqlite.close()


@given(steps=STEPS)
@settings(max_examples=150)
def test_both_stores_answer_the_same(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(Path(folder))
        try:
            for step in steps:
                pair.do(step)
            pair.commit()
            pair.crash()
        finally:
            pair.close()
