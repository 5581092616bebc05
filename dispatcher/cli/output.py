"""How results look: tables on a terminal, plain columns in a pipe, JSON where it was asked for.

Times are for people in tables ("3 s ago") and exact in JSON. Text that came from a peer is shown
without control characters, so that a room's name cannot steer the terminal.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dispatcher.cli.tables import GAP_WIDTH, column_widths, parted

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from rich.console import Console

    from protocol import wire_pb2

NS_PER_SECOND = 1_000_000_000
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

# The colour of a phase, on a terminal.
PHASE_STYLES: Mapping[str, str] = {
    "delayed": "dim",
    "queued": "yellow",
    "offered": "yellow",
    "assigned": "cyan",
    "running": "bold cyan",
    "orphaned": "bold magenta",
    "succeeded": "green",
    "failed": "bold red",
    "cancelled": "dim",
    "available": "green",
    "full": "yellow",
    "backed_off": "yellow",
    "draining": "magenta",
    "gone": "bold red",
}


def print_json(value: object) -> None:
    """Write one JSON document to stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def as_json(message: Message) -> dict[str, Any]:
    """Return a message as the API's JSON: snake_case, defaults there, 64-bit numbers as strings."""
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    empty: str,
    phase: str = "",
    spare: Sequence[str] = (),
) -> None:
    """Write rows under their columns; the cells of column `phase` are coloured on a terminal.

    A terminal that is too narrow for all of them lacks columns of `spare`, the least important
    first, and stderr names them. In a pipe the cells are separated by tabs, without colour and
    without cutting. `empty` is said on stderr where there are no rows.
    """
    if not sys.stdout.isatty():
        for row in [columns, *rows]:
            sys.stdout.write("\t".join(printable(cell) for cell in row) + "\n")
    elif rows:
        from rich.console import Console

        console = Console()
        left_out = print_table_on(console, columns, rows, phase, spare)
        if left_out:
            sys.stderr.write(
                f"too narrow for {', '.join(left_out)}: widen the terminal, or use --json\n"
            )
    if not rows:
        sys.stderr.write(empty + "\n")


def print_table_on(
    console: Console,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    phase: str,
    spare: Sequence[str],
) -> Sequence[str]:
    """Write a table on a terminal; return the names of the columns that it has no room for."""
    from rich.table import Table
    from rich.text import Text

    cells = [[parted(printable(cell)) for cell in row] for row in rows]
    widths = column_widths(columns, cells, console.width, spare)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, width in widths.items():
        table.add_column(name.upper(), width=width, overflow="fold")
    for row in cells:
        texts = {
            name: Text(cell, style=PHASE_STYLES.get(cell, "") if name == phase else "")
            for name, cell in zip(columns, row, strict=True)
        }
        table.add_row(*(texts[name] for name in widths))
    # Over the terminal's width it is the terminal that wraps, and copies an id in one piece.
    total = sum(widths.values()) + GAP_WIDTH * (len(widths) - 1)
    console.width = max(console.width, total)
    console.print(table)
    return [name for name in columns if name not in widths]


def hint_at_more(shown: int) -> None:
    """Say on stderr that a list stopped at its limit, for `--limit`."""
    sys.stderr.write(f"only the newest {shown} are shown, there are more: --limit\n")


def print_fields(fields: Mapping[str, str]) -> None:
    """Write one thing's fields, a line each."""
    width = max(len(name) for name in fields) + 2
    for name, value in fields.items():
        sys.stdout.write(f"{name + ':':<{width}}{printable(value)}\n")


def printable(text: str) -> str:
    """Return the text on one line, with anything that is not printable made visible."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text.encode("utf-8", "backslashreplace").decode()
    )


def ago(at_ns: int, now_ns: int | None = None) -> str:
    """Return how long ago `at_ns` was, or how far ahead it is; "-" for 0, which is never."""
    if at_ns <= 0:
        return "-"
    passed = ((time.time_ns() if now_ns is None else now_ns) - at_ns) / NS_PER_SECOND
    return f"{span(passed)} ago" if passed >= 0 else f"in {span(-passed)}"


def job_type_name(number: wire_pb2.JobType) -> str:
    """Return what a job type is called, as in files and options; its number for a new one."""
    from protocol.wire_pb2 import JobType

    try:
        return JobType.Name(number).removeprefix("JT_").lower()
    except ValueError:
        return str(number)


def span(seconds: float) -> str:
    """Return a length of time in one unit that fits: "0.4 s", "12 s", "5 min", "3 h", "9 d"."""
    if seconds < 1:
        return f"{seconds:.1f} s"
    for limit, unit, name in ((_MINUTE, 1, "s"), (_HOUR, _MINUTE, "min"), (2 * _DAY, _HOUR, "h")):
        if seconds < limit:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds // _DAY)} d"


def clock(at_ns: int) -> str:
    """Return a moment in local time, to the millisecond; "-" for 0."""
    if at_ns <= 0:
        return "-"
    milliseconds = at_ns // 1_000_000 % 1000
    local = time.localtime(at_ns // NS_PER_SECOND)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', local)}.{milliseconds:03d}"
