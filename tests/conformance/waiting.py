"""Waiting for a condition with a deadline: what every test here does instead of sleeping.

A condition is asked again every few milliseconds; an answer that is true ends the wait and is
returned. What was waited for is said when the time runs out.
"""

import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

import anyio

T = TypeVar("T")

POLL_SECONDS = 0.05


@overload
async def eventually(
    what: str, condition: Callable[[], Awaitable[T | None]], *, seconds: float = ...
) -> T: ...
@overload
async def eventually(
    what: str, condition: Callable[[], T | None], *, seconds: float = ...
) -> T: ...
async def eventually(
    what: str, condition: Callable[[], object], *, seconds: float = 60.0
) -> object:
    """Wait until `condition()` is true, and return what it gave.

    Raises AssertionError with `what` and the last answer after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        found = await answer if inspect.isawaitable(answer) else answer
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}; the last answer was {found!r}")
        await anyio.sleep(POLL_SECONDS)


async def throughout(what: str, condition: Callable[[], object], *, seconds: float) -> None:
    """Assert that `condition()` stays true for `seconds`: that something does not happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition(), f"not throughout {seconds:g} s: {what}"
        await anyio.sleep(POLL_SECONDS)
