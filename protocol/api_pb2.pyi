from google.protobuf import struct_pb2 as _struct_pb2
from protocol import wire_pb2 as _wire_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_PHASE_UNSPECIFIED: _ClassVar[JobPhase]
    DELAYED: _ClassVar[JobPhase]
    QUEUED: _ClassVar[JobPhase]
    OFFERED: _ClassVar[JobPhase]
    ASSIGNED: _ClassVar[JobPhase]
    RUNNING: _ClassVar[JobPhase]
    ORPHANED: _ClassVar[JobPhase]
    SUCCEEDED: _ClassVar[JobPhase]
    FAILED: _ClassVar[JobPhase]
    CANCELLED: _ClassVar[JobPhase]

class WorkerPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKER_PHASE_UNSPECIFIED: _ClassVar[WorkerPhase]
    CONNECTING: _ClassVar[WorkerPhase]
    AVAILABLE: _ClassVar[WorkerPhase]
    FULL: _ClassVar[WorkerPhase]
    BACKED_OFF: _ClassVar[WorkerPhase]
    DRAINING: _ClassVar[WorkerPhase]
    STALE: _ClassVar[WorkerPhase]
    GONE: _ClassVar[WorkerPhase]
    OUT_OF_SERVICE: _ClassVar[WorkerPhase]
JOB_PHASE_UNSPECIFIED: JobPhase
DELAYED: JobPhase
QUEUED: JobPhase
OFFERED: JobPhase
ASSIGNED: JobPhase
RUNNING: JobPhase
ORPHANED: JobPhase
SUCCEEDED: JobPhase
FAILED: JobPhase
CANCELLED: JobPhase
WORKER_PHASE_UNSPECIFIED: WorkerPhase
CONNECTING: WorkerPhase
AVAILABLE: WorkerPhase
FULL: WorkerPhase
BACKED_OFF: WorkerPhase
DRAINING: WorkerPhase
STALE: WorkerPhase
GONE: WorkerPhase
OUT_OF_SERVICE: WorkerPhase

class JobEvent(_message.Message):
    __slots__ = ("seq", "at", "kind", "phase", "epoch", "attempt", "worker_id", "reason", "error", "detail", "told")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    TOLD_FIELD_NUMBER: _ClassVar[int]
    seq: int
    at: int
    kind: str
    phase: JobPhase
    epoch: int
    attempt: int
    worker_id: str
    reason: str
    error: str
    detail: str
    told: str
    def __init__(self, seq: _Optional[int] = ..., at: _Optional[int] = ..., kind: _Optional[str] = ..., phase: _Optional[_Union[JobPhase, str]] = ..., epoch: _Optional[int] = ..., attempt: _Optional[int] = ..., worker_id: _Optional[str] = ..., reason: _Optional[str] = ..., error: _Optional[str] = ..., detail: _Optional[str] = ..., told: _Optional[str] = ...) -> None: ...

class JobRecord(_message.Message):
    __slots__ = ("job", "phase", "epoch", "attempt", "attempt_reason", "priority", "created_at", "queue_deadline_at", "until_at", "updated_at", "worker_id", "namespace", "deployment", "restart_policy", "timeline", "made_by", "rule", "sfu_dispatch_id", "unique_key", "participant_identity", "queue_deadline_seconds", "detail")
    JOB_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_REASON_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    QUEUE_DEADLINE_AT_FIELD_NUMBER: _ClassVar[int]
    UNTIL_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DEPLOYMENT_FIELD_NUMBER: _ClassVar[int]
    RESTART_POLICY_FIELD_NUMBER: _ClassVar[int]
    TIMELINE_FIELD_NUMBER: _ClassVar[int]
    MADE_BY_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    SFU_DISPATCH_ID_FIELD_NUMBER: _ClassVar[int]
    UNIQUE_KEY_FIELD_NUMBER: _ClassVar[int]
    PARTICIPANT_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    QUEUE_DEADLINE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    job: _wire_pb2.Job
    phase: JobPhase
    epoch: int
    attempt: int
    attempt_reason: str
    priority: int
    created_at: int
    queue_deadline_at: int
    until_at: int
    updated_at: int
    worker_id: str
    namespace: str
    deployment: str
    restart_policy: _wire_pb2.JobRestartPolicy
    timeline: _containers.RepeatedCompositeFieldContainer[JobEvent]
    made_by: str
    rule: str
    sfu_dispatch_id: str
    unique_key: str
    participant_identity: str
    queue_deadline_seconds: float
    detail: str
    def __init__(self, job: _Optional[_Union[_wire_pb2.Job, _Mapping]] = ..., phase: _Optional[_Union[JobPhase, str]] = ..., epoch: _Optional[int] = ..., attempt: _Optional[int] = ..., attempt_reason: _Optional[str] = ..., priority: _Optional[int] = ..., created_at: _Optional[int] = ..., queue_deadline_at: _Optional[int] = ..., until_at: _Optional[int] = ..., updated_at: _Optional[int] = ..., worker_id: _Optional[str] = ..., namespace: _Optional[str] = ..., deployment: _Optional[str] = ..., restart_policy: _Optional[_Union[_wire_pb2.JobRestartPolicy, str]] = ..., timeline: _Optional[_Iterable[_Union[JobEvent, _Mapping]]] = ..., made_by: _Optional[str] = ..., rule: _Optional[str] = ..., sfu_dispatch_id: _Optional[str] = ..., unique_key: _Optional[str] = ..., participant_identity: _Optional[str] = ..., queue_deadline_seconds: _Optional[float] = ..., detail: _Optional[str] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "phases", "agent_name", "room", "worker_id", "dispatch_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PHASES_FIELD_NUMBER: _ClassVar[int]
    AGENT_NAME_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    phases: _containers.RepeatedScalarFieldContainer[JobPhase]
    agent_name: str
    room: str
    worker_id: str
    dispatch_id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., phases: _Optional[_Iterable[_Union[JobPhase, str]]] = ..., agent_name: _Optional[str] = ..., room: _Optional[str] = ..., worker_id: _Optional[str] = ..., dispatch_id: _Optional[str] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[JobRecord]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[JobRecord, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class GetJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: JobRecord
    def __init__(self, job: _Optional[_Union[JobRecord, _Mapping]] = ...) -> None: ...

class TerminateJobRequest(_message.Message):
    __slots__ = ("job_id", "reason")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    reason: str
    def __init__(self, job_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class TerminateJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: JobRecord
    def __init__(self, job: _Optional[_Union[JobRecord, _Mapping]] = ...) -> None: ...

class ExplainJobRequest(_message.Message):
    __slots__ = ("job_id", "workers_max")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    WORKERS_MAX_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    workers_max: int
    def __init__(self, job_id: _Optional[str] = ..., workers_max: _Optional[int] = ...) -> None: ...

class WorkerReason(_message.Message):
    __slots__ = ("worker_id", "reason", "text", "declined", "unanswered")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    DECLINED_FIELD_NUMBER: _ClassVar[int]
    UNANSWERED_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    reason: str
    text: str
    declined: int
    unanswered: int
    def __init__(self, worker_id: _Optional[str] = ..., reason: _Optional[str] = ..., text: _Optional[str] = ..., declined: _Optional[int] = ..., unanswered: _Optional[int] = ...) -> None: ...

class ReasonCount(_message.Message):
    __slots__ = ("reason", "workers")
    REASON_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    workers: int
    def __init__(self, reason: _Optional[str] = ..., workers: _Optional[int] = ...) -> None: ...

class AgentWorkers(_message.Message):
    __slots__ = ("agent_name", "workers")
    AGENT_NAME_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    agent_name: str
    workers: int
    def __init__(self, agent_name: _Optional[str] = ..., workers: _Optional[int] = ...) -> None: ...

class ExplainJobResponse(_message.Message):
    __slots__ = ("job", "summary", "since", "until", "position", "waiting", "workers", "workers_left_out", "counts", "of_higher_priority", "none_since", "none_since_start", "other_agents", "advice")
    JOB_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    OF_HIGHER_PRIORITY_FIELD_NUMBER: _ClassVar[int]
    NONE_SINCE_FIELD_NUMBER: _ClassVar[int]
    NONE_SINCE_START_FIELD_NUMBER: _ClassVar[int]
    OTHER_AGENTS_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    job: JobRecord
    summary: str
    since: int
    until: int
    position: int
    waiting: int
    workers: _containers.RepeatedCompositeFieldContainer[WorkerReason]
    workers_left_out: int
    counts: _containers.RepeatedCompositeFieldContainer[ReasonCount]
    of_higher_priority: int
    none_since: int
    none_since_start: bool
    other_agents: _containers.RepeatedCompositeFieldContainer[AgentWorkers]
    advice: str
    def __init__(self, job: _Optional[_Union[JobRecord, _Mapping]] = ..., summary: _Optional[str] = ..., since: _Optional[int] = ..., until: _Optional[int] = ..., position: _Optional[int] = ..., waiting: _Optional[int] = ..., workers: _Optional[_Iterable[_Union[WorkerReason, _Mapping]]] = ..., workers_left_out: _Optional[int] = ..., counts: _Optional[_Iterable[_Union[ReasonCount, _Mapping]]] = ..., of_higher_priority: _Optional[int] = ..., none_since: _Optional[int] = ..., none_since_start: _Optional[bool] = ..., other_agents: _Optional[_Iterable[_Union[AgentWorkers, _Mapping]]] = ..., advice: _Optional[str] = ...) -> None: ...

class WorkerRecord(_message.Message):
    __slots__ = ("id", "agent_name", "namespace", "deployment", "types", "phase", "load_reported", "load_estimated", "job_count_reported", "jobs_held", "jobs_reserved", "capacity", "version", "instance_id", "address", "connected_at", "last_status_at", "backed_off_until", "declines", "job_ids", "hand_over_at", "note")
    ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_NAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DEPLOYMENT_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    LOAD_REPORTED_FIELD_NUMBER: _ClassVar[int]
    LOAD_ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    JOB_COUNT_REPORTED_FIELD_NUMBER: _ClassVar[int]
    JOBS_HELD_FIELD_NUMBER: _ClassVar[int]
    JOBS_RESERVED_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_STATUS_AT_FIELD_NUMBER: _ClassVar[int]
    BACKED_OFF_UNTIL_FIELD_NUMBER: _ClassVar[int]
    DECLINES_FIELD_NUMBER: _ClassVar[int]
    JOB_IDS_FIELD_NUMBER: _ClassVar[int]
    HAND_OVER_AT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    id: str
    agent_name: str
    namespace: str
    deployment: str
    types: _containers.RepeatedScalarFieldContainer[_wire_pb2.JobType]
    phase: WorkerPhase
    load_reported: float
    load_estimated: float
    job_count_reported: int
    jobs_held: int
    jobs_reserved: int
    capacity: int
    version: str
    instance_id: str
    address: str
    connected_at: int
    last_status_at: int
    backed_off_until: int
    declines: int
    job_ids: _containers.RepeatedScalarFieldContainer[str]
    hand_over_at: int
    note: str
    def __init__(self, id: _Optional[str] = ..., agent_name: _Optional[str] = ..., namespace: _Optional[str] = ..., deployment: _Optional[str] = ..., types: _Optional[_Iterable[_Union[_wire_pb2.JobType, str]]] = ..., phase: _Optional[_Union[WorkerPhase, str]] = ..., load_reported: _Optional[float] = ..., load_estimated: _Optional[float] = ..., job_count_reported: _Optional[int] = ..., jobs_held: _Optional[int] = ..., jobs_reserved: _Optional[int] = ..., capacity: _Optional[int] = ..., version: _Optional[str] = ..., instance_id: _Optional[str] = ..., address: _Optional[str] = ..., connected_at: _Optional[int] = ..., last_status_at: _Optional[int] = ..., backed_off_until: _Optional[int] = ..., declines: _Optional[int] = ..., job_ids: _Optional[_Iterable[str]] = ..., hand_over_at: _Optional[int] = ..., note: _Optional[str] = ...) -> None: ...

class ListWorkersRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "phases", "agent_name", "room", "worker_id", "dispatch_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PHASES_FIELD_NUMBER: _ClassVar[int]
    AGENT_NAME_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    phases: _containers.RepeatedScalarFieldContainer[WorkerPhase]
    agent_name: str
    room: str
    worker_id: str
    dispatch_id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., phases: _Optional[_Iterable[_Union[WorkerPhase, str]]] = ..., agent_name: _Optional[str] = ..., room: _Optional[str] = ..., worker_id: _Optional[str] = ..., dispatch_id: _Optional[str] = ...) -> None: ...

class ListWorkersResponse(_message.Message):
    __slots__ = ("workers", "next_page_token")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[WorkerRecord]
    next_page_token: str
    def __init__(self, workers: _Optional[_Iterable[_Union[WorkerRecord, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetWorkerRequest(_message.Message):
    __slots__ = ("worker_id",)
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ...) -> None: ...

class GetWorkerResponse(_message.Message):
    __slots__ = ("worker",)
    WORKER_FIELD_NUMBER: _ClassVar[int]
    worker: WorkerRecord
    def __init__(self, worker: _Optional[_Union[WorkerRecord, _Mapping]] = ...) -> None: ...

class DrainWorkerRequest(_message.Message):
    __slots__ = ("worker_id", "hand_over_after_seconds")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    HAND_OVER_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    hand_over_after_seconds: int
    def __init__(self, worker_id: _Optional[str] = ..., hand_over_after_seconds: _Optional[int] = ...) -> None: ...

class DrainWorkerResponse(_message.Message):
    __slots__ = ("worker",)
    WORKER_FIELD_NUMBER: _ClassVar[int]
    worker: WorkerRecord
    def __init__(self, worker: _Optional[_Union[WorkerRecord, _Mapping]] = ...) -> None: ...

class RuleMatch(_message.Message):
    __slots__ = ("room", "room_metadata", "identity", "kind", "attributes", "metadata")
    class RoomMetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _struct_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ...) -> None: ...
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _struct_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ...) -> None: ...
    ROOM_FIELD_NUMBER: _ClassVar[int]
    ROOM_METADATA_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    room: str
    room_metadata: _containers.MessageMap[str, _struct_pb2.Value]
    identity: _containers.RepeatedScalarFieldContainer[str]
    kind: _containers.RepeatedScalarFieldContainer[str]
    attributes: _containers.ScalarMap[str, str]
    metadata: _containers.MessageMap[str, _struct_pb2.Value]
    def __init__(self, room: _Optional[str] = ..., room_metadata: _Optional[_Mapping[str, _struct_pb2.Value]] = ..., identity: _Optional[_Iterable[str]] = ..., kind: _Optional[_Iterable[str]] = ..., attributes: _Optional[_Mapping[str, str]] = ..., metadata: _Optional[_Mapping[str, _struct_pb2.Value]] = ...) -> None: ...

class Rule(_message.Message):
    __slots__ = ("name", "version", "type", "match", "agent_name", "deployment", "namespace", "metadata", "attributes", "priority", "queue_deadline_seconds", "uniqueness_key", "concurrency_limit", "delay_seconds", "restart_policy", "enabled", "created_at", "updated_at")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    AGENT_NAME_FIELD_NUMBER: _ClassVar[int]
    DEPLOYMENT_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    QUEUE_DEADLINE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    UNIQUENESS_KEY_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_LIMIT_FIELD_NUMBER: _ClassVar[int]
    DELAY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RESTART_POLICY_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    type: _wire_pb2.JobType
    match: RuleMatch
    agent_name: str
    deployment: str
    namespace: str
    metadata: str
    attributes: _containers.ScalarMap[str, str]
    priority: int
    queue_deadline_seconds: float
    uniqueness_key: str
    concurrency_limit: int
    delay_seconds: float
    restart_policy: _wire_pb2.JobRestartPolicy
    enabled: bool
    created_at: int
    updated_at: int
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., type: _Optional[_Union[_wire_pb2.JobType, str]] = ..., match: _Optional[_Union[RuleMatch, _Mapping]] = ..., agent_name: _Optional[str] = ..., deployment: _Optional[str] = ..., namespace: _Optional[str] = ..., metadata: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ..., priority: _Optional[int] = ..., queue_deadline_seconds: _Optional[float] = ..., uniqueness_key: _Optional[str] = ..., concurrency_limit: _Optional[int] = ..., delay_seconds: _Optional[float] = ..., restart_policy: _Optional[_Union[_wire_pb2.JobRestartPolicy, str]] = ..., enabled: _Optional[bool] = ..., created_at: _Optional[int] = ..., updated_at: _Optional[int] = ...) -> None: ...

class ApplyRuleRequest(_message.Message):
    __slots__ = ("rule",)
    RULE_FIELD_NUMBER: _ClassVar[int]
    rule: Rule
    def __init__(self, rule: _Optional[_Union[Rule, _Mapping]] = ...) -> None: ...

class ApplyRuleResponse(_message.Message):
    __slots__ = ("rule", "changed")
    RULE_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    rule: Rule
    changed: bool
    def __init__(self, rule: _Optional[_Union[Rule, _Mapping]] = ..., changed: _Optional[bool] = ...) -> None: ...

class GetRuleRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListRulesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "agent_name")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    AGENT_NAME_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    agent_name: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., agent_name: _Optional[str] = ...) -> None: ...

class ListRulesResponse(_message.Message):
    __slots__ = ("rules", "next_page_token")
    RULES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[Rule]
    next_page_token: str
    def __init__(self, rules: _Optional[_Iterable[_Union[Rule, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteRuleRequest(_message.Message):
    __slots__ = ("name", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class RuleMismatch(_message.Message):
    __slots__ = ("condition", "wanted", "found")
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    condition: str
    wanted: str
    found: str
    def __init__(self, condition: _Optional[str] = ..., wanted: _Optional[str] = ..., found: _Optional[str] = ...) -> None: ...

class RuleVerdict(_message.Message):
    __slots__ = ("rule", "version", "matches", "mismatch", "participant", "job_id", "job_phase")
    RULE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    MISMATCH_FIELD_NUMBER: _ClassVar[int]
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_PHASE_FIELD_NUMBER: _ClassVar[int]
    rule: str
    version: int
    matches: bool
    mismatch: RuleMismatch
    participant: str
    job_id: str
    job_phase: JobPhase
    def __init__(self, rule: _Optional[str] = ..., version: _Optional[int] = ..., matches: _Optional[bool] = ..., mismatch: _Optional[_Union[RuleMismatch, _Mapping]] = ..., participant: _Optional[str] = ..., job_id: _Optional[str] = ..., job_phase: _Optional[_Union[JobPhase, str]] = ...) -> None: ...

class ExplainEventRequest(_message.Message):
    __slots__ = ("event", "room", "rule")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    event: RoomEvent
    room: str
    rule: str
    def __init__(self, event: _Optional[_Union[RoomEvent, _Mapping]] = ..., room: _Optional[str] = ..., rule: _Optional[str] = ...) -> None: ...

class ExplainEventResponse(_message.Message):
    __slots__ = ("verdicts",)
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    verdicts: _containers.RepeatedCompositeFieldContainer[RuleVerdict]
    def __init__(self, verdicts: _Optional[_Iterable[_Union[RuleVerdict, _Mapping]]] = ...) -> None: ...

class RoomEvent(_message.Message):
    __slots__ = ("event", "room", "participant", "track_sid", "id", "created_at")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    TRACK_SID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    event: str
    room: _wire_pb2.Room
    participant: _wire_pb2.ParticipantInfo
    track_sid: str
    id: str
    created_at: int
    def __init__(self, event: _Optional[str] = ..., room: _Optional[_Union[_wire_pb2.Room, _Mapping]] = ..., participant: _Optional[_Union[_wire_pb2.ParticipantInfo, _Mapping]] = ..., track_sid: _Optional[str] = ..., id: _Optional[str] = ..., created_at: _Optional[int] = ...) -> None: ...

class ReportRoomEventRequest(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: RoomEvent
    def __init__(self, event: _Optional[_Union[RoomEvent, _Mapping]] = ...) -> None: ...

class ReportRoomEventResponse(_message.Message):
    __slots__ = ("told_before",)
    TOLD_BEFORE_FIELD_NUMBER: _ClassVar[int]
    told_before: bool
    def __init__(self, told_before: _Optional[bool] = ...) -> None: ...

class ParticipantRecord(_message.Message):
    __slots__ = ("sid", "identity", "name", "kind", "metadata", "attributes", "joined_at", "is_publisher", "job_ids")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SID_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    JOINED_AT_FIELD_NUMBER: _ClassVar[int]
    IS_PUBLISHER_FIELD_NUMBER: _ClassVar[int]
    JOB_IDS_FIELD_NUMBER: _ClassVar[int]
    sid: str
    identity: str
    name: str
    kind: str
    metadata: str
    attributes: _containers.ScalarMap[str, str]
    joined_at: int
    is_publisher: bool
    job_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, sid: _Optional[str] = ..., identity: _Optional[str] = ..., name: _Optional[str] = ..., kind: _Optional[str] = ..., metadata: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ..., joined_at: _Optional[int] = ..., is_publisher: _Optional[bool] = ..., job_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class RoomRecord(_message.Message):
    __slots__ = ("name", "sid", "metadata", "started_at", "num_participants", "participants", "job_ids")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SID_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    NUM_PARTICIPANTS_FIELD_NUMBER: _ClassVar[int]
    PARTICIPANTS_FIELD_NUMBER: _ClassVar[int]
    JOB_IDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    sid: str
    metadata: str
    started_at: int
    num_participants: int
    participants: _containers.RepeatedCompositeFieldContainer[ParticipantRecord]
    job_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., sid: _Optional[str] = ..., metadata: _Optional[str] = ..., started_at: _Optional[int] = ..., num_participants: _Optional[int] = ..., participants: _Optional[_Iterable[_Union[ParticipantRecord, _Mapping]]] = ..., job_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ListRoomsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRoomsResponse(_message.Message):
    __slots__ = ("rooms", "next_page_token")
    ROOMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rooms: _containers.RepeatedCompositeFieldContainer[RoomRecord]
    next_page_token: str
    def __init__(self, rooms: _Optional[_Iterable[_Union[RoomRecord, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetRoomRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CreateRoomConfigurationRequest(_message.Message):
    __slots__ = ("configuration",)
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    configuration: _wire_pb2.RoomConfiguration
    def __init__(self, configuration: _Optional[_Union[_wire_pb2.RoomConfiguration, _Mapping]] = ...) -> None: ...

class UpdateRoomConfigurationRequest(_message.Message):
    __slots__ = ("configuration",)
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    configuration: _wire_pb2.RoomConfiguration
    def __init__(self, configuration: _Optional[_Union[_wire_pb2.RoomConfiguration, _Mapping]] = ...) -> None: ...

class ListRoomConfigurationsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRoomConfigurationsResponse(_message.Message):
    __slots__ = ("configurations",)
    CONFIGURATIONS_FIELD_NUMBER: _ClassVar[int]
    configurations: _containers.RepeatedCompositeFieldContainer[_wire_pb2.RoomConfiguration]
    def __init__(self, configurations: _Optional[_Iterable[_Union[_wire_pb2.RoomConfiguration, _Mapping]]] = ...) -> None: ...

class DeleteRoomConfigurationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class AgentRecord(_message.Message):
    __slots__ = ("agent_name", "types", "deployments", "workers", "served_at")
    AGENT_NAME_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    DEPLOYMENTS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    SERVED_AT_FIELD_NUMBER: _ClassVar[int]
    agent_name: str
    types: _containers.RepeatedScalarFieldContainer[_wire_pb2.JobType]
    deployments: _containers.RepeatedScalarFieldContainer[str]
    workers: int
    served_at: int
    def __init__(self, agent_name: _Optional[str] = ..., types: _Optional[_Iterable[_Union[_wire_pb2.JobType, str]]] = ..., deployments: _Optional[_Iterable[str]] = ..., workers: _Optional[int] = ..., served_at: _Optional[int] = ...) -> None: ...

class ListAgentsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAgentsResponse(_message.Message):
    __slots__ = ("agents",)
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    agents: _containers.RepeatedCompositeFieldContainer[AgentRecord]
    def __init__(self, agents: _Optional[_Iterable[_Union[AgentRecord, _Mapping]]] = ...) -> None: ...

class ForgetAgentRequest(_message.Message):
    __slots__ = ("agent_name",)
    AGENT_NAME_FIELD_NUMBER: _ClassVar[int]
    agent_name: str
    def __init__(self, agent_name: _Optional[str] = ...) -> None: ...

class ForgetAgentResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
