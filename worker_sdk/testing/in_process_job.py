"""A job of an `InProcessDispatcher`, as a test follows it: its phases, why it waits, its room, its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker_sdk.client.messages import JobPhase, JobRecord
from worker_sdk.testing.fake_room import FakeRoom
from worker_sdk.testing.waiting import WaitedInVain, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_sdk.testing.in_process import InProcessDispatcher

__all__ = ["InProcessJob", "JobView"]

_ENDED = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class JobView:
    """A job at one instant. `phase` is a JobPhase's name in lower case: queued, running, succeeded ..."""

    id: str
    phase: str
    room: str
    agent_name: str
    metadata: str
    # Of the attempt that runs, ran last, or will be next.
    attempt: int
    attempt_reason: str
    epoch: int
    worker_id: str
    # Why it failed, or was cancelled.
    error: str
    # Whom it is for; empty for a room.
    participant_identity: str
    # All that the API tells of it.
    record: JobRecord = field(repr=False, compare=False)

    @property
    def is_ended(self) -> bool:
        """Has it succeeded, failed or been cancelled?"""
        return self.phase in _ENDED

    @classmethod
    def of(cls, record: JobRecord) -> JobView:
        """The view of what the API tells."""
        job = record.job
        return cls(
            id=job.id,
            phase=JobPhase.Name(record.phase).lower(),
            room=job.room.name,
            agent_name=job.agent_name,
            metadata=job.metadata,
            attempt=record.attempt,
            attempt_reason=record.attempt_reason,
            epoch=record.epoch,
            worker_id=record.worker_id,
            error=job.state.error,
            participant_identity=record.participant_identity,
            record=record,
        )


class InProcessJob:
    """A job in a test. Its waits last for the dispatcher's `wait_seconds`, then raise WaitedInVain."""

    def __init__(self, dispatcher: InProcessDispatcher, job_id: str) -> None:
        self._dispatcher = dispatcher
        self.id = job_id

    def __repr__(self) -> str:
        return f"<InProcessJob {self.id}>"

    async def view(self) -> JobView:
        """The job as it is now."""
        return JobView.of(await self._dispatcher.client.get_job(self.id))

    async def started(self, *, attempt: int = 1, epoch: int = 1) -> JobView:
        """Wait until a worker runs it, or has run it: in this attempt and epoch, or in later ones.

        A job that is tried again has another attempt, and one that is given to another worker another
        epoch, also where it was handed over and the attempt goes on.
        """

        def has_started(view: JobView) -> bool:
            if view.attempt > attempt and view.epoch > epoch:
                return True
            has_run = view.phase == "running" or (
                view.is_ended and view.record.job.state.started_at > 0
            )
            return has_run and view.attempt >= attempt and view.epoch >= epoch

        return await self._until(has_started, f"did not start attempt {attempt}, epoch {epoch}")

    async def ended(self) -> JobView:
        """Wait until it has succeeded, failed for good or been cancelled."""
        return await self._until(lambda view: view.is_ended, "did not end")

    async def reached(self, phase: str) -> JobView:
        """Wait until it is in a phase: delayed, queued, offered, assigned, running, orphaned ..."""
        if phase.upper() not in JobPhase.keys():  # noqa: SIM118 - no mapping
            names = ", ".join(name.lower() for name in JobPhase.keys()[1:])
            raise ValueError(f"phase must be one of {names}, not {phase!r}")
        return await self._until(lambda view: view.phase == phase, f"did not become {phase}")

    async def joined(self) -> FakeRoom:
        """Wait until it is in its room, and return that: what the test sees of `ctx.room()`."""
        dispatcher = self._dispatcher

        async def look() -> FakeRoom | None:
            room = dispatcher.room_of(self.id)
            if room is not None and not isinstance(room, FakeRoom):
                raise TypeError(f"the room of {self.id} is not a FakeRoom but {room!r}")
            return room if room is not None and room.isconnected() else None

        return await until(
            look,
            lambda: self._told("did not join its room"),
            dispatcher.changes,
            dispatcher.wait_seconds,
        )

    async def terminate(self, reason: str = "") -> JobView:
        """End it, as `callboard job terminate` does; one that runs is told to stop."""
        await self._dispatcher.client.terminate_job(self.id, reason)
        await self._dispatcher.settle()
        return await self.view()

    async def why(self) -> str:
        """Why it is where it is, as `callboard job why` says: a sentence, and a line for each worker."""
        told = await self._dispatcher.client.explain_job(self.id)
        lines = [told.summary, *(f"{row.worker_id}: {row.text}" for row in told.workers)]
        return "\n".join(lines)

    async def _until(self, holds: Callable[[JobView], bool], failing: str) -> JobView:
        async def look() -> JobView | None:
            view = await self.view()
            if holds(view):
                return view
            if view.is_ended:
                raise WaitedInVain(await self._told(failing))
            return None

        return await until(
            look,
            lambda: self._told(failing),
            self._dispatcher.changes,
            self._dispatcher.wait_seconds,
        )

    async def _told(self, failing: str) -> str:
        view = await self.view()
        number = f"attempt {view.attempt}, epoch {view.epoch}"
        lines = [f"job {self.id} {failing}; it is {view.phase}, {number}"]
        if view.error:
            lines.append(f"error: {view.error}")
        lines.append(await self.why())
        if not view.is_ended:
            lines.append("(the dispatcher's clock stands still until `pass_time` moves it)")
        return "\n".join(lines)
