"""What a worker says and does next, decided without a socket, a clock or a task.

The shell (`worker`, `connection`) hands in what the server sent and what became of the jobs, and
carries out the orders that come back, in order. Invariants: the capacity is never exceeded, the
results of a job that is no longer ours are never told, every result that counts is told until it is
confirmed, and each message names the epoch that it speaks for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocol import wire_pb2
from protocol.limits import bounded_load, truncate_error_text
from worker_sdk.counts import WorkerCounts
from worker_sdk.execution import Outcome, OutcomeKind
from worker_sdk.job import Job
from worker_sdk.job_request import Decision, JobRequest
from worker_sdk.ledger import Admission, JobLedger, Refusal, StopReason
from worker_sdk.outbox import ReportedStatus, StatusOutbox, StatusReport

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Consider", "Order", "Planner", "Refuse", "Send", "Start", "Stop"]

# A server that lists it gives jobs away as others have room (HandOver.when_another_has_room).
YIELD_EXTENSION = "hand_over_when_room"


@dataclass(frozen=True, slots=True)
class Send:
    """Write this message on the connection that it belongs to; lose it with that connection."""

    message: wire_pb2.WorkerMessage


@dataclass(frozen=True, slots=True)
class Refuse:
    """Write this refusal; `why` is for the log."""

    job_id: str
    why: Refusal
    message: wire_pb2.WorkerMessage


@dataclass(frozen=True, slots=True)
class Consider:
    """Decide on this offer, for which room is reserved: `Planner.answer`, or `withdraw`."""

    request: JobRequest


@dataclass(frozen=True, slots=True)
class Start:
    """Run this job; `Planner.ended` when it is over."""

    job: Job
    attempt: int
    attempt_reason: str
    epoch: int | None
    resuming: bool
    url: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stop:
    """Cancel this running job at once."""

    job_id: str
    reason: StopReason


Order = Send | Refuse | Consider | Start | Stop


class Planner:
    """The whole state of a worker that outlives a connection."""

    def __init__(self, ledger: JobLedger, outbox: StatusOutbox) -> None:
        self.ledger = ledger
        self.outbox = outbox
        self.counts = WorkerCounts()
        # Would a job that came now run? Set by who knows what runs them.
        self.is_able = True
        # A server of LiveKit's is where its rooms are, and does not say so.
        self.server_url = ""
        # What this connection's server understands beside LiveKit's messages.
        self._extensions: frozenset[str] = frozenset()
        self._status_sequence = 0
        # Others are to go on with the jobs, as they have room for them.
        self._is_yielding = False
        # This process ends now: what comes yet is given back.
        self._is_leaving = False

    @property
    def _is_extended(self) -> bool:
        # Every server that lists extensions gives receipts and takes hand-overs.
        return bool(self._extensions)

    @property
    def can_yield(self) -> bool:
        """Can this connection's server give jobs away as others have room for them?"""
        return YIELD_EXTENSION in self._extensions

    # ---- the connection ----

    def registered(self, response: wire_pb2.RegisterWorkerResponse) -> list[wire_pb2.WorkerMessage]:
        """A new connection is registered: the claim to send first, if there is anything to claim.

        One message names all that the server may think is ours: jobs that run, and jobs whose
        results it has not confirmed. The results follow the claim.
        """
        self._extensions = frozenset(response.extensions)
        claimed = self.outbox.ended_jobs
        # Of a job that ended here before, and runs here again, the present run counts.
        claimed |= {job_id: self.ledger.epoch(job_id) for job_id in self.ledger.running_job_ids}
        self.outbox.reconnected(has_receipts=self._is_extended)
        if not claimed:
            return []
        claim = wire_pb2.MigrateJobRequest(job_ids=claimed, epochs=claimed.values())
        messages = [wire_pb2.WorkerMessage(migrate_job=claim)]
        # What was to be given away was so on the lost connection alone.
        return messages + [order.message for order in self._yield_jobs()]

    def received(self, message: wire_pb2.ServerMessage, now: float) -> list[Order]:
        """What a message of the server asks for. Messages that are not known ask for nothing."""
        orders: list[Order] = []
        match message.WhichOneof("message"):
            case "availability":
                orders = self._offered(message.availability, now)
            case "assignment":
                orders = self._assigned(message.assignment, now)
            case "termination":
                job_id = message.termination.job_id
                orders = self._stop(job_id, StopReason.TERMINATED) or self._stopped(job_id, None)
            case "status_receipt":
                self.outbox.confirm(message.status_receipt.sequence)
            case _:
                pass
        for verdict in message.migrate_verdicts:
            if verdict.verdict != wire_pb2.MigrateVerdict.KEEP:
                self.outbox.withdraw(verdict.job_id)
                orders += self._stop(verdict.job_id, StopReason.FENCED)
        return orders

    # ---- offers ----

    def answer(self, request: JobRequest) -> wire_pb2.WorkerMessage:
        """The message for what was decided; anything but accepting frees the reserved room."""
        if request.decision is not Decision.ACCEPT:
            self.ledger.release(request.job.id)
            return _refusal(request.job.id, terminate=request.decision is Decision.TERMINATE)
        participation = request.participation
        return wire_pb2.WorkerMessage(
            availability=wire_pb2.AvailabilityResponse(
                job_id=request.job.id,
                available=True,
                supports_resume=True,
                participant_identity=participation.identity or f"agent-{request.job.id}",
                participant_name=participation.name,
                participant_metadata=participation.metadata,
                participant_attributes=participation.attributes,
            )
        )

    def withdraw(self, job_id: str) -> None:
        """The connection was lost before the offer could be answered."""
        self.ledger.release(job_id)

    # ---- jobs ----

    def ended(self, job_id: str, epoch: int | None, outcome: Outcome) -> list[Order]:
        """A job's function is over: its room is free, and its result goes where it counts."""
        reason = self.ledger.stop_reason(job_id)
        self.ledger.end(job_id)
        self.counts.jobs_ended[outcome.kind] += 1
        if reason is StopReason.FENCED:
            return self._stopped(job_id, epoch)
        if outcome.kind is OutcomeKind.STOPPED and reason is StopReason.WORKER_STOPPING:
            return self._give_up(job_id, epoch, "the worker was stopped")
        if outcome.kind is OutcomeKind.FAILED:
            status = ReportedStatus.FAILED
        elif outcome.kind is OutcomeKind.STOPPED and self._is_extended:
            status = ReportedStatus.CANCELLED
        else:
            # A server of LiveKit's expects SUCCESS of a job that was terminated and obeyed, too.
            status = ReportedStatus.SUCCESS
        self.outbox.put(job_id, epoch, status, truncate_error_text(outcome.error))
        return []

    def did_not_stop(self, job_id: str, epoch: int | None, error: str) -> bool:
        """A job that was told to stop goes on: report it once, whatever it does later.

        It keeps its room until it ends, for it still uses it. False where nothing is to be told.
        """
        reason = self.ledger.stop_reason(job_id)
        if reason is None or reason is StopReason.FENCED:
            return False
        self.ledger.stop(job_id, StopReason.FENCED)
        self.outbox.put(job_id, epoch, ReportedStatus.FAILED, truncate_error_text(error))
        return True

    def drain(self, *, yields: bool) -> list[Send]:
        """Take no more jobs. `yields`: others shall go on with those that run, as they have room.

        Of a server that does not know this the jobs simply go on.
        """
        self.ledger.is_draining = True
        self._is_yielding = yields
        return self._yield_jobs()

    def abandon_all(self) -> list[Order]:
        """Jobs that were told to stop, and do not: they are given away as they are."""
        orders: list[Order] = []
        for job_id in self.ledger.stopping_job_ids:
            if self.ledger.stop_reason(job_id) is StopReason.WORKER_STOPPING:
                epoch = self.ledger.epoch(job_id) or None
                self.ledger.stop(job_id, StopReason.FENCED)
                orders += self._give_up(job_id, epoch, "the worker was stopped")
        return orders

    def stop_all(self) -> list[Stop]:
        """This process has to end now: every job stops, and is given to another worker."""
        self.ledger.is_draining = True
        self._is_leaving = True
        self._is_yielding = False
        return [
            Stop(job_id, StopReason.WORKER_STOPPING)
            for job_id in self.ledger.running_job_ids
            if self.ledger.stop(job_id, StopReason.WORKER_STOPPING)
        ]

    def job_status(self, report: StatusReport) -> wire_pb2.WorkerMessage:
        """The message of one status from the outbox."""
        return wire_pb2.WorkerMessage(
            update_job=wire_pb2.UpdateJobStatus(
                job_id=report.job_id,
                status=_WIRE_STATUSES[report.status],
                error=report.error,
                epoch=report.epoch,
                sequence=report.sequence,
            )
        )

    # ---- the worker itself ----

    @property
    def accepts_jobs(self) -> bool:
        """Would an offer be taken now, as far as room goes? (WS_FULL, where not.)"""
        ledger = self.ledger
        return not (
            ledger.is_draining
            or ledger.active_count >= ledger.capacity
            or self.outbox.is_full
            or not self.is_able
        )

    def worker_status(self, load: float) -> wire_pb2.WorkerMessage:
        """The worker's status. `load` (0 idle, 1 full) was sampled now; draining overrides it."""
        self._status_sequence += 1
        ledger = self.ledger
        return wire_pb2.WorkerMessage(
            update_worker=wire_pb2.UpdateWorkerStatus(
                status=wire_pb2.WS_AVAILABLE if self.accepts_jobs else wire_pb2.WS_FULL,
                load=0.0 if ledger.is_draining else bounded_load(load),
                job_count=ledger.active_count,
                draining=ledger.is_draining,
                seq=self._status_sequence,
            )
        )

    # ---- inside ----

    def _offered(self, offer: wire_pb2.AvailabilityRequest, now: float) -> list[Order]:
        job_id = offer.job.id
        try:
            job = Job.from_message(offer.job)
        except ValueError:
            # A job type that this SDK does not know yet: another worker may.
            return [Send(_refusal(job_id))]
        if not self.is_able:
            refusal: Refusal | None = Refusal.NO_PROCESS
        elif self.outbox.is_full:
            refusal = Refusal.RESULTS_UNCONFIRMED
        else:
            refusal = self.ledger.reserve(job_id, now, is_resuming=offer.resuming)
        if refusal is not None:
            self.counts.offers_refused += 1
            return [Refuse(job_id, refusal, _refusal(job_id))]
        return [
            Consider(
                JobRequest(
                    job,
                    resuming=offer.resuming,
                    attempt=max(1, offer.attempt),
                    attempt_reason=offer.attempt_reason,
                )
            )
        ]

    def _assigned(self, assignment: wire_pb2.JobAssignment, now: float) -> list[Order]:
        job_id = assignment.job.id
        epoch = assignment.epoch if assignment.HasField("epoch") else None
        try:
            job = Job.from_message(assignment.job)
        except ValueError:
            return self._give_up(job_id, epoch, "the job's type is not known to this worker")
        if self.outbox.has_result(job_id, epoch):
            return []  # it ran, and the server is about to hear how it ended
        if self._is_leaving and job_id not in self.ledger.active_job_ids:
            self.ledger.release(job_id)
            return self._give_up(job_id, epoch, "the worker was stopped")
        resuming = self.ledger.is_resuming(job_id)
        admission = self.ledger.admit(job_id, epoch, now)
        if admission is Admission.DUPLICATE:
            return []
        if admission is Admission.NO_ROOM:
            return self._give_up(job_id, epoch, "the worker has no room for the job")
        self.outbox.put(job_id, epoch, ReportedStatus.RUNNING)
        self.counts.jobs_started += 1
        return [
            *self._yield_jobs(),
            Start(
                job=job,
                attempt=max(1, assignment.attempt),
                attempt_reason=assignment.attempt_reason,
                epoch=epoch,
                resuming=resuming,
                url=assignment.url or ("" if self._is_extended else self.server_url),
                token=assignment.token,
            ),
        ]

    def _yield_jobs(self) -> list[Send]:
        """Name all jobs that others shall go on with when they have room for them."""
        job_ids = self.ledger.running_job_ids
        if not self._is_yielding or not self.can_yield or not job_ids:
            return []
        named = wire_pb2.HandOver(job_ids=job_ids, when_another_has_room=True)
        return [Send(wire_pb2.WorkerMessage(hand_over=named))]

    def _stop(self, job_id: str, reason: StopReason) -> list[Order]:
        if self.ledger.stop(job_id, reason):
            return [Stop(job_id, reason)]
        self.ledger.release(job_id)
        return []

    def _stopped(self, job_id: str, epoch: int | None) -> list[Order]:
        """Tell the server that nothing of the job runs here (any more).

        That is no result, and it need not arrive: the server stops waiting for it by itself, only
        later, and keeps the job's room at this worker until then.
        """
        if not self._is_extended:
            return []
        return [
            Send(
                wire_pb2.WorkerMessage(
                    update_job=wire_pb2.UpdateJobStatus(
                        job_id=job_id, status=wire_pb2.JS_CANCELLED, epoch=epoch
                    )
                )
            )
        ]

    def _give_up(self, job_id: str, epoch: int | None, why: str) -> list[Order]:
        """Another worker shall run this job: say so, or, to a server of LiveKit's, that it failed."""
        self.counts.jobs_handed_over += 1
        if self._is_extended:
            self.outbox.withdraw(job_id)
            return [Send(_hand_over([job_id]))]
        self.outbox.put(job_id, epoch, ReportedStatus.FAILED, why)
        return []


_WIRE_STATUSES = {
    ReportedStatus.RUNNING: wire_pb2.JS_RUNNING,
    ReportedStatus.SUCCESS: wire_pb2.JS_SUCCESS,
    ReportedStatus.FAILED: wire_pb2.JS_FAILED,
    ReportedStatus.CANCELLED: wire_pb2.JS_CANCELLED,
}


def _refusal(job_id: str, *, terminate: bool = False) -> wire_pb2.WorkerMessage:
    return wire_pb2.WorkerMessage(
        availability=wire_pb2.AvailabilityResponse(
            job_id=job_id, available=False, terminate=terminate
        )
    )


def _hand_over(job_ids: Iterable[str]) -> wire_pb2.WorkerMessage:
    return wire_pb2.WorkerMessage(hand_over=wire_pb2.HandOver(job_ids=job_ids))
