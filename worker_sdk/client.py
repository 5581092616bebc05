"""The API client: dispatches, jobs, workers and rooms of one server, over pooled HTTP connections.

    async with DispatchClient() as client:
        dispatch = await client.create_dispatch("lobby", "greeter")

Twirp over protobuf; the answers are the wire's own messages (`protocol.wire_pb2`,
`protocol.api_pb2`). A call that gets no answer (or 503) is tried again for a bounded time; a create
repeats its X-Livekit-Request-Id, by which the server makes one dispatch of all the tries. Its room,
agent name and deployment are part of that name: the same id for another room is another wish.
Whatever else differs (metadata, attributes, restart policy) is left as the first try had it.
"""

from __future__ import annotations

import random
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

import anyio
import httpx2
from google.protobuf.message import DecodeError, Message

from protocol import api_pb2, wire_pb2
from protocol.errors import TwirpCode, TwirpError
from protocol.tokens import mint_api_token
from worker_sdk.backoff import CallBackoff
from worker_sdk.credentials import Credentials
from worker_sdk.errors import CREDENTIALS_ADVICE, ServerUnreachable, UnexpectedAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

__all__ = ["DispatchClient"]

M = TypeVar("M", bound=Message)

# Longer than the server's own (10 s), so that its answer is seen and not only its silence.
CALL_TIMEOUT_SECONDS = 15.0
# From the first try of a call to the last.
RETRY_SECONDS_MAX = 30.0
CONNECTIONS_MAX = 100
KEEP_ALIVE_SECONDS = 60.0
TOKEN_LIFE_SECONDS = 600.0

_DISPATCH_SERVICE = "livekit.AgentDispatchService"
_AGENT_SERVICE = "callboard.AgentService"
_JOB_SERVICE = "callboard.JobService"
_WORKER_SERVICE = "callboard.WorkerService"
_ROOM_SERVICE = "callboard.RoomService"
_RULE_SERVICE = "callboard.RuleService"
_ROOM_CONFIGURATION_SERVICE = "callboard.RoomConfigurationService"
_PROTOBUF = "application/protobuf"


@dataclass(frozen=True, slots=True)
class ReportedRoomEvent:
    """An event that the server has. `told_before`: it had it already, perhaps from this very call.

    (A call whose answer was lost is made again.)
    """

    id: str
    told_before: bool


class DispatchClient:
    """Calls one server. Errors: TwirpError (its answer), ServerUnreachable, UnexpectedAnswer.

    A server that answers `unavailable` to all tries is a TwirpError of that code.

    `url`, `api_key` and `api_secret` come from LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET
    where they are None. One client serves any number of tasks; close it, or use it as a context.
    `transport` replaces the network, for tests.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        api_secret: str | None = None,
        *,
        call_timeout_seconds: float = CALL_TIMEOUT_SECONDS,
        retry_seconds_max: float = RETRY_SECONDS_MAX,
        rng: random.Random | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._credentials = Credentials.resolve(url, api_key, api_secret)
        self._retry_seconds_max = retry_seconds_max
        self._backoff = CallBackoff()
        self._rng = rng or random.SystemRandom()
        self._http = httpx2.AsyncClient(
            base_url=self._credentials.api_url,
            timeout=call_timeout_seconds,
            transport=transport,
            limits=httpx2.Limits(
                max_connections=CONNECTIONS_MAX,
                max_keepalive_connections=CONNECTIONS_MAX,
                keepalive_expiry=KEEP_ALIVE_SECONDS,
            ),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._http.aclose()

    # ---- dispatches (LiveKit's AgentDispatchService) ----

    async def create_dispatch(
        self,
        room: str,
        agent_name: str,
        *,
        metadata: str = "",
        attributes: Mapping[str, str] | None = None,
        deployment: str = "",
        restart_policy: wire_pb2.JobRestartPolicy = wire_pb2.JRP_ON_FAILURE,
        request_id: str | None = None,
    ) -> wire_pb2.AgentDispatch:
        """Ask for an agent in a room. When this returns, the dispatch is on the server's disk.

        `request_id` names the wish for this agent in this room: the same one again makes nothing
        new, and returns what is there, whatever else differs (None: a new wish).
        """
        request = wire_pb2.CreateAgentDispatchRequest(
            agent_name=agent_name,
            room=room,
            metadata=metadata,
            attributes=attributes,
            deployment=deployment,
            restart_policy=restart_policy,
        )
        return await self._call(
            _DISPATCH_SERVICE,
            "CreateDispatch",
            request,
            wire_pb2.AgentDispatch,
            room=room,
            request_id=request_id,
        )

    async def list_dispatches(self, room: str) -> list[wire_pb2.AgentDispatch]:
        """The dispatches of a room, with their jobs."""
        return await self._list(room, "")

    async def get_dispatch(self, dispatch_id: str, room: str) -> wire_pb2.AgentDispatch | None:
        """One dispatch of a room; None where there is none of that id."""
        found = await self._list(room, dispatch_id)
        return found[0] if found else None

    async def delete_dispatch(self, dispatch_id: str, room: str) -> wire_pb2.AgentDispatch:
        """Delete a dispatch and end its jobs. TwirpError `not_found` where there is none."""
        request = wire_pb2.DeleteAgentDispatchRequest(dispatch_id=dispatch_id, room=room)
        return await self._call(
            _DISPATCH_SERVICE,
            "DeleteDispatch",
            request,
            wire_pb2.AgentDispatch,
            room=room,
            # Not found at a second try: the first has deleted it, and its answer was lost.
            gone_on_retry=wire_pb2.AgentDispatch(id=dispatch_id, room=room),
        )

    async def _list(self, room: str, dispatch_id: str) -> list[wire_pb2.AgentDispatch]:
        request = wire_pb2.ListAgentDispatchRequest(room=room, dispatch_id=dispatch_id)
        answer = await self._call(
            _DISPATCH_SERVICE,
            "ListDispatch",
            request,
            wire_pb2.ListAgentDispatchResponse,
            room=room,
        )
        return list(answer.agent_dispatches)

    # ---- jobs and workers (Callboard's own services) ----

    async def list_jobs(
        self,
        *,
        phases: Sequence[api_pb2.JobPhase] = (),
        agent_name: str = "",
        room: str = "",
        worker_id: str = "",
        dispatch_id: str = "",
        page_size: int = 0,
        page_token: str = "",
    ) -> api_pb2.ListJobsResponse:
        """One page of jobs, newest first; `next_page_token` of the answer leads to the next."""
        request = api_pb2.ListJobsRequest(
            phases=phases,
            agent_name=agent_name,
            room=room,
            worker_id=worker_id,
            dispatch_id=dispatch_id,
            page_size=page_size,
            page_token=page_token,
        )
        return await self._call(_JOB_SERVICE, "ListJobs", request, api_pb2.ListJobsResponse)

    async def get_job(self, job_id: str) -> api_pb2.JobRecord:
        """One job with its timeline. TwirpError `not_found` where there is none."""
        request = api_pb2.GetJobRequest(job_id=job_id)
        answer = await self._call(_JOB_SERVICE, "GetJob", request, api_pb2.GetJobResponse)
        return answer.job

    async def explain_job(self, job_id: str) -> api_pb2.ExplainJobResponse:
        """Why a job waits, and for each worker of its agent why that does not get it.

        Of one that is held or has ended, what happened to it. TwirpError `not_found`.
        """
        request = api_pb2.ExplainJobRequest(job_id=job_id)
        return await self._call(_JOB_SERVICE, "ExplainJob", request, api_pb2.ExplainJobResponse)

    async def terminate_job(self, job_id: str, reason: str = "") -> api_pb2.JobRecord:
        """End a job for good. When this returns, that is on the server's disk.

        Its worker is told to stop; what made the job does not make it anew. A job that has ended
        stays as it is, and is what is returned. TwirpError `not_found`.
        """
        request = api_pb2.TerminateJobRequest(job_id=job_id, reason=reason)
        answer = await self._call(
            _JOB_SERVICE, "TerminateJob", request, api_pb2.TerminateJobResponse
        )
        return answer.job

    async def list_workers(
        self,
        *,
        phases: Sequence[api_pb2.WorkerPhase] = (),
        agent_name: str = "",
        page_size: int = 0,
        page_token: str = "",
    ) -> api_pb2.ListWorkersResponse:
        """One page of the connected workers, newest first."""
        request = api_pb2.ListWorkersRequest(
            phases=phases, agent_name=agent_name, page_size=page_size, page_token=page_token
        )
        return await self._call(
            _WORKER_SERVICE, "ListWorkers", request, api_pb2.ListWorkersResponse
        )

    async def get_worker(self, worker_id: str) -> api_pb2.WorkerRecord:
        """One connected worker with its jobs. TwirpError `not_found` where there is none."""
        request = api_pb2.GetWorkerRequest(worker_id=worker_id)
        answer = await self._call(_WORKER_SERVICE, "GetWorker", request, api_pb2.GetWorkerResponse)
        return answer.worker

    async def drain_worker(
        self, worker_id: str, hand_over_after_seconds: int = 0
    ) -> api_pb2.WorkerRecord:
        """Take a worker out of service: it gets no more jobs. TwirpError `not_found`.

        The jobs that it still has after so many seconds are given to others; 0: it keeps them.
        """
        request = api_pb2.DrainWorkerRequest(
            worker_id=worker_id, hand_over_after_seconds=hand_over_after_seconds
        )
        answer = await self._call(
            _WORKER_SERVICE, "DrainWorker", request, api_pb2.DrainWorkerResponse
        )
        return answer.worker

    # ---- rooms ----

    async def list_agents(self) -> list[api_pb2.AgentRecord]:
        """The agents that workers serve, or have served and are remembered, by name."""
        answer = await self._call(
            _AGENT_SERVICE, "ListAgents", api_pb2.ListAgentsRequest(), api_pb2.ListAgentsResponse
        )
        return list(answer.agents)

    async def forget_agent(self, agent_name: str) -> None:
        """Forget an agent whose workers are gone.

        TwirpError `not_found`, and `failed_precondition` while a worker of it is connected.
        """
        request = api_pb2.ForgetAgentRequest(agent_name=agent_name)
        await self._call(_AGENT_SERVICE, "ForgetAgent", request, api_pb2.ForgetAgentResponse)

    async def list_rooms(
        self, *, page_size: int = 0, page_token: str = ""
    ) -> api_pb2.ListRoomsResponse:
        """One page of the rooms that are there, newest first, without who is in them."""
        request = api_pb2.ListRoomsRequest(page_size=page_size, page_token=page_token)
        return await self._call(_ROOM_SERVICE, "ListRooms", request, api_pb2.ListRoomsResponse)

    async def get_room(self, name: str) -> api_pb2.RoomRecord:
        """One room with everybody in it. TwirpError `not_found` where there is none."""
        request = api_pb2.GetRoomRequest(name=name)
        return await self._call(_ROOM_SERVICE, "GetRoom", request, api_pb2.RoomRecord)

    async def report_room_event(self, event: api_pb2.RoomEvent) -> ReportedRoomEvent:
        """Tell what happened in a room. When this returns, what follows is on the server's disk.

        The same `event.id` again is the same event; an event without one is given its own, which
        is returned.
        """
        request = api_pb2.ReportRoomEventRequest(event=event)
        request.event.id = event.id or f"EV_{uuid.uuid4().hex}"
        answer = await self._call(
            _ROOM_SERVICE, "ReportRoomEvent", request, api_pb2.ReportRoomEventResponse
        )
        return ReportedRoomEvent(request.event.id, answer.told_before)

    # ---- rules ----

    async def apply_rule(self, rule: api_pb2.Rule) -> api_pb2.ApplyRuleResponse:
        """Create a rule, or change it. When this returns, that is on the server's disk.

        With `rule.version`, TwirpError `failed_precondition` unless the rule is at it now.
        """
        request = api_pb2.ApplyRuleRequest(rule=rule)
        return await self._call(_RULE_SERVICE, "ApplyRule", request, api_pb2.ApplyRuleResponse)

    async def get_rule(self, name: str) -> api_pb2.Rule:
        """One rule. TwirpError `not_found` where there is none."""
        request = api_pb2.GetRuleRequest(name=name)
        return await self._call(_RULE_SERVICE, "GetRule", request, api_pb2.Rule)

    async def list_rules(
        self, *, agent_name: str = "", page_size: int = 0, page_token: str = ""
    ) -> api_pb2.ListRulesResponse:
        """One page of the rules, by name."""
        request = api_pb2.ListRulesRequest(
            agent_name=agent_name, page_size=page_size, page_token=page_token
        )
        return await self._call(_RULE_SERVICE, "ListRules", request, api_pb2.ListRulesResponse)

    async def delete_rule(self, name: str, *, version: int = 0) -> api_pb2.Rule:
        """Delete a rule; what waits for it is cancelled. `version` 0: whatever it is now."""
        request = api_pb2.DeleteRuleRequest(name=name, version=version)
        return await self._call(
            _RULE_SERVICE,
            "DeleteRule",
            request,
            api_pb2.Rule,
            gone_on_retry=api_pb2.Rule(name=name, version=version),
        )

    async def explain_event(
        self, *, event: api_pb2.RoomEvent | None = None, room: str = "", rule: str = ""
    ) -> list[api_pb2.RuleVerdict]:
        """Which rules match an event, or a live room, and why each other one does not."""
        request = api_pb2.ExplainEventRequest(event=event, room=room, rule=rule)
        answer = await self._call(
            _RULE_SERVICE, "ExplainEvent", request, api_pb2.ExplainEventResponse
        )
        return list(answer.verdicts)

    # ---- room configurations ----

    async def create_room_configuration(
        self, configuration: wire_pb2.RoomConfiguration
    ) -> wire_pb2.RoomConfiguration:
        """Create one. TwirpError `already_exists` where there is another of its name."""
        request = api_pb2.CreateRoomConfigurationRequest(configuration=configuration)
        return await self._call(
            _ROOM_CONFIGURATION_SERVICE,
            "Create",
            request,
            wire_pb2.RoomConfiguration,
        )

    async def update_room_configuration(
        self, configuration: wire_pb2.RoomConfiguration
    ) -> wire_pb2.RoomConfiguration:
        """Replace one, whole. TwirpError `not_found` where there is none of its name."""
        request = api_pb2.UpdateRoomConfigurationRequest(configuration=configuration)
        return await self._call(
            _ROOM_CONFIGURATION_SERVICE,
            "Update",
            request,
            wire_pb2.RoomConfiguration,
        )

    async def list_room_configurations(self) -> list[wire_pb2.RoomConfiguration]:
        """All room configurations by name, those of the server's file among them."""
        answer = await self._call(
            _ROOM_CONFIGURATION_SERVICE,
            "List",
            api_pb2.ListRoomConfigurationsRequest(),
            api_pb2.ListRoomConfigurationsResponse,
        )
        return list(answer.configurations)

    async def delete_room_configuration(self, name: str) -> wire_pb2.RoomConfiguration:
        """Delete one. TwirpError `not_found` where there is none."""
        return await self._call(
            _ROOM_CONFIGURATION_SERVICE,
            "Delete",
            api_pb2.DeleteRoomConfigurationRequest(name=name),
            wire_pb2.RoomConfiguration,
            gone_on_retry=wire_pb2.RoomConfiguration(name=name),
        )

    # ---- one call ----

    async def _call(
        self,
        service: str,
        method: str,
        request: Message,
        answer_type: type[M],
        *,
        room: str | None = None,
        request_id: str | None = None,
        gone_on_retry: M | None = None,
    ) -> M:
        """Post until there is an answer. `room` None: a call to one of our own services.

        Every call may be repeated: reading changes nothing, a create names its request, and
        deleting twice is deleting once (`gone_on_retry` answers a `not_found` of a repeated call).
        """
        path = f"/twirp/{service}/{method}"
        body = request.SerializeToString()
        headers = {
            "Content-Type": _PROTOBUF,
            "X-Livekit-Request-Id": request_id or str(uuid.uuid4()),
        }
        started_at = anyio.current_time()
        failures, cause = 0, ""
        while True:
            headers["Authorization"] = f"Bearer {self._token(room)}"
            try:
                response = await self._http.post(path, content=body, headers=headers)
                if response.status_code == httpx2.codes.OK:
                    return _parse(response, answer_type)
                refusal = _twirp_error(response)
                if refusal is None:
                    cause = "HTTP 503 without a reason"
                elif failures and gone_on_retry is not None and _is_gone(refusal):
                    return gone_on_retry
                elif response.status_code != httpx2.codes.SERVICE_UNAVAILABLE:
                    raise refusal
            except httpx2.TransportError as transport_error:
                refusal = None
                cause = f"{type(transport_error).__name__}: {transport_error}"
            failures += 1
            delay_seconds = self._backoff.delay_seconds(failures, self._rng)
            waited_seconds = anyio.current_time() - started_at
            if waited_seconds + delay_seconds > self._retry_seconds_max:
                # The last try decides: a server that says why it cannot is no server that is away.
                raise refusal or ServerUnreachable(self._credentials.api_url, cause, failures)
            await anyio.sleep(delay_seconds)

    def _token(self, room: str | None) -> str:
        return mint_api_token(
            self._credentials.api_key,
            self._credentials.api_secret,
            now_ns=time.time_ns(),
            room=room or "",
            room_admin=room is not None,
            dispatch_admin=room is None,
            life_seconds=TOKEN_LIFE_SECONDS,
        )


def _parse(response: httpx2.Response, answer_type: type[M]) -> M:
    try:
        return answer_type.FromString(response.content)
    except DecodeError:
        raise UnexpectedAnswer(
            str(response.url), response.status_code, "the body is not the expected message"
        ) from None


def _is_gone(error: TwirpError) -> bool:
    return error.code is TwirpCode.NOT_FOUND


def _twirp_error(response: httpx2.Response) -> TwirpError | None:
    """The error that the server answered with; None for a 503 that may be a proxy's.

    UnexpectedAnswer for any other body that is not Twirp's.
    """
    status = response.status_code
    if status == httpx2.codes.UNAUTHORIZED and "json" not in response.headers.get(
        "content-type", ""
    ):
        # LiveKit answers a bad token before Twirp sees the call, in plain text.
        return TwirpError(
            TwirpCode.UNAUTHENTICATED,
            f"the token was refused; {CREDENTIALS_ADVICE}",
        )
    try:
        body = response.json()
        return TwirpError(TwirpCode(body["code"]), str(body["msg"]), body.get("meta"))
    except (ValueError, TypeError, KeyError, AttributeError):
        if status == httpx2.codes.SERVICE_UNAVAILABLE:
            return None
        raise UnexpectedAnswer(str(response.url), status, "the body is no Twirp error") from None
