"""The log of a worker program: where it goes, in which form, and what never reaches it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from worker_sdk.logs import LogFormat, LogLevel, configure_logs


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def test_for_machines_each_event_is_a_json_object_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs(LogLevel.INFO, LogFormat.AUTO)  # standard error is no terminal here
    structlog.get_logger().info("job_started", job_id="AJ_1")
    said = capsys.readouterr()
    assert said.out == ""
    line = json.loads(said.err)
    assert (line["event"], line["job_id"], line["level"]) == ("job_started", "AJ_1", "info")
    assert "timestamp" in line


def test_for_people_it_is_a_line_to_read(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogLevel.INFO, LogFormat.HUMAN)
    structlog.get_logger().info("job_started", job_id="AJ_1")
    assert "job_started" in capsys.readouterr().err


def test_less_important_events_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogLevel.WARNING, LogFormat.JSON)
    structlog.get_logger().info("job_started")
    structlog.get_logger().warning("stop_forced")
    assert json.loads(capsys.readouterr().err)["event"] == "stop_forced"


@pytest.mark.parametrize("log_format", [LogFormat.JSON, LogFormat.HUMAN])
def test_a_traceback_shows_no_local_variables_for_they_may_hold_tokens(
    log_format: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    def join(room_token: str) -> None:
        raise LookupError(f"no room for {len(room_token)} letters")

    configure_logs(LogLevel.INFO, log_format)
    try:
        join("ey_secret".replace("_", "-"))
    except LookupError as error:
        structlog.get_logger().error("job_failed", exc_info=error)
    said = capsys.readouterr().err
    assert "no room for 9 letters" in said
    assert "ey-secret" not in said


def test_a_program_that_has_set_its_logs_up_keeps_them(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.configure(processors=[structlog.processors.KeyValueRenderer()])
    configure_logs(LogLevel.INFO, LogFormat.JSON)
    structlog.get_logger().info("mine")
    assert capsys.readouterr().out == "event='mine'\n"


PROGRAM = """
import structlog
from worker_sdk.logs import LogFormat, LogLevel, configure_logs

configure_logs(LogLevel.INFO, LogFormat.JSON)
structlog.get_logger().info("one")
structlog.get_logger().info("two")
print("went on")
"""


def test_a_disk_that_takes_no_line_ends_nothing() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            stdout=subprocess.PIPE,
            stderr=full,
            timeout=60,
            check=False,
        )
    assert done.stdout == b"went on\n"
