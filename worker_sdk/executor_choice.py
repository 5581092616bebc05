"""Which executor runs the jobs, when who deploys a worker says otherwise than who wrote it.

The program gives an executor, or none; the environment and the flags choose another kind
(`--executor process`) or change single options of it (`--warm 4`).
"""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import TYPE_CHECKING

from protocol.errors import ConfigError
from worker_sdk.executors import Executor, ProcessExecutor, TaskExecutor

if TYPE_CHECKING:
    from worker_sdk.settings import Settings

__all__ = ["EXECUTOR_OPTIONS", "ExecutorKind", "check_executor", "chosen_executor"]


class ExecutorKind(Enum):
    """The executors that have a name for who deploys."""

    TASK = "task"
    PROCESS = "process"


_CLASSES: dict[ExecutorKind, type[TaskExecutor | ProcessExecutor]] = {
    ExecutorKind.TASK: TaskExecutor,
    ExecutorKind.PROCESS: ProcessExecutor,
}

# The settings that are options of an executor, by the same names.
EXECUTOR_OPTIONS = (
    "warm",
    "jobs_per_process",
    "memory_bytes_max",
    "job_seconds_max",
    "ping_seconds_max",
    "stop_seconds_max",
    "prewarm_seconds_max",
    "process_wait_seconds_max",
)


def check_executor(given: object) -> None:
    """Refuse what a program gives as its executor and is none: ConfigError."""
    if given is not None and not isinstance(given, Executor):
        raise ConfigError(
            f"Worker(executor=...): must be an executor such as ProcessExecutor(), not {given!r}"
        )


def chosen_executor(given: Executor | None, settings: Settings) -> Executor:
    """The program's executor as the settings change it. Raises ConfigError for what it has not."""
    kind = settings.executor or (None if given else ExecutorKind.TASK)
    executor = given
    if executor is None or (kind is not None and not isinstance(executor, _CLASSES[kind])):
        executor = _CLASSES[kind or ExecutorKind.TASK]()
    said = {
        name: value for name in EXECUTOR_OPTIONS if (value := getattr(settings, name)) is not None
    }
    if not said:
        return executor
    if not isinstance(executor, TaskExecutor | ProcessExecutor):
        raise ConfigError(f"{min(said)} is no option of the program's own executor, {executor!r}")
    known = {each.name for each in dataclasses.fields(executor)}
    for name in said:
        if name not in known:
            raise ConfigError(
                f"{name} is for jobs in processes of their own: set executor to process, too"
            )
    return dataclasses.replace(executor, **said)
