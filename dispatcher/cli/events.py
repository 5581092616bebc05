"""`callboard events`: each durable move of each job, as it was, and with --follow as it happens."""

from __future__ import annotations

import json as json_text
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dispatcher.cli import INTERRUPTED
from dispatcher.cli.connection import (
    RETRY_SECONDS_MAX,
    DevOption,
    KeyOption,
    SecretOption,
    UrlOption,
    credentials,
)
from dispatcher.cli.output import PHASE_STYLES, clock, printable

if TYPE_CHECKING:
    from rich.console import Console

    from worker_sdk.client import JobEvent

# Who follows waits for a server that is being restarted.
FOLLOW_RETRY_SECONDS_MAX = 60.0
# The kind of a job's first event.
CREATED = "created"

_COLUMNS = ("at", "seq", "event", "phase", "job", "worker", "note")
_WIDTHS = (23, 8, 20, 9, 25, 25, 0)
# A terminal that has room for these and for some of the note.
_WIDE = 150
_TEXT_WIDTH_MIN = 25


def events(
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Go on with what happens.", show_default=False),
    ] = False,
    after: Annotated[
        int | None,
        typer.Option(
            "--after",
            metavar="N",
            min=0,
            help="Only events after number N. Without it: all that are kept, or with --follow what"
            " happens from now on.",
        ),
    ] = None,
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: Annotated[
        bool,
        typer.Option("--json", help="JSON, one event a line.", show_default=False),
    ] = False,
) -> None:
    """Show the events of all jobs, oldest first.

    --follow goes on with what happens, and outlasts a restart of the server.
    """
    import anyio

    from worker_sdk.client import DispatchClient
    from worker_sdk.errors import EventsGone

    found = credentials(url, api_key, api_secret, dev)

    async def show() -> None:
        output = _Output(json)
        async with DispatchClient(found.url, found.api_key, found.api_secret) as client:
            stream = client.events(
                0 if after is None and not follow else after,
                follow=follow,
                away_seconds_max=FOLLOW_RETRY_SECONDS_MAX if follow else RETRY_SECONDS_MAX,
            )
            while True:
                try:
                    event = await anext(stream, None)
                except EventsGone as gone:
                    sys.stderr.write(f"callboard: {gone.told}\n")
                    continue
                if event is None:
                    break
                output.write(event)
                if follow:
                    sys.stdout.flush()
        output.end()

    try:
        anyio.run(show)
    except KeyboardInterrupt:
        if not follow:
            raise
        raise typer.Exit(INTERRUPTED) from None  # how following ends, and nothing to tell


class _Output:
    """Writes events as they come: JSON, cells with tabs between them, or rows for people."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        # None: no terminal
        self._console: Console | None = None
        if not as_json and sys.stdout.isatty():
            from rich.console import Console

            self._console = Console()
        self._has_begun = False
        # of the row before, where rows are folded
        self._day = ""

    def write(self, event: JobEvent) -> None:
        """Write one event."""
        if self._as_json:
            self._has_begun = True
            sys.stdout.write(json_text.dumps(event.data, ensure_ascii=False) + "\n")
            return
        cells = _cells(event)
        style = PHASE_STYLES.get(cells[_COLUMNS.index("phase")], "")
        if self._console is not None and self._console.width < _WIDE:
            self._fold(self._console, cells, style)
            return
        self._begin()
        self._row(cells, style)

    def _fold(self, console: Console, cells: Sequence[str], style: str) -> None:
        """Write an event where a row has no room: what happened goes on below itself."""
        from rich.text import Text

        at, sequence, kind, _, job, *texts = cells
        day, _, time = at.partition(" ")
        if day != self._day:
            self._day = day
            console.print(Text(day, style="bold"))
        lead = Text(f"{time} {sequence:>7} {job} ")
        text = Text("  ".join([kind, *(text for text in texts if text != "-")]))
        text.stylize(style)
        self._has_begun = True
        for line in text.wrap(console, max(console.width - lead.cell_len, _TEXT_WIDTH_MIN)):
            line.rstrip()
            console.print(lead + line, soft_wrap=True)
            lead = Text(" " * lead.cell_len)

    def end(self) -> None:
        """Say that there were none, where that is so."""
        if not self._has_begun and not self._as_json:
            if self._console is None:
                self._begin()
            sys.stderr.write("no events\n")

    def _begin(self) -> None:
        # Not before there is something: what fails has one line, on stderr.
        if not self._has_begun:
            self._has_begun = True
            is_pipe = self._console is None
            self._row([name if is_pipe else name.upper() for name in _COLUMNS], "bold")

    def _row(self, cells: Sequence[str], style: str) -> None:
        if self._console is None:
            sys.stdout.write("\t".join(cells) + "\n")
            return
        from rich.text import Text

        padded = (f"{cell:<{width}}" for cell, width in zip(cells, _WIDTHS, strict=True))
        self._console.print(Text(" ".join(padded).rstrip(), style=style), soft_wrap=True)


def _cells(event: JobEvent) -> list[str]:
    texts = [text for text in (event.reason, event.error, event.detail) if text]
    if event.kind == CREATED and event.rule:
        texts.insert(0, f"by rule {event.rule}")
    note = "; ".join(texts)
    cells = (
        clock(event.at_ns),
        str(event.sequence),
        event.kind,
        # as the server has it: it may be newer than we are
        str(event.data.get("phase", "")).lower(),
        event.job_id,
        event.worker_id or "-",
        note or "-",
    )
    return [printable(cell) for cell in cells]
