"""The messages that calls take and give, under one name for those who use the client.

They are protobuf messages, generated from `protocol/proto/protocol/`, whose comments say what each
field is: times are nanoseconds since the epoch and 0 where there is none, durations have their unit in
their name, an enum's value is a number with a name (`JobPhase.Name(record.phase)`).
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.api_pb2 import (
    AgentRecord,
    ApplyRuleResponse,
    ExplainJobResponse,
    JobPhase,
    JobRecord,
    ListJobsResponse,
    ListRoomsResponse,
    ListRulesResponse,
    ListWorkersResponse,
    ParticipantRecord,
    RoomEvent,
    RoomRecord,
    Rule,
    RuleMatch,
    RuleMismatch,
    RuleVerdict,
    WorkerPhase,
    WorkerReason,
    WorkerRecord,
)
from protocol.wire_pb2 import (
    AgentDispatch,
    Job,
    JobRestartPolicy,
    JobType,
    ParticipantInfo,
    Room,
    RoomAgentDispatch,
    RoomConfiguration,
)

__all__ = [
    "AgentDispatch",
    "AgentRecord",
    "ApplyRuleResponse",
    "ExplainJobResponse",
    "Job",
    "JobPhase",
    "JobRecord",
    "JobRestartPolicy",
    "JobType",
    "ListJobsResponse",
    "ListRoomsResponse",
    "ListRulesResponse",
    "ListWorkersResponse",
    "ParticipantInfo",
    "ParticipantRecord",
    "ReportedRoomEvent",
    "Room",
    "RoomAgentDispatch",
    "RoomConfiguration",
    "RoomEvent",
    "RoomRecord",
    "Rule",
    "RuleMatch",
    "RuleMismatch",
    "RuleVerdict",
    "WorkerPhase",
    "WorkerReason",
    "WorkerRecord",
]


@dataclass(frozen=True, slots=True)
class ReportedRoomEvent:
    """An event that the server has. `told_before`: it had it already, perhaps from this very call.

    (A call whose answer was lost is made again.)
    """

    id: str
    told_before: bool
