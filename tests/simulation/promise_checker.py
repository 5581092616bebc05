"""Promises, judged from outside: what is said is true in the store already (invariant 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dispatcher.core.effects import (
    DropNotes,
    Message,
    Outcome,
    PutNote,
    Reply,
    SendAssignment,
    SendStatusReceipt,
    SendTermination,
    SendVerdicts,
    StoreRequest,
    Verdict,
)
from dispatcher.core.events import (
    Event,
    JobReported,
)
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.notes import NoteKind
from dispatcher.store.contract import EventRow
from tests.simulation.checkers import Checker
from tests.simulation.facts import FINAL, GIVEN, Facts
from tests.simulation.network import Link

if TYPE_CHECKING:
    from tests.simulation.simulator import World


class PromisesAreDurable(Checker):
    """6: nothing is acknowledged, assigned, judged, confirmed or stopped before it is durable."""

    name = "promises are durable"

    def __init__(self, world: World, facts: Facts) -> None:
        super().__init__(world, facts)
        # final reports by (worker id, sequence), until confirmed
        self._reports: dict[tuple[str, int], JobReported] = {}
        # names of rules
        self._rules: set[str] = set()

    def heard(self, event: Event, link: Link | None, true_epoch: int) -> None:
        """Remember what a receipt will be for."""
        if (
            isinstance(event, JobReported)
            and event.sequence
            and event.status in FINAL
            and link is not None
            and link.process.is_honest
        ):
            self._reports[event.worker_id, event.sequence] = event

    def sent(self, message: Message, link: Link | None) -> None:
        """Is it true in the store?"""
        match message:
            case Reply():
                self._acknowledged(message)
            case SendAssignment():
                facts = self.facts.jobs.get(message.job.id)
                given = (message.state.epoch, message.worker_id)
                rows = facts.rows if facts is not None else []
                # A new job may be durably reserved for the worker before it has answered.
                if not any(
                    row.phase in (JobPhase.OFFERED, JobPhase.ASSIGNED)
                    and (row.epoch, row.worker_id) == given
                    for row in rows
                ):
                    self.blame(f"{message.job.id} is assigned to {link} before it is durable")
            case SendVerdicts():
                for job_id, verdict in message.verdicts.items():
                    self._judged(message.worker_id, job_id, verdict)
            case SendTermination():
                if self._is_holder(message.worker_id, message.job_id):
                    self.blame(f"{message.job_id} is stopped before that is durable")
            case SendStatusReceipt():
                self._confirmed(message)
            case _:
                pass

    def committed(self, batch: Sequence[StoreRequest], rows: Sequence[EventRow]) -> None:
        """Remember which rules are durable."""
        for request in batch:
            if isinstance(request, PutNote) and request.note.kind is NoteKind.RULE:
                self._rules.add(request.note.key)
            elif isinstance(request, DropNotes) and request.kind is NoteKind.RULE:
                self._rules.discard(request.key or "")

    def _acknowledged(self, reply: Reply) -> None:
        if not reply.dispatch_id:
            self._acknowledged_rule(reply)
            return
        stored = self.stored_dispatch(reply.dispatch_id)
        if reply.outcome in (Outcome.CREATED, Outcome.EXISTED):
            if stored is None or not stored.jobs:
                self.blame(f"{reply.dispatch_id} is acknowledged before it is durable")
        elif reply.outcome is Outcome.DELETED and (
            stored is None or not stored.dispatch.deletion_requested_at
        ):
            self.blame(f"the deletion of {reply.dispatch_id} is acknowledged before it is durable")

    def _acknowledged_rule(self, reply: Reply) -> None:
        callers = self.world.rule_callers
        name = callers.name_of(reply.request) if callers is not None else None
        if name is None:
            return
        if reply.outcome in (Outcome.CREATED, Outcome.CHANGED) and name not in self._rules:
            self.blame(f"rule {name} is acknowledged before it is durable")
        if reply.outcome is Outcome.DELETED and name in self._rules:
            self.blame(f"the deletion of rule {name} is acknowledged before it is durable")

    def _last(self, job_id: str) -> EventRow | None:
        facts = self.facts.jobs.get(job_id)
        return facts.last if facts is not None else None

    def _is_holder(self, worker_id: str, job_id: str) -> bool:
        last = self._last(job_id)
        return last is not None and last.phase in GIVEN and last.worker_id == worker_id

    def _judged(self, worker_id: str, job_id: str, verdict: Verdict) -> None:
        last = self._last(job_id)
        facts = self.facts.jobs.get(job_id)
        is_true = False
        match verdict:
            case Verdict.KEEP:
                # It held the job durably; what became of it since may be durable already too.
                rows = facts.rows if facts is not None else []
                is_true = any(row.phase in GIVEN and row.worker_id == worker_id for row in rows)
            case Verdict.STOP_ENDED:
                is_true = last is not None and last.phase.is_ended
            case Verdict.STOP_UNKNOWN:
                is_true = last is None
            case Verdict.STOP_REASSIGNED:
                is_true = not self._is_holder(worker_id, job_id) or self._is_news(worker_id, job_id)
        if not is_true:
            self.blame(f"{verdict.name} of {job_id} for {worker_id} is not true in the store")

    def _is_news(self, worker_id: str, job_id: str) -> bool:
        """Is the job given to the worker anew, and its assignment still to be sent?"""
        facts, connection = self.facts.jobs[job_id], self.facts.connections.get(worker_id)
        last = facts.last
        return (
            last is not None
            and last.phase is JobPhase.ASSIGNED
            and connection is not None
            and connection.link.process.name not in facts.assigned.get(last.epoch, ())
        )

    def _confirmed(self, receipt: SendStatusReceipt) -> None:
        report = self._reports.pop((receipt.worker_id, receipt.sequence), None)
        last = self._last(report.job_id) if report is not None else None
        if (
            report is not None
            and last is not None
            and self._is_holder(receipt.worker_id, report.job_id)
            and report.epoch in (0, last.epoch)
        ):
            self.blame(f"the end of {report.job_id} is confirmed before it is durable")
