"""Tries to connect that fail, over and over: which of them are a line of the log, and of what level."""

from __future__ import annotations

from typing import cast

import structlog
from structlog.testing import capture_logs
from structlog.typing import FilteringBoundLogger

from worker_sdk.connection import ConnectionEnded
from worker_sdk.connection_failures import ConnectionFailures


def _failures() -> ConnectionFailures:
    return ConnectionFailures("ws://server", cast("FilteringBoundLogger", structlog.get_logger()))


def _refused(status: int) -> ConnectionEnded:
    return ConnectionEnded(f"refused with HTTP {status}", status)


def test_a_server_that_drains_is_a_warning_the_first_second_fourth_and_eighth_time() -> None:
    failures = _failures()
    with capture_logs() as logs:
        for _ in range(13):
            failures.failed(_refused(503))
    assert [line["count"] for line in logs] == [1, 2, 4, 8]
    assert {(line["event"], line["log_level"]) for line in logs} == {
        ("connection_refused", "warning")
    }
    assert failures.total == 13


def test_another_refusal_is_an_error_that_no_count_of_others_hides() -> None:
    failures = _failures()
    with capture_logs() as logs:
        for status in (503, 503, 503, 401, 401, 401):
            failures.failed(_refused(status))
    told = [(line["status"], line["log_level"], line["count"]) for line in logs]
    assert told == [
        (503, "warning", 1),
        (503, "warning", 2),
        (401, "error", 1),
        (401, "error", 2),
    ]


def test_a_server_that_does_not_answer_is_told_thinly_and_anew_after_a_connection() -> None:
    failures = _failures()
    with capture_logs() as logs:
        for _ in range(3):
            failures.failed(ConnectionEnded("no answer in 5 s"))
        failures.forget()
        failures.failed(ConnectionEnded("no answer in 5 s"))
    assert [(line["event"], line["count"]) for line in logs] == [
        ("connection_failed", 1),
        ("connection_failed", 2),
        ("connection_failed", 1),
    ]
