"""The history checker, asked about a schedule: it has to find nothing where the checkers here find nothing.

`dispatcher.history` judges a run by what was written down of it: the event log, the records of the
workers of ours, the acknowledgements. Every `ASKED_EVERY`th schedule is handed to it in the end. It
believes times, so schedules in which a clock is set are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.core.effects import Message, Outcome, Reply
from dispatcher.core.jobs import SECOND
from dispatcher.core.room_events import DisconnectReason
from dispatcher.history import Acknowledgement, Assumptions, WorkerRecord, check
from tests.simulation.checkers import Checker
from tests.simulation.facts import Facts
from tests.simulation.network import Link
from tests.simulation.scenario import FaultKind
from tests.simulation.sdk_worker import SdkWorker

if TYPE_CHECKING:
    from tests.simulation.processes import WorkerProcess
    from tests.simulation.simulator import World

ASKED_EVERY = 10
_SETS_A_CLOCK = frozenset({FaultKind.CLOCK, FaultKind.SUSPEND})


class HistoryIsClean(Checker):
    """What was written down shows no violation."""

    name = "history is clean"

    def __init__(self, world: World, facts: Facts) -> None:
        super().__init__(world, facts)
        self._records: list[WorkerRecord] = []
        self._acknowledged: dict[str, Acknowledgement] = {}

    def _note(
        self, event: str, process: WorkerProcess, job_id: str, epoch: int, outcome: str = ""
    ) -> None:
        if isinstance(process, SdkWorker):
            self._records.append(
                WorkerRecord(event, job_id, epoch, self.now, process.name, outcome=outcome)
            )

    def began(self, process: WorkerProcess, job_id: str, epoch: int) -> None:
        """Write it down."""
        self._note("start", process, job_id, epoch)

    def ended(
        self, process: WorkerProcess, job_id: str, epoch: int, reason: DisconnectReason
    ) -> None:
        """Write it down, but who is killed."""
        if reason is not DisconnectReason.CONNECTION_TIMEOUT:
            outcome = "success" if reason is DisconnectReason.CLIENT_INITIATED else "failed"
            self._note("end", process, job_id, epoch, outcome)

    def sent(self, message: Message, link: Link | None) -> None:
        """A caller writes down what is acknowledged."""
        if not isinstance(message, Reply) or not message.dispatch_id:
            return
        if message.outcome in (Outcome.CREATED, Outcome.EXISTED):
            told = Acknowledgement(message.dispatch_id, self.now)
            self._acknowledged.setdefault(message.dispatch_id, told)

    def finished(self) -> None:
        """Ask."""
        world = self.world
        if any(kind in _SETS_A_CLOCK for _, kind in world.scenario.faults):
            return
        verdict = check(
            world.database.events_after(0, 1 << 30),
            self._records,
            self._acknowledged.values(),
            assumptions=Assumptions(
                is_over=not self.facts.open,
                attempts_max=max(world.policy.attempts_max, world.policy.losses_max),
                grace_seconds_max=world.policy.grace_max / SECOND,
            ),
        )
        for violation in verdict.violations:
            self.blame(f"{violation.invariant}: {violation.job_id}: {violation.what}")
