"""The options of a worker: each once, with its name, kind, bounds, default, variable, flag and help.

A value comes from the code (`Worker(capacity=4)`), the environment (`CALLBOARD_WORKER_CAPACITY=8`)
or a flag (`--capacity 8`); the later overrides the earlier, so that who deploys a worker overrides
who wrote it. A wrong value is one line that names where it was said. Where the server is and with
which key have LiveKit's own variables, which count, as with LiveKit's SDK, where the code says nothing.

Left to others: what an option does (`worker`), the command line itself (`command_line`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from protocol.errors import ConfigError, WireError
from protocol.limits import DEFAULT_LIMITS, check_agent_name, check_text, validate_deployment
from worker_sdk.credentials import Credentials
from worker_sdk.drain import DRAIN_SECONDS_MAX_DEFAULT, DrainPolicy
from worker_sdk.executor_choice import ExecutorKind
from worker_sdk.executors import ProcessExecutor
from worker_sdk.job import JobType
from worker_sdk.load import CpuLoad, GreatestLoad, JobsLoad, LoadMeasure, as_measure, load_by_names
from worker_sdk.option_values import (
    Check,
    Reader,
    between,
    choice,
    comma_words,
    job_types,
    member,
    number,
    port,
    secret,
    some_job_types,
    text_that,
    url,
    whole_number,
)
from worker_sdk.records import RECORD_PATH_VARIABLE
from worker_sdk.shutdown import SHUTDOWN_SECONDS_MAX_DEFAULT

__all__ = ["OPTIONS", "LogFormat", "LogLevel", "Option", "Settings", "check_code", "resolve"]

ENV_PREFIX = "CALLBOARD_WORKER_"

# The dispatcher counts a tenth of a worker for a job that it knows nothing of.
CAPACITY_DEFAULT = 10
GRACE_SECONDS_DEFAULT = 3.0
_DAY_SECONDS = 86_400.0


class LogLevel(Enum):
    """The least important event that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(Enum):
    """How a log line looks."""

    AUTO = "auto"  # for people on a terminal, else JSON
    HUMAN = "human"
    JSON = "json"


def _default_load() -> LoadMeasure:
    return GreatestLoad(JobsLoad(), CpuLoad())


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of one worker, checked. The fields are the rows of `OPTIONS`, in their order."""

    url: str = ""
    api_key: str = ""
    api_secret: str = field(default="", repr=False)
    agent_name: str = ""
    capacity: int = CAPACITY_DEFAULT
    types: tuple[JobType, ...] = (JobType.ROOM,)
    deployment: str = ""
    namespace: str = ""
    grace_seconds: float = GRACE_SECONDS_DEFAULT
    load: LoadMeasure = field(default_factory=_default_load)
    executor: ExecutorKind | None = None
    warm: int | None = None
    jobs_per_process: int | None = None
    memory_bytes_max: int | None = None
    job_seconds_max: float | None = None
    ping_seconds_max: float | None = None
    stop_seconds_max: float | None = None
    shutdown_seconds_max: float = SHUTDOWN_SECONDS_MAX_DEFAULT
    drain_policy: DrainPolicy = DrainPolicy.WAIT
    drain_seconds_max: float = DRAIN_SECONDS_MAX_DEFAULT
    health_port: int | None = None
    health_host: str = "0.0.0.0"  # probes come from other machines
    instance_id: str = ""
    record_path: Path | None = None
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.AUTO

    def credentials(self) -> Credentials:
        """Where the server is. Raises ConfigError that names what is missing."""
        for option in OPTIONS:
            if option.panel == _SERVER and not getattr(self, option.name):
                raise ConfigError(
                    f"{option.name} is missing: set {option.env}, or pass {option.flag}"
                    f" or Worker({option.name}=...)"
                )
        return Credentials(self.url, self.api_key, self.api_secret)


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table: an argument of Worker(...), its variable and its flag."""

    name: str
    help: str
    read: Reader = str
    check: Check = lambda value: value
    # what the default is, for people
    default: str = ""
    metavar: str = "TEXT"
    variable: str = ""
    panel: str = "The worker"

    @property
    def env(self) -> str:
        """The environment variable that sets it."""
        return self.variable or ENV_PREFIX + self.name.upper()

    @property
    def code_comes_first(self) -> bool:
        """Does the code override the variable? LiveKit's own are a default, as in LiveKit's SDK."""
        return self.variable.startswith("LIVEKIT_")

    @property
    def flag(self) -> str:
        """The flag that sets it."""
        return "--" + self.name.replace("_", "-")


_LIMITS = DEFAULT_LIMITS
_SERVER, _JOBS = "Where the server is", "How jobs run"
_DRAINS, _WATCHED = "How it ends", "How it is watched"


def _of_processes(name: str, help: str, read: Reader, check: Check, metavar: str) -> Option:  # noqa: A002
    """An option of the executor, whose default is the program's, or its own."""
    return Option(
        name, help, read=read, check=check, default=_default_of(name), metavar=metavar, panel=_JOBS
    )


def _default_of(name: str) -> str:
    default = getattr(ProcessExecutor(), name)
    return "no limit" if default is None else f"{default:g}"


OPTIONS: tuple[Option, ...] = (
    Option(
        "url",
        "The server's address, such as ws://127.0.0.1:7880.",
        check=url,
        metavar="URL",
        variable="LIVEKIT_URL",
        panel=_SERVER,
    ),
    Option(
        "api_key",
        "The API key.",
        check=secret,
        metavar="KEY",
        variable="LIVEKIT_API_KEY",
        panel=_SERVER,
    ),
    Option(
        "api_secret",
        "Its secret. Others on this machine can read flags: the variable is hidden from them.",
        check=secret,
        metavar="SECRET",
        variable="LIVEKIT_API_SECRET",
        panel=_SERVER,
    ),
    Option(
        "agent_name",
        "The agent whose jobs it takes.",
        check=text_that(lambda value: check_agent_name("agent_name", value, _LIMITS)),
        metavar="NAME",
    ),
    Option(
        "capacity",
        "Most jobs at once, never exceeded.",
        read=whole_number,
        # A claim names all jobs in one message.
        check=between(1, _LIMITS.migrate_job_ids_max),
        default=str(CAPACITY_DEFAULT),
        metavar="N",
    ),
    Option(
        "types",
        "The kinds of jobs: room, publisher, participant; several with commas.",
        read=job_types,
        check=some_job_types,
        default="room",
        metavar="TYPES",
    ),
    Option(
        "deployment",
        "Takes jobs of this deployment only.",
        check=text_that(lambda value: validate_deployment(value, _LIMITS)),
        metavar="NAME",
    ),
    Option(
        "namespace",
        "Takes jobs of this namespace only.",
        check=text_that(lambda value: check_text("namespace", value, _LIMITS.namespace_bytes_max)),
        metavar="NAME",
    ),
    Option(
        "grace_seconds",
        "Back within this after a lost connection, or its jobs go to others.",
        read=number,
        check=between(0, _LIMITS.grace_seconds_max),
        default=f"{GRACE_SECONDS_DEFAULT:g}",
        metavar="S",
    ),
    Option(
        "load",
        "How busy it is: the greatest of jobs, cpu, memory, as named with commas.",
        read=lambda text: load_by_names(comma_words(text) or ["?"]),
        check=as_measure,
        default="jobs,cpu",
        metavar="NAMES",
    ),
    Option(
        "executor",
        "How jobs run: task (in the worker's event loop) or process (each in one of its own).",
        read=choice(ExecutorKind),
        check=member(ExecutorKind),
        default="as the program says, else task",
        metavar="KIND",
        panel=_JOBS,
    ),
    _of_processes("warm", "Processes kept ready for jobs.", whole_number, between(0, 10_000), "N"),
    _of_processes(
        "jobs_per_process", "Jobs that one process runs.", whole_number, between(1, 1e9), "N"
    ),
    _of_processes(
        "memory_bytes_max",
        "A job's process that uses more is killed.",
        whole_number,
        between(1, 1e15),
        "BYTES",
    ),
    _of_processes(
        "job_seconds_max",
        "A job in a process that takes longer is stopped, and fails.",
        number,
        between(0.001, 365 * _DAY_SECONDS),
        "S",
    ),
    _of_processes(
        "ping_seconds_max",
        "A process whose event loop does not turn for so long is killed.",
        number,
        between(0.001, _DAY_SECONDS),
        "S",
    ),
    _of_processes(
        "stop_seconds_max",
        "What a job that is told to stop has to do so.",
        number,
        between(0.001, _DAY_SECONDS),
        "S",
    ),
    Option(
        "shutdown_seconds_max",
        "What the shutdown callbacks of one job may take together.",
        read=number,
        check=between(0.001, _DAY_SECONDS),
        default=f"{SHUTDOWN_SECONDS_MAX_DEFAULT:g}",
        metavar="S",
        panel=_JOBS,
    ),
    Option(
        "drain_policy",
        "What becomes of jobs after SIGTERM: wait (they go on) or hand_over (others resume them).",
        read=choice(DrainPolicy),
        check=member(DrainPolicy),
        default=DrainPolicy.WAIT.value,
        metavar="POLICY",
        panel=_DRAINS,
    ),
    Option(
        "drain_seconds_max",
        "How long after SIGTERM; what still runs then is handed over at once.",
        read=number,
        check=between(0, 7 * _DAY_SECONDS),
        default=f"{DRAIN_SECONDS_MAX_DEFAULT:g}",
        metavar="S",
        panel=_DRAINS,
    ),
    Option(
        "health_port",
        "Serve /healthz, /readyz and /metrics on this port; 0 takes a free one and logs it.",
        read=whole_number,
        check=port,
        default="off",
        metavar="N",
        panel=_WATCHED,
    ),
    Option(
        "health_host",
        "The address that this port is on.",
        check=text_that(lambda value: check_text("health_host", value, _LIMITS.label_bytes_max)),
        default="0.0.0.0",
        metavar="ADDR",
        panel=_WATCHED,
    ),
    Option(
        "instance_id",
        "Names this process over all its connections.",
        check=text_that(lambda value: check_text("instance_id", value, _LIMITS.label_bytes_max)),
        default="random",
        metavar="ID",
    ),
    Option(
        "record_path",
        "A file for the worker's own record of what it ran.",
        read=Path,
        check=lambda value: None if value is None else Path(value),
        metavar="FILE",
        variable=RECORD_PATH_VARIABLE,
        panel=_WATCHED,
    ),
    Option(
        "log_level",
        "debug, info, warning or error.",
        read=choice(LogLevel),
        check=member(LogLevel),
        default=LogLevel.INFO.value,
        metavar="LEVEL",
        panel=_WATCHED,
    ),
    Option(
        "log_format",
        "auto (for people on a terminal, else JSON), human or json.",
        read=choice(LogFormat),
        check=member(LogFormat),
        default=LogFormat.AUTO.value,
        metavar="FORM",
        panel=_WATCHED,
    ),
)

_BY_NAME: Mapping[str, Option] = {option.name: option for option in OPTIONS}


def resolve(
    code: Mapping[str, object],
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[str, str] | None = None,
    fallbacks: Mapping[str, object] | None = None,
) -> Settings:
    """The settings of a worker: code, over it the environment, over it the flags.

    LiveKit's own variables come below the code.

    `flags` and `fallbacks` are by option name; a fallback counts where nothing else is said. None
    and empty text say nothing, but in a flag. Raises ConfigError in one line.
    """
    found: dict[str, Any] = {}
    for option in OPTIONS:
        said = code.get(option.name)
        if said is not None and said != "":
            found[option.name] = _checked(option, said, f"Worker({option.name}=...)")
        texts = (
            (environment.get(option.env) or None, option.env),
            ((flags or {}).get(option.name), option.flag),
        )
        for text, source in texts:
            is_default = source == option.env and option.code_comes_first and option.name in found
            if text is not None and not is_default:
                found[option.name] = _checked(option, _read(option, text, source), source)
        if option.name not in found and option.name in (fallbacks or {}):
            found[option.name] = (fallbacks or {})[option.name]
    return Settings(**found)


def check_code(code: Mapping[str, object]) -> None:
    """Refuse what the code alone gets wrong: ConfigError, where the program says it."""
    for option in OPTIONS:
        said = code.get(option.name)
        if said is not None and said != "":
            _checked(option, said, f"Worker({option.name}=...)")


def _read(option: Option, text: str, source: str) -> Any:  # noqa: ANN401
    try:
        return option.read(text)
    except ValueError as error:
        raise _wrong(option, source, error) from None


def _checked(option: Option, value: object, source: str) -> Any:  # noqa: ANN401
    try:
        return option.check(value)
    except (ValueError, TypeError, WireError, ConfigError) as error:
        raise _wrong(option, source, error) from None


def _wrong(option: Option, source: str, error: Exception) -> ConfigError:
    # A check that is shared with the wire names its field; the source does that here.
    text = str(error).removeprefix(f"{option.name} ").removeprefix(f"{option.name}: ")
    return ConfigError(f"{source}: {text}")
