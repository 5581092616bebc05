"""Histories of the real engine: schedules of the simulator, and what their processes wrote down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dispatcher.core.jobs import SECOND, Nanoseconds
from dispatcher.core.room_events import DisconnectReason
from dispatcher.history import (
    Acknowledgement,
    Assumptions,
    Comparison,
    JobFacts,
    Numbers,
    Verdict,
    WorkerRecord,
    check,
)
from dispatcher.store.contract import EventRow, JobFilter, StoredDispatch
from tests.simulation.processes import WorkerProcess
from tests.simulation.scenario import PROJECT
from tests.simulation.simulator import Parts, World
from tests.simulation.trace import Watcher

_ALL = 1 << 30


class Records(Watcher):
    """Writes down what workers of ours run, as these do; stock ones write nothing."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.lines: list[WorkerRecord] = []

    def began(self, process: WorkerProcess, job_id: str, epoch: int) -> None:
        """A start."""
        self._write("start", process, job_id, epoch, "")

    def ended(
        self, process: WorkerProcess, job_id: str, epoch: int, reason: DisconnectReason
    ) -> None:
        """An end, but of who is killed."""
        if reason is not DisconnectReason.CONNECTION_TIMEOUT:
            is_done = reason is DisconnectReason.CLIENT_INITIATED
            self._write("end", process, job_id, epoch, "success" if is_done else "failed")

    def _write(
        self, event: str, process: WorkerProcess, job_id: str, epoch: int, outcome: str
    ) -> None:
        if process.is_honest and process.registration.instance_id:
            at = self._world.timeline.now
            name = process.name
            self.lines.append(WorkerRecord(event, job_id, epoch, at, name, outcome=outcome))


class MemoryFacts:
    """What the simulated store knows of jobs."""

    def __init__(self, world: World, rows: Sequence[EventRow]) -> None:
        self._database = world.database
        self._last_events = {row.job_id: row.sequence for row in rows}

    def job(self, job_id: str) -> JobFacts | None:
        """Return what is kept of the job."""
        stored = self._database.get_job(PROJECT, job_id)
        if stored is None:
            return None
        dispatch = self._dispatch(stored.job.dispatch_id)
        return JobFacts(
            job_id=job_id,
            restart_policy=stored.job.restart_policy,
            queue_time=stored.job.queue_time,
            phase=stored.state.phase,
            epoch=stored.state.epoch,
            until=stored.state.until,
            last_event=self._last_events[job_id],
            deletion_requested_at=dispatch.dispatch.deletion_requested_at if dispatch else 0,
        )

    def has_dispatch(self, dispatch_id: str) -> bool:
        """Is the dispatch kept?"""
        return self._dispatch(dispatch_id) is not None

    def ended_since(self, job_id: str, sequence: int) -> bool:
        """No: the run is over."""
        return False

    def numbers(self) -> Numbers:
        """All that was given is there, and the store mentions none that is not."""
        numbers = self._last_events.values()
        return Numbers(bool(numbers), max(numbers, default=0), max(numbers, default=0))

    def graces(self) -> Mapping[str, Nanoseconds]:
        """What the last state of each job says of its worker."""
        page = self._database.list_jobs(JobFilter(PROJECT), _ALL)
        return {one.state.worker_id: one.state.grace for one in page if one.state.worker_id}

    def comparison(self) -> Comparison:
        """Compare nothing: this store has its events and its states from one hand."""
        return Comparison(0)

    def _dispatch(self, dispatch_id: str) -> StoredDispatch | None:
        return self._database.get_dispatch(PROJECT, dispatch_id)


def judged(seed: int, parts: Parts | None = None) -> tuple[Verdict, World]:
    """Play the schedule of this seed, and judge its history as one of real processes."""
    world = World(seed, parts or Parts(), keeps_text=False)
    records = Records(world)
    world.trace.watch(records)
    world.play()
    policy = world.policy
    rows = world.database.events_after(0, _ALL)
    verdict = check(
        rows,
        records.lines,
        [Acknowledgement(one) for one in dict.fromkeys(row.dispatch_id for row in rows) if one],
        store=MemoryFacts(world, rows),
        assumptions=Assumptions(
            attempts_max=policy.attempts_max,
            losses_max=policy.losses_max,
            grace_seconds_max=policy.grace_max / SECOND,
            offer_seconds_max=policy.offer_timeout / SECOND,
            retry_seconds_max=policy.retry_backoff_max / SECOND,
            # where commits are small they tell little of how late they are
            moves_a_commit=1024 if world.scenario.batch_max > 1024 else 1,
        ),
    )
    return verdict, world
