"""The table of a worker's options: each once, with its name, kind, bounds, default, flag and help.

All else is made from it: the command line, docs/worker.md, what is read from the environment and
checked (`settings`). Left to others: what an option does (`worker`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from protocol.limits import DEFAULT_LIMITS, check_agent_name, check_text, validate_deployment
from worker_sdk.drain import DRAIN_SECONDS_MAX_DEFAULT, DrainPolicy
from worker_sdk.executor_choice import ExecutorKind
from worker_sdk.executors import ProcessExecutor
from worker_sdk.load import as_measure, load_by_names
from worker_sdk.logs import LogFormat, LogLevel
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
    whole_between,
    whole_number,
)
from worker_sdk.records import RECORD_PATH_VARIABLE
from worker_sdk.shutdown import SHUTDOWN_SECONDS_MAX_DEFAULT

__all__ = ["CAPACITY_DEFAULT", "GRACE_SECONDS_DEFAULT", "OPTIONS", "SERVER_PANEL", "Option"]

ENV_PREFIX = "CALLBOARD_WORKER_"

# The dispatcher counts a tenth of a worker for a job that it knows nothing of.
CAPACITY_DEFAULT = 10
GRACE_SECONDS_DEFAULT = 3.0
_DAY_SECONDS = 86_400.0


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
SERVER_PANEL, _JOBS = "Where the server is", "How jobs run"
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
        panel=SERVER_PANEL,
    ),
    Option(
        "api_key",
        "The API key.",
        check=secret,
        metavar="KEY",
        variable="LIVEKIT_API_KEY",
        panel=SERVER_PANEL,
    ),
    Option(
        "api_secret",
        "Its secret. Others on this machine can read flags: the variable is hidden from them.",
        check=secret,
        metavar="SECRET",
        variable="LIVEKIT_API_SECRET",
        panel=SERVER_PANEL,
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
        check=whole_between(1, _LIMITS.migrate_job_ids_max),
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
        read=lambda text: load_by_names(comma_words(text)),
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
    _of_processes(
        "warm", "Processes kept ready for jobs.", whole_number, whole_between(0, 10_000), "N"
    ),
    _of_processes(
        "jobs_per_process",
        "Jobs that one process runs.",
        whole_number,
        whole_between(1, 10**9),
        "N",
    ),
    _of_processes(
        "memory_bytes_max",
        "A job's process that uses more is killed.",
        whole_number,
        whole_between(1, 10**15),
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
    _of_processes(
        "prewarm_seconds_max",
        "What loading the program and its prewarm function may take.",
        number,
        between(0.001, _DAY_SECONDS),
        "S",
    ),
    _of_processes(
        "process_wait_seconds_max",
        "A job that is given no process for so long fails.",
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
