"""Logs: one catalogue of names, no secrets, and a form for whoever reads them."""

import ast
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from dispatcher.config import LogFormat, LogLevel
from dispatcher.logs import EVENTS, REDACTED, catalogue_page, configure_logs

ROOT = Path(__file__).parents[3]
METHODS = {"debug", "info", "warning", "error", "exception", "critical"}
LOGGERS = {"log", "_log", "logger", "_logger"}
# Said by the catalogue's own module for what libraries say.
NAMED_IN_PASSING = {"library_log"}


def logged_names() -> Iterator[tuple[str, ast.expr]]:
    """Yield place and first argument of each call of a logger in the server's source."""
    for path in sorted((ROOT / "dispatcher").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner = node.func.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if node.func.attr in METHODS and name in LOGGERS:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.args[0]


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield io.StringIO()
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_every_logged_event_is_a_constant_of_the_catalogue() -> None:
    for place, argument in logged_names():
        assert isinstance(argument, ast.Constant), f"{place}: the event's name is no constant"
        assert argument.value in EVENTS, f"{place}: {argument.value!r} is not in the catalogue"


def test_every_event_of_the_catalogue_is_logged_somewhere() -> None:
    logged = {
        argument.value for _, argument in logged_names() if isinstance(argument, ast.Constant)
    }
    assert set(EVENTS) - logged - NAMED_IN_PASSING == set()


def test_every_event_has_a_snake_case_name_and_a_sentence() -> None:
    for name, sentence in EVENTS.items():
        assert name.replace("_", "").isalnum(), name
        assert name == name.lower(), name
        assert sentence.endswith("."), name


def test_the_page_of_events_is_the_catalogue() -> None:
    page = (ROOT / "docs" / "log-events.md").read_text()
    assert page == catalogue_page(), "write it anew: python -m dispatcher.logs > docs/log-events.md"


def test_a_line_for_machines_is_json_with_the_bound_ids(out: io.StringIO) -> None:
    configure_logs(LogLevel.INFO, LogFormat.AUTO, out)
    structlog.get_logger().bind(worker_id="AW_1").info("library_log", job_id="AJ_2")
    line = json.loads(out.getvalue())
    assert (line["event"], line["level"]) == ("library_log", "info")
    assert (line["worker_id"], line["job_id"]) == ("AW_1", "AJ_2")


def test_less_important_events_are_left_out(out: io.StringIO) -> None:
    configure_logs(LogLevel.WARNING, LogFormat.JSON, out)
    structlog.get_logger().info("library_log")
    assert out.getvalue() == ""


@pytest.mark.parametrize("form", [LogFormat.HUMAN, LogFormat.JSON])
@pytest.mark.parametrize(
    "field",
    [
        {"token": "hushhush"},
        {"api_secret": "hushhush"},
        {"nested": {"headers": [{"Authorization": "hushhush"}]}},
        {"url": "ws://user:hushhush@host/agent"},
        {"url": "/agent?access_token=hushhush"},
        {"text": "Bearer hushhush"},
        {"text": "got eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJkZXYifQ.hushhush back"},
        {"body": b"hushhush"},
    ],
    ids=str,
)
def test_a_secret_is_replaced_whatever_carries_it(
    out: io.StringIO, form: LogFormat, field: dict[str, object]
) -> None:
    configure_logs(LogLevel.INFO, form, out)
    structlog.get_logger().info("library_log", **field)
    assert "hushhush" not in out.getvalue()
    assert REDACTED in out.getvalue() or "bytes>" in out.getvalue()


@pytest.mark.parametrize("form", [LogFormat.HUMAN, LogFormat.JSON])
def test_a_traceback_shows_no_local_variables_and_no_token(
    out: io.StringIO, form: LogFormat
) -> None:
    configure_logs(LogLevel.INFO, form, out)
    local_secret = "hushhush"
    try:
        raise ValueError("Bearer " + local_secret)
    except ValueError:
        structlog.get_logger().exception("library_log")
    assert "ValueError" in out.getvalue()
    assert "hushhush" not in out.getvalue()


def test_a_library_that_warns_comes_along_under_a_constant_name(out: io.StringIO) -> None:
    configure_logs(LogLevel.INFO, LogFormat.JSON, out)
    logging.getLogger("somebody").warning("odd: %s", "Bearer hushhush")
    logging.getLogger("somebody").info("not this")
    line = json.loads(out.getvalue())
    assert (line["event"], line["logger"]) == ("library_log", "somebody")
    assert line["message"] == f"odd: Bearer {REDACTED}"
