"""Who deploys a worker has the last word on how its jobs run."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import pytest
from structlog.typing import FilteringBoundLogger

from protocol.errors import ConfigError
from worker_sdk.executor_choice import EXECUTOR_OPTIONS, chosen_executor
from worker_sdk.executors import Executor, JobRunner, ProcessExecutor, TaskExecutor, WorkerProgram
from worker_sdk.options import OPTIONS
from worker_sdk.settings import resolve


def chosen(given: Executor | None, **flags: str) -> Executor:
    """The executor of a program that gives this one, and is started with these flags."""
    return chosen_executor(given, resolve({}, {}, flags))


class Own(Executor):
    """An executor that a program has made itself."""

    def check(self, program: WorkerProgram) -> None:
        raise NotImplementedError

    def open(
        self, program: WorkerProgram, log: FilteringBoundLogger
    ) -> AbstractAsyncContextManager[JobRunner]:
        raise NotImplementedError


def test_without_a_word_jobs_are_tasks() -> None:
    assert chosen(None) == TaskExecutor()


def test_the_programs_executor_stays_where_nothing_is_said() -> None:
    given = ProcessExecutor(warm=3)
    assert chosen(given) is given
    assert chosen(given, executor="process") is given


def test_another_kind_may_be_chosen() -> None:
    assert chosen(None, executor="process") == ProcessExecutor()
    assert chosen(ProcessExecutor(warm=3), executor="task") == TaskExecutor()
    assert chosen(Own(), executor="task") == TaskExecutor()


def test_single_options_are_changed_and_the_others_stay_the_programs() -> None:
    given = ProcessExecutor(warm=3, job_seconds_max=60.0)
    assert chosen(given, warm="8") == ProcessExecutor(warm=8, job_seconds_max=60.0)
    assert chosen(None, stop_seconds_max="2") == TaskExecutor(stop_seconds_max=2.0)


def test_an_option_of_processes_needs_processes() -> None:
    with pytest.raises(ConfigError, match="warm is for jobs in processes"):
        chosen(None, warm="8")
    assert chosen(None, executor="process", warm="8") == ProcessExecutor(warm=8)


def test_a_programs_own_executor_has_options_of_its_own() -> None:
    own = Own()
    assert chosen(own) is own
    with pytest.raises(ConfigError, match="warm is no option"):
        chosen(own, warm="8")


def test_the_defaults_that_people_read_are_the_executors_own() -> None:
    by_name = {option.name: option for option in OPTIONS}
    for name in EXECUTOR_OPTIONS:
        default = getattr(ProcessExecutor(), name)
        text = "no limit" if default is None else f"{default:g}"
        assert by_name[name].default == text
