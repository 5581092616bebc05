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

class JobEvent(_message.Message):
    __slots__ = ("seq", "at", "kind", "phase", "epoch", "attempt", "worker_id", "reason", "error", "detail")
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
    def __init__(self, seq: _Optional[int] = ..., at: _Optional[int] = ..., kind: _Optional[str] = ..., phase: _Optional[_Union[JobPhase, str]] = ..., epoch: _Optional[int] = ..., attempt: _Optional[int] = ..., worker_id: _Optional[str] = ..., reason: _Optional[str] = ..., error: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class JobRecord(_message.Message):
    __slots__ = ("job", "phase", "epoch", "attempt", "attempt_reason", "priority", "created_at", "queue_deadline_at", "until_at", "updated_at", "worker_id", "namespace", "deployment", "restart_policy", "timeline")
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
    def __init__(self, job: _Optional[_Union[_wire_pb2.Job, _Mapping]] = ..., phase: _Optional[_Union[JobPhase, str]] = ..., epoch: _Optional[int] = ..., attempt: _Optional[int] = ..., attempt_reason: _Optional[str] = ..., priority: _Optional[int] = ..., created_at: _Optional[int] = ..., queue_deadline_at: _Optional[int] = ..., until_at: _Optional[int] = ..., updated_at: _Optional[int] = ..., worker_id: _Optional[str] = ..., namespace: _Optional[str] = ..., deployment: _Optional[str] = ..., restart_policy: _Optional[_Union[_wire_pb2.JobRestartPolicy, str]] = ..., timeline: _Optional[_Iterable[_Union[JobEvent, _Mapping]]] = ...) -> None: ...

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

class WorkerRecord(_message.Message):
    __slots__ = ("id", "agent_name", "namespace", "deployment", "types", "phase", "load_reported", "load_estimated", "job_count_reported", "jobs_held", "jobs_reserved", "capacity", "version", "instance_id", "address", "connected_at", "last_status_at", "backed_off_until", "declines", "job_ids")
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
    def __init__(self, id: _Optional[str] = ..., agent_name: _Optional[str] = ..., namespace: _Optional[str] = ..., deployment: _Optional[str] = ..., types: _Optional[_Iterable[_Union[_wire_pb2.JobType, str]]] = ..., phase: _Optional[_Union[WorkerPhase, str]] = ..., load_reported: _Optional[float] = ..., load_estimated: _Optional[float] = ..., job_count_reported: _Optional[int] = ..., jobs_held: _Optional[int] = ..., jobs_reserved: _Optional[int] = ..., capacity: _Optional[int] = ..., version: _Optional[str] = ..., instance_id: _Optional[str] = ..., address: _Optional[str] = ..., connected_at: _Optional[int] = ..., last_status_at: _Optional[int] = ..., backed_off_until: _Optional[int] = ..., declines: _Optional[int] = ..., job_ids: _Optional[_Iterable[str]] = ...) -> None: ...

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
