from protocol import wire_pb2 as _wire_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ParentMessage(_message.Message):
    __slots__ = ("setup", "run", "stop", "ping", "leave")
    SETUP_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    LEAVE_FIELD_NUMBER: _ClassVar[int]
    setup: Setup
    run: Run
    stop: Stop
    ping: Ping
    leave: Leave
    def __init__(self, setup: _Optional[_Union[Setup, _Mapping]] = ..., run: _Optional[_Union[Run, _Mapping]] = ..., stop: _Optional[_Union[Stop, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., leave: _Optional[_Union[Leave, _Mapping]] = ...) -> None: ...

class Setup(_message.Message):
    __slots__ = ("program", "job", "prewarm", "import_path", "arguments", "environment", "event_loop", "uses_uvloop", "structured_log_level", "standard_log_level", "shutdown_seconds_max", "working_folder")
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    PREWARM_FIELD_NUMBER: _ClassVar[int]
    IMPORT_PATH_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    EVENT_LOOP_FIELD_NUMBER: _ClassVar[int]
    USES_UVLOOP_FIELD_NUMBER: _ClassVar[int]
    STRUCTURED_LOG_LEVEL_FIELD_NUMBER: _ClassVar[int]
    STANDARD_LOG_LEVEL_FIELD_NUMBER: _ClassVar[int]
    SHUTDOWN_SECONDS_MAX_FIELD_NUMBER: _ClassVar[int]
    WORKING_FOLDER_FIELD_NUMBER: _ClassVar[int]
    program: Program
    job: FunctionName
    prewarm: FunctionName
    import_path: _containers.RepeatedScalarFieldContainer[str]
    arguments: _containers.RepeatedScalarFieldContainer[str]
    environment: _containers.RepeatedCompositeFieldContainer[Variable]
    event_loop: str
    uses_uvloop: bool
    structured_log_level: int
    standard_log_level: int
    shutdown_seconds_max: float
    working_folder: bytes
    def __init__(self, program: _Optional[_Union[Program, _Mapping]] = ..., job: _Optional[_Union[FunctionName, _Mapping]] = ..., prewarm: _Optional[_Union[FunctionName, _Mapping]] = ..., import_path: _Optional[_Iterable[str]] = ..., arguments: _Optional[_Iterable[str]] = ..., environment: _Optional[_Iterable[_Union[Variable, _Mapping]]] = ..., event_loop: _Optional[str] = ..., uses_uvloop: _Optional[bool] = ..., structured_log_level: _Optional[int] = ..., standard_log_level: _Optional[int] = ..., shutdown_seconds_max: _Optional[float] = ..., working_folder: _Optional[bytes] = ...) -> None: ...

class Variable(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    value: bytes
    def __init__(self, name: _Optional[bytes] = ..., value: _Optional[bytes] = ...) -> None: ...

class Program(_message.Message):
    __slots__ = ("main_path", "main_module")
    MAIN_PATH_FIELD_NUMBER: _ClassVar[int]
    MAIN_MODULE_FIELD_NUMBER: _ClassVar[int]
    main_path: str
    main_module: str
    def __init__(self, main_path: _Optional[str] = ..., main_module: _Optional[str] = ...) -> None: ...

class FunctionName(_message.Message):
    __slots__ = ("module", "name")
    MODULE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    module: str
    name: str
    def __init__(self, module: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class Run(_message.Message):
    __slots__ = ("job", "attempt", "attempt_reason", "epoch", "resuming", "url", "token")
    JOB_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_REASON_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    RESUMING_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    job: _wire_pb2.Job
    attempt: int
    attempt_reason: str
    epoch: int
    resuming: bool
    url: str
    token: str
    def __init__(self, job: _Optional[_Union[_wire_pb2.Job, _Mapping]] = ..., attempt: _Optional[int] = ..., attempt_reason: _Optional[str] = ..., epoch: _Optional[int] = ..., resuming: _Optional[bool] = ..., url: _Optional[str] = ..., token: _Optional[str] = ...) -> None: ...

class Stop(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Ping(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Leave(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ChildMessage(_message.Message):
    __slots__ = ("ready", "unusable", "started", "ended", "pong", "structured_log", "standard_log")
    READY_FIELD_NUMBER: _ClassVar[int]
    UNUSABLE_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    STRUCTURED_LOG_FIELD_NUMBER: _ClassVar[int]
    STANDARD_LOG_FIELD_NUMBER: _ClassVar[int]
    ready: Ready
    unusable: Unusable
    started: Started
    ended: Ended
    pong: Pong
    structured_log: StructuredLog
    standard_log: StandardLog
    def __init__(self, ready: _Optional[_Union[Ready, _Mapping]] = ..., unusable: _Optional[_Union[Unusable, _Mapping]] = ..., started: _Optional[_Union[Started, _Mapping]] = ..., ended: _Optional[_Union[Ended, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., structured_log: _Optional[_Union[StructuredLog, _Mapping]] = ..., standard_log: _Optional[_Union[StandardLog, _Mapping]] = ...) -> None: ...

class Ready(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Unusable(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: str
    def __init__(self, error: _Optional[str] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Ended(_message.Message):
    __slots__ = ("kind", "error")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FAILED: _ClassVar[Ended.Kind]
        SUCCESS: _ClassVar[Ended.Kind]
        STOPPED: _ClassVar[Ended.Kind]
    FAILED: Ended.Kind
    SUCCESS: Ended.Kind
    STOPPED: Ended.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    kind: Ended.Kind
    error: str
    def __init__(self, kind: _Optional[_Union[Ended.Kind, str]] = ..., error: _Optional[str] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StructuredLog(_message.Message):
    __slots__ = ("level", "event", "fields_json")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    FIELDS_JSON_FIELD_NUMBER: _ClassVar[int]
    level: str
    event: str
    fields_json: bytes
    def __init__(self, level: _Optional[str] = ..., event: _Optional[str] = ..., fields_json: _Optional[bytes] = ...) -> None: ...

class StandardLog(_message.Message):
    __slots__ = ("logger", "level", "message", "exception", "path", "line", "created_at_seconds")
    LOGGER_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EXCEPTION_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    logger: str
    level: int
    message: str
    exception: str
    path: str
    line: int
    created_at_seconds: float
    def __init__(self, logger: _Optional[str] = ..., level: _Optional[int] = ..., message: _Optional[str] = ..., exception: _Optional[str] = ..., path: _Optional[str] = ..., line: _Optional[int] = ..., created_at_seconds: _Optional[float] = ...) -> None: ...
