"""An answer of the server, shown once, or again and again until Ctrl-C (`--watch`).

On a terminal each look is drawn in place, on the terminal's other screen; the last one stays below
the command when it ends. In a pipe each look follows the one before, after an empty line, and as JSON
each is one document on a line of its own. A server that goes away is waited for, which is said; one
that was never there is a failure as ever.

Ends with 130 after Ctrl-C, with 0 when there is nothing more to wait for.

Left to others: what is shown (`blocks`), how the server is found (`connection`).
"""

from __future__ import annotations

import io
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Generic, TypeVar

import typer

from dispatcher.cli.blocks import View, show
from dispatcher.cli.connection import client_of, credentials
from dispatcher.cli.failures import sentence
from dispatcher.cli.output import clock, print_json, print_json_line, span
from protocol.errors import CallboardError, TwirpCode, TwirpError

if TYPE_CHECKING:
    from worker_sdk.client import DispatchClient
    from worker_sdk.credentials import Credentials

T = TypeVar("T")

INTERVAL_SECONDS = 2.0
INTERVAL_SECONDS_MIN = 0.1
# Exit code of what a signal ended, less its number.
SIGNALLED = 128

WatchOption = Annotated[
    bool,
    typer.Option(
        "--watch", "-w", help="Show it again and again, until Ctrl-C.", show_default=False
    ),
]
IntervalOption = Annotated[
    float,
    typer.Option(
        "--interval",
        metavar="SECONDS",
        min=INTERVAL_SECONDS_MIN,
        help="How long --watch waits between two looks.",
    ),
]

# What a server says that is on its way out, or not quite there.
_PASSING = (TwirpCode.UNAVAILABLE, TwirpCode.DEADLINE_EXCEEDED, TwirpCode.RESOURCE_EXHAUSTED)

_OTHER_SCREEN, _OWN_SCREEN = "\x1b[?1049h\x1b[?7l\x1b[?25l", "\x1b[?25h\x1b[?7h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[2K", "\r\n\x1b[J"


@dataclass(frozen=True, slots=True)
class Shown(Generic[T]):
    """How an answer is got, and what it looks like; `is_over` says that it will not change."""

    call: Callable[[DispatchClient], Awaitable[T]]
    view: Callable[[T], View]
    document: Callable[[T], object]
    is_over: Callable[[T], bool] = lambda _: False


@dataclass(frozen=True, slots=True)
class Manner:
    """As JSON or not, and how many seconds apart; None: once."""

    as_json: bool
    interval_seconds: float | None = None


def present(
    shown: Shown[T],
    manner: Manner,
    url: str | None,
    api_key: str | None,
    api_secret: str | None,
    dev: bool,
) -> None:
    """Ask the server and show what it answers, once or again and again."""
    import anyio

    server = credentials(url, api_key, api_secret, dev)
    if manner.interval_seconds is None:
        answer = anyio.run(_once, server, shown.call)
        view = shown.view(answer)
        if manner.as_json:
            print_json(shown.document(answer))
            view = View((), view.asides)
        show(view)
        return
    screen: _Output[T]
    if manner.as_json or not sys.stdout.isatty():
        screen = _Stream(shown, manner.as_json)
    else:
        screen = _Screen(shown, manner.interval_seconds)
    code = anyio.run(_again_and_again, server, shown, screen, manner.interval_seconds)
    if code:
        raise typer.Exit(code)


async def _once(server: Credentials, call: Callable[[DispatchClient], Awaitable[T]]) -> T:
    async with client_of(server) as client:
        return await call(client)


async def _again_and_again(
    server: Credentials, shown: Shown[T], screen: _Output[T], interval_seconds: float
) -> int:
    """Look until a signal comes or it is over; return the exit code."""
    import anyio

    code = 0
    failures: list[CallboardError] = []
    changed = [anyio.Event()]
    ends, resized = [signal.SIGINT, signal.SIGTERM], []
    if sys.platform != "win32":
        ends.append(signal.SIGHUP)
        resized.append(signal.SIGWINCH)

    async def heed_signals() -> None:
        nonlocal code
        with anyio.open_signal_receiver(*ends, *resized) as received:
            async for number in received:
                if number in ends:
                    code = SIGNALLED + number
                    tasks.cancel_scope.cancel()
                changed[0].set()

    async def look() -> None:
        async with client_of(server) as client:
            while True:
                try:
                    answer = await shown.call(client)
                except CallboardError as error:
                    if not (screen.has_shown and _may_pass(error)):
                        failures.append(error)
                        return
                    screen.lost(error)
                else:
                    screen.answered(answer)
                    if shown.is_over(answer):
                        return
                # A terminal that changes its size is drawn anew at once.
                until = anyio.current_time() + interval_seconds
                while anyio.current_time() < until:
                    with anyio.move_on_at(until):
                        await changed[0].wait()
                        changed[0] = anyio.Event()
                        screen.redraw()

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(heed_signals)
            await look()
            tasks.cancel_scope.cancel()
    finally:
        screen.end()
    if failures:
        raise failures[0]
    return code


def _may_pass(error: CallboardError) -> bool:
    """May the server answer again by itself?"""
    return error.retryable or (isinstance(error, TwirpError) and error.code in _PASSING)


class _Output(Generic[T]):
    """Where looks go."""

    has_shown = False

    def answered(self, answer: T) -> None:
        """The server has answered."""
        raise NotImplementedError

    def lost(self, error: CallboardError) -> None:
        """The server does not answer, though it did."""
        raise NotImplementedError

    def redraw(self) -> None:
        """What is shown has to be shown anew."""

    def end(self) -> None:
        """There is nothing more to show."""


class _Stream(_Output[T]):
    """Looks one after the other, for a program."""

    def __init__(self, shown: Shown[T], as_json: bool) -> None:
        self._shown = shown
        self._as_json = as_json
        self._is_lost = False
        # Beside the look before: it is not said with each look again.
        self._said: Sequence[str] = ()

    def answered(self, answer: T) -> None:
        if self._is_lost:
            self._is_lost = False
            _say("the server answers again")
        if self._as_json:
            print_json_line(self._shown.document(answer))
        else:
            if self.has_shown:
                sys.stdout.write("\n")
            self._said = show(self._shown.view(answer), self._said)
            sys.stdout.flush()
        self.has_shown = True

    def lost(self, error: CallboardError) -> None:
        if not self._is_lost:
            self._is_lost = True
            _say(f"{sentence(error)}; waiting for it")


class _Screen(_Output[T]):
    """The last look, on the terminal's other screen."""

    def __init__(self, shown: Shown[T], interval_seconds: float) -> None:
        self._shown = shown
        self._interval_seconds = interval_seconds
        self._answer: T | None = None
        self._answered_ns = 0
        self._lost_ns = 0
        self._lost_told = ""

    def answered(self, answer: T) -> None:
        if not self.has_shown:
            self.has_shown = True
            sys.stdout.write(_OTHER_SCREEN)
        self._answer = answer
        self._answered_ns = time.time_ns()
        self._lost_told = ""
        self.redraw()

    def lost(self, error: CallboardError) -> None:
        if not self._lost_told:
            self._lost_ns = time.time_ns()
        self._lost_told = sentence(error)
        self.redraw()

    def redraw(self) -> None:
        if self._answer is None:
            return
        size = shutil.get_terminal_size()
        lines = self._lines(self._answer, size.columns)
        room = size.lines - 1
        if len(lines) > room:
            lines = [*lines[: room - 1], f"... {len(lines) - room + 1} more lines"]
        # Each line is cleared before it is written: after it, that would take its last character.
        sys.stdout.write(_HOME + "\r\n".join(_CLEAR_LINE + line for line in lines) + _CLEAR_BELOW)
        sys.stdout.flush()

    def end(self) -> None:
        if not self.has_shown:
            return
        sys.stdout.write(_OWN_SCREEN)
        sys.stdout.flush()
        if self._answer is not None:
            show(self._shown.view(self._answer))

    def _lines(self, answer: T, columns: int) -> list[str]:
        from rich.console import Console
        from rich.text import Text

        out = io.StringIO()
        console = Console(file=out, force_terminal=True, width=columns, highlight=False)
        at = clock(self._answered_ns).split()[1][:8]
        if self._lost_told:
            passed = span((time.time_ns() - self._lost_ns) / 1e9)
            console.print(
                Text(
                    f"{self._lost_told}; waiting for {passed}, so it was at {at}", style="bold red"
                )
            )
        else:
            told = f"{at}, every {self._interval_seconds:g} s; Ctrl-C ends it"
            console.print(Text(told, style="dim"))
        view = self._shown.view(answer)
        asides = list(view.asides)
        for block in view.blocks:
            asides += block.draw(console)
        for line in asides:
            console.print(Text(line, style="dim"))
        return out.getvalue().rstrip("\n").split("\n")


def _say(text: str) -> None:
    sys.stderr.write(f"callboard: {text}\n")
