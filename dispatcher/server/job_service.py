"""callboard.JobService: what jobs there are, what became of each, why one waits, and its end.

The store tells of all jobs; that a job is just being offered is known to the engine alone and is
shown over it. The end of a job is answered when it is durable.

Left to others: what keeps a job waiting (`job_reasons`, `core.reasons`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from dispatcher.core.effects import Outcome
from dispatcher.core.engine import Engine
from dispatcher.core.events import JobTerminationRequested
from dispatcher.core.jobs import SECOND
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.origins import Maker, origin_of
from dispatcher.runtime import Runtime
from dispatcher.server.access import Bearer
from dispatcher.server.job_reasons import fill_course, fill_told, fill_waiting, place_in_lane
from dispatcher.server.limits import ServerLimits
from dispatcher.server.pages import number_after, page_size
from dispatcher.server.twirp import Call, Method, MethodTable
from dispatcher.server.wire_jobs import fill_job
from dispatcher.store.contract import EventRow, JobFilter, StoredJob
from protocol import api_pb2, wire_pb2
from protocol.errors import InvalidField, TwirpCode, TwirpError
from protocol.limits import check_text

SERVICE = "callboard.JobService"

_PHASE_NUMBERS = {
    phase: cast("api_pb2.JobPhase", api_pb2.JobPhase.Value(phase.name)) for phase in JobPhase
}
_PHASES = {int(number): phase for phase, number in _PHASE_NUMBERS.items()}


class JobService:
    """Answers questions about jobs."""

    def __init__(self, runtime: Runtime, limits: ServerLimits) -> None:
        self._runtime = runtime
        self._limits = limits.wire
        self._explained_workers_max = limits.explained_workers_max

    def methods(self) -> MethodTable:
        """Return the service's rows of the Twirp table."""
        return {
            SERVICE: {
                "ListJobs": Method(api_pb2.ListJobsRequest, may_read, self.list),
                "GetJob": Method(api_pb2.GetJobRequest, may_read, self.get),
                "ExplainJob": Method(api_pb2.ExplainJobRequest, may_read, self.explain),
                "TerminateJob": Method(api_pb2.TerminateJobRequest, may_read, self.terminate),
            }
        }

    async def list(self, call: Call, request: api_pb2.ListJobsRequest) -> api_pb2.ListJobsResponse:
        """List jobs, newest first. A page may be shorter than asked and not be the last."""
        for field in ("agent_name", "room", "worker_id", "dispatch_id"):
            check_text(field, getattr(request, field), self._limits.label_bytes_max)
        wanted = frozenset(_phase_of(number) for number in request.phases)
        # A job that is offered from the queue is QUEUED in the store.
        stored_phases = wanted | {JobPhase.QUEUED} if JobPhase.OFFERED in wanted else wanted
        where = JobFilter(
            project=call.project,
            phases=stored_phases,
            agent_name=request.agent_name,
            room=request.room,
            worker_id=request.worker_id,
            dispatch_id=request.dispatch_id,
        )
        size = page_size(request.page_size, self._limits)
        before = number_after(request.page_token, self._limits)
        found = await self._runtime.store.list_jobs(where, size + 1, before)
        response = api_pb2.ListJobsResponse()
        for stored in found[:size]:
            if not wanted or self._now(stored)[0] in wanted:
                self._fill(response.jobs.add(), stored)
        if len(found) > size:
            response.next_page_token = str(found[size - 1].number)
        return response

    async def get(self, call: Call, request: api_pb2.GetJobRequest) -> api_pb2.GetJobResponse:
        """Tell all of one job, with its timeline."""
        stored = await self._stored(call, request.job_id)
        response = api_pb2.GetJobResponse()
        await self._fill_whole(call, response.job, stored)
        return response

    async def explain(
        self, call: Call, request: api_pb2.ExplainJobRequest
    ) -> api_pb2.ExplainJobResponse:
        """Tell why a job waits, and for each worker of its agent why that does not get it."""
        runtime = self._runtime
        stored = await self._stored(call, request.job_id)
        response = api_pb2.ExplainJobResponse()
        rows = await self._fill_whole(call, response.job, stored)
        in_hand = runtime.engine.jobs.get(stored.job.id)
        fill_course(response, stored, rows, in_hand, runtime.now())
        if stored.state.phase.is_waiting:
            place = None
            if stored.state.phase is not JobPhase.DELAYED:
                place = await place_in_lane(runtime.store, stored)
            phase, _ = self._now(stored)
            workers_max = self._explained_workers_max
            fill_waiting(
                response,
                stored,
                phase,
                runtime.engine,
                place,
                runtime.now(),
                min(request.workers_max or workers_max, workers_max),
            )
        return response

    async def terminate(
        self, call: Call, request: api_pb2.TerminateJobRequest
    ) -> api_pb2.TerminateJobResponse:
        """End a job for good; one that has ended stays as it is, and is the answer."""
        check_text("reason", request.reason, self._limits.label_bytes_max)
        job_id, project = request.job_id, call.project
        stored = await self._stored(call, job_id)
        if not stored.state.phase.is_ended:
            reply = await self._runtime.ask(
                lambda number: JobTerminationRequested(number, project, job_id, request.reason)
            )
            if reply.outcome is Outcome.NOT_FOUND:
                raise _not_found()
            stored = await self._stored(call, job_id)
        response = api_pb2.TerminateJobResponse()
        await self._fill_whole(call, response.job, stored)
        return response

    async def _stored(self, call: Call, job_id: str) -> StoredJob:
        check_text("job_id", job_id, self._limits.id_bytes_max)
        stored = await self._runtime.store.get_job(call.project, job_id)
        if stored is None:
            raise _not_found()
        return stored

    async def _fill_whole(
        self, call: Call, record: api_pb2.JobRecord, stored: StoredJob
    ) -> Sequence[EventRow]:
        """Fill a record with the job and its timeline, which is returned too."""
        self._fill(record, stored)
        rows = await self._runtime.store.job_events(call.project, stored.job.id)
        for row in rows:
            _fill_event(record.timeline.add(), row)
        fill_told(record.timeline, stored, rows)
        return rows

    def _now(self, stored: StoredJob) -> tuple[JobPhase, str]:
        return _now(self._runtime.engine, stored)

    def _fill(self, record: api_pb2.JobRecord, stored: StoredJob) -> None:
        job, state = stored.job, stored.state
        phase, record.worker_id = self._now(stored)
        fill_job(record.job, job, state)
        record.phase = _PHASE_NUMBERS[phase]
        record.epoch = state.epoch
        record.attempt = state.attempt
        record.attempt_reason = state.attempt_reason
        record.priority = job.priority
        record.created_at = job.created_at
        if state.phase in (JobPhase.QUEUED, JobPhase.OFFERED):
            record.queue_deadline_at = state.until
        elif not state.phase.is_ended:
            record.until_at = state.until
        record.updated_at = state.updated_at
        record.namespace = job.lane.namespace
        record.deployment = job.lane.deployment
        record.restart_policy = cast("wire_pb2.JobRestartPolicy", int(job.restart_policy))
        origin = origin_of(job.order, job.dispatch_id)
        record.made_by = origin.maker.value
        record.rule = origin.rule
        if origin.maker is Maker.BRIDGE:
            record.sfu_dispatch_id = origin.name
        record.unique_key = job.unique_key
        record.detail = stored.detail
        record.participant_identity = record.job.participant.identity
        record.queue_deadline_seconds = job.queue_time / SECOND


def _not_found() -> TwirpError:
    return TwirpError(TwirpCode.NOT_FOUND, "the job does not exist")


def _now(engine: Engine, stored: StoredJob) -> tuple[JobPhase, str]:
    """Return the job's phase, and the worker that has it, is offered it, or had it last."""
    state = stored.state
    if state.phase is JobPhase.QUEUED:
        in_hand = engine.jobs.get(stored.job.id)
        if in_hand is not None and in_hand.phase is JobPhase.OFFERED and in_hand.worker:
            return JobPhase.OFFERED, in_hand.worker.id
    return state.phase, state.worker_id


def phase_now(engine: Engine, stored: StoredJob) -> api_pb2.JobPhase:
    """Return the phase that a stored job has now, as the API tells it."""
    return _PHASE_NUMBERS[_now(engine, stored)[0]]


def may_read(bearer: Bearer, _request: object) -> bool:
    """May the bearer see Callboard's own things (`agent.dispatchAdmin`)?"""
    return bearer.grants.may_administer_queue()


def _phase_of(number: int) -> JobPhase:
    phase = _PHASES.get(number)
    if phase is None:
        raise InvalidField("phases", "has something that is not a phase of a job")
    return phase


def _fill_event(event: api_pb2.JobEvent, row: EventRow) -> None:
    event.seq = row.sequence
    event.at = row.at
    event.kind = row.trigger.value
    event.phase = _PHASE_NUMBERS[row.phase]
    event.epoch = row.epoch
    event.attempt = row.attempt
    event.worker_id = row.worker_id
    event.reason = row.reason
    event.error = row.error
    event.detail = row.detail
