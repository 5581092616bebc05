"""callboard.WorkerService: which workers are connected to this server, and how they are.

The engine tells of their work, the session of their connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import structlog

from dispatcher.core.effects import Outcome
from dispatcher.core.events import WorkerDrainRequested
from dispatcher.core.jobs import seconds
from dispatcher.core.lifecycle import WorkerPhase
from dispatcher.core.reasons import worker_note
from dispatcher.core.workers import JobInHand, Worker
from dispatcher.runtime import Runtime
from dispatcher.server.job_service import may_read
from dispatcher.server.limits import ServerLimits
from dispatcher.server.pages import page_size, place_after
from dispatcher.server.sessions import Sessions
from dispatcher.server.twirp import Call, Method, MethodTable
from protocol import api_pb2, wire_pb2
from protocol.errors import InvalidField, TwirpCode, TwirpError
from protocol.limits import check_text

log = structlog.get_logger()

SERVICE = "callboard.WorkerService"

# The latest that a worker's jobs may be handed over.
HAND_OVER_SECONDS_MAX = 7 * 24 * 3600

_PHASE_NUMBERS = {
    WorkerPhase.SETTLING: api_pb2.CONNECTING,
    WorkerPhase.AVAILABLE: api_pb2.AVAILABLE,
    WorkerPhase.FULL: api_pb2.FULL,
    WorkerPhase.BACKED_OFF: api_pb2.BACKED_OFF,
    WorkerPhase.DRAINING: api_pb2.DRAINING,
    WorkerPhase.STALE: api_pb2.STALE,
    WorkerPhase.OUT_OF_SERVICE: api_pb2.OUT_OF_SERVICE,
    WorkerPhase.GONE: api_pb2.GONE,
}


class WorkerService:
    """Answers questions about workers."""

    def __init__(self, runtime: Runtime, sessions: Sessions, limits: ServerLimits) -> None:
        self._runtime = runtime
        self._sessions = sessions
        self._limits = limits.wire

    def methods(self) -> MethodTable:
        """Return the service's rows of the Twirp table."""
        return {
            SERVICE: {
                "ListWorkers": Method(api_pb2.ListWorkersRequest, may_read, self.list),
                "GetWorker": Method(api_pb2.GetWorkerRequest, may_read, self.get),
                "DrainWorker": Method(api_pb2.DrainWorkerRequest, may_read, self.drain),
            }
        }

    async def list(
        self, call: Call, request: api_pb2.ListWorkersRequest
    ) -> api_pb2.ListWorkersResponse:
        """List connected workers, the one that connected last first."""
        for number in request.phases:
            if number not in _PHASE_NUMBERS.values():
                raise InvalidField("phases", "has something that is not a phase of a worker")
        size = page_size(request.page_size, self._limits)
        after = place_after(request.page_token, self._limits)
        found = [worker for worker in self._project(call) if _fits(worker, request)]
        # Ids of workers grow with time.
        found.sort(key=lambda worker: worker.id, reverse=True)
        rest = [worker for worker in found if not after or worker.id < after]
        response = api_pb2.ListWorkersResponse()
        for worker in rest[:size]:
            self._fill(response.workers.add(), worker)
        if len(rest) > size:
            response.next_page_token = rest[size - 1].id
        return response

    async def get(self, call: Call, request: api_pb2.GetWorkerRequest) -> api_pb2.GetWorkerResponse:
        """Tell all of one worker, with the ids of its jobs."""
        response = api_pb2.GetWorkerResponse()
        self._fill_whole(response.worker, self._worker(call, request.worker_id))
        return response

    async def drain(
        self, call: Call, request: api_pb2.DrainWorkerRequest
    ) -> api_pb2.DrainWorkerResponse:
        """Take a worker out of service; hand its jobs over after a while, if that is asked for."""
        worker = self._worker(call, request.worker_id)
        after_seconds = request.hand_over_after_seconds
        if after_seconds > HAND_OVER_SECONDS_MAX:
            raise InvalidField(
                "hand_over_after_seconds", f"is over the limit of {HAND_OVER_SECONDS_MAX} s"
            )
        at = self._runtime.now() + seconds(after_seconds) if after_seconds else 0
        reply = await self._runtime.ask(
            lambda number: WorkerDrainRequested(number, call.project, worker.id, at)
        )
        if reply.outcome is Outcome.NOT_FOUND:
            raise _not_connected()
        log.info(
            "worker_drained",
            worker_id=worker.id,
            agent_name=worker.registration.agent_name,
            jobs=len(worker.jobs),
            hand_over_after_seconds=after_seconds,
        )
        response = api_pb2.DrainWorkerResponse()
        self._fill_whole(response.worker, worker)
        return response

    def _worker(self, call: Call, worker_id: str) -> Worker:
        check_text("worker_id", worker_id, self._limits.id_bytes_max)
        worker = self._runtime.engine.workers.get(worker_id)
        if worker is None or worker.registration.project != call.project:
            raise _not_connected()
        return worker

    def _project(self, call: Call) -> Iterator[Worker]:
        for worker in self._runtime.engine.workers.values():
            if worker.registration.project == call.project:
                yield worker

    def _fill_whole(self, record: api_pb2.WorkerRecord, worker: Worker) -> None:
        self._fill(record, worker)
        record.job_ids.extend(sorted(worker.jobs))

    def _fill(self, record: api_pb2.WorkerRecord, worker: Worker) -> None:
        registration = worker.registration
        record.id = worker.id
        record.agent_name = registration.agent_name
        record.namespace = registration.namespace
        record.deployment = registration.deployment
        record.types.extend(cast("wire_pb2.JobType", int(type_)) for type_ in registration.types)
        record.phase = _PHASE_NUMBERS[worker.phase]
        record.load_reported = worker.reported_load
        record.load_estimated = worker.load(self._runtime.engine.policy)
        record.job_count_reported = worker.reported_jobs
        record.jobs_held = len(worker.jobs)
        record.jobs_reserved = len(worker.offers)
        if worker.capacity is not None:
            record.capacity = worker.capacity
        record.version = registration.version
        record.instance_id = registration.instance_id
        record.connected_at = worker.connected_at
        record.last_status_at = worker.reported_at
        record.backed_off_until = worker.backed_off_until
        record.declines = worker.refusals
        record.hand_over_at = worker.hand_over_at
        record.note = worker_note(worker, self._runtime.now())
        session = self._sessions.get(worker.id)
        if session is not None:
            record.address = session.address


def _not_connected() -> TwirpError:
    return TwirpError(TwirpCode.NOT_FOUND, "the worker is not connected")


def _fits(worker: Worker, request: api_pb2.ListWorkersRequest) -> bool:
    jobs: list[JobInHand] = list(worker.jobs.values())
    return (
        (not request.phases or _PHASE_NUMBERS[worker.phase] in request.phases)
        and (not request.agent_name or worker.registration.agent_name == request.agent_name)
        and (not request.worker_id or worker.id == request.worker_id)
        and (not request.room or any(job.held.room == request.room for job in jobs))
        and (
            not request.dispatch_id
            or any(job.held.dispatch_id == request.dispatch_id for job in jobs)
        )
    )
