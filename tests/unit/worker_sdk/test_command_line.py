"""What a person types after `python my_worker.py`, and what they read."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import structlog

from worker_sdk import command_line
from worker_sdk.command_line import Commands
from worker_sdk.console import ConsoleJob
from worker_sdk.job import JobType
from worker_sdk.logs import LogFormat, LogLevel
from worker_sdk.options import OPTIONS
from worker_sdk.settings import Settings, resolve


class Asked:
    """Commands that only note what they were asked for."""

    def __init__(self, environment: Mapping[str, str] | None = None, console_code: int = 0) -> None:
        self._environment = environment or {}
        self._console_code = console_code
        self.settings: Settings | None = None
        self.job: ConsoleJob | None = None

    def run(self, *arguments: str) -> int:
        """Run a command line; returns the exit code."""
        with structlog.testing.capture_logs():
            try:
                command_line.run(arguments, Commands(self._resolve, self._serve, self._console))
            except SystemExit as error:
                return int(error.code or 0)
            finally:
                structlog.reset_defaults()
        return 0

    def _resolve(self, flags: Mapping[str, str], fallbacks: Mapping[str, object]) -> Settings:
        return resolve({"agent_name": "greeter"}, self._environment, flags, fallbacks)

    def _serve(self, settings: Settings) -> None:
        self.settings = settings

    def _console(self, settings: Settings, job: ConsoleJob) -> int:
        self.settings, self.job = settings, job
        return self._console_code


@pytest.mark.parametrize("arguments", [[], ["start"], ["--log-level", "info"]])
def test_no_command_means_start(arguments: list[str]) -> None:
    asked = Asked()
    assert asked.run(*arguments) == 0
    assert asked.settings is not None
    assert (asked.settings.agent_name, asked.settings.url) == ("greeter", "")


def test_flags_override_the_environment() -> None:
    asked = Asked({"CALLBOARD_WORKER_CAPACITY": "2", "LIVEKIT_URL": "ws://env"})
    assert asked.run("start", "--capacity", "5", "--drain-policy", "hand_over") == 0
    assert asked.settings is not None
    assert (asked.settings.capacity, asked.settings.url) == (5, "ws://env")
    assert asked.settings.drain_policy.value == "hand_over"


def test_dev_means_the_dev_server_and_logs_for_people_where_nothing_else_is_said() -> None:
    asked = Asked({"LIVEKIT_API_KEY": "mine"})
    assert asked.run("dev", "--no-reload", "--log-level", "info") == 0
    said = asked.settings
    assert said is not None
    assert (said.url, said.api_key, said.api_secret) == ("ws://127.0.0.1:7880", "mine", "secret")
    assert (said.log_level, said.log_format) == (LogLevel.INFO, LogFormat.HUMAN)


def test_console_makes_a_job_of_what_is_said() -> None:
    asked = Asked()
    code = asked.run(
        *("console", "--room", "lobby", "--metadata", "{}", "--attribute", "a=1"),
        *("--attribute", "b=x=y", "--type", "publisher", "--participant", "caller"),
    )
    assert code == 0
    assert asked.job == ConsoleJob(
        "lobby", "{}", {"a": "1", "b": "x=y"}, JobType.PUBLISHER, "caller"
    )


def test_console_ends_with_the_exit_code_of_its_job() -> None:
    assert Asked(console_code=1).run("console") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["start", "--capacity", "0"], "--capacity: must be 1 to 10000, not 0"),
        (["start", "--nonsense"], "No such option: --nonsense"),
        (["begin"], "No such command 'begin'"),
        (["console", "--attribute", "novalue"], "--attribute: must be KEY=VALUE"),
        (["console", "--type", "chat"], "--type: must be room, publisher, participant"),
    ],
)
def test_a_wrong_word_is_one_line_and_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Asked().run(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert Asked().run("--help") == 0
    out = capsys.readouterr().out
    assert all(command in out for command in ("start", "dev", "console"))


def test_help_names_every_option_with_its_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    assert Asked().run("start", "--help") == 0
    out = capsys.readouterr().out
    for option in OPTIONS:
        assert option.flag in out
        assert f"({option.env})" in out
