"""The worker's catalogue of log events is whole: what is logged is in it, what is in it is logged."""

import ast
from collections.abc import Iterator
from pathlib import Path

from worker_sdk.log_events import LogEvent

PACKAGE = Path(__file__).parents[3] / "worker_sdk"
METHODS = {"debug", "info", "warning", "error", "exception", "critical"}
LOGGERS = {"log", "_log"}


def logged() -> Iterator[tuple[str, str]]:
    """Yield place and first argument of each call of a logger."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner = node.func.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if node.func.attr in METHODS and name in LOGGERS:
                yield f"{path.name}:{node.lineno}", ast.unparse(node.args[0])


def test_every_logged_event_is_a_name_of_the_catalogue() -> None:
    names = {f"LogEvent.{event.name}" for event in LogEvent}
    for place, argument in logged():
        assert argument in names, f"{place}: {argument}"


def test_every_event_of_the_catalogue_is_logged() -> None:
    used = {argument for _, argument in logged()}
    assert {f"LogEvent.{event.name}" for event in LogEvent} - used == set()
