"""What a job in a process logs is logged by its worker, in the worker's own way."""

from __future__ import annotations

import logging

import pytest
import structlog

from tests.integration.worker_sdk.pool import run_alone

pytestmark = pytest.mark.anyio


async def test_what_a_job_logs_with_structlog_is_the_worker_s_log() -> None:
    with structlog.testing.capture_logs() as logs:
        await run_alone("log")
    by_event = {entry["event"]: entry for entry in logs}
    bound = by_event["bound"]
    assert (bound["log_level"], bound["number"], bound["room"]) == ("info", 1, "lobby")
    assert bound["job_id"].startswith("AJ_")
    assert isinstance(bound["pid"], int)
    module = by_event["module"]
    assert (module["log_level"], module["thing"]) == ("warning", "PosixPath('x')")
    assert by_event["caught"]["log_level"] == "error"
    assert "KeyError: 'inner'" in by_event["caught"]["exception"]


async def test_the_traceback_of_a_job_that_failed_is_logged() -> None:
    with structlog.testing.capture_logs() as logs:
        await run_alone("fail here")
    (failed,) = [entry for entry in logs if entry["event"] == "job_failed"]
    assert "ValueError: here" in failed["exception"]
    assert "jobs.py" in failed["exception"]


async def test_what_a_job_logs_with_logging_is_a_record_of_the_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with structlog.testing.capture_logs(), caplog.at_level(logging.INFO):
        await run_alone("log")
    (record,) = [record for record in caplog.records if record.name == "some.library"]
    assert (record.levelname, record.getMessage()) == ("WARNING", "library says 7")
    assert record.filename == "jobs.py"


async def test_what_a_job_prints_is_the_worker_s_output(capfd: pytest.CaptureFixture[str]) -> None:
    with structlog.testing.capture_logs():
        await run_alone("log")
    assert "printed\n" in capfd.readouterr().out
