"""How single things are written: times for people ("3 s ago"), text of peers, JSON.

Times are exact in JSON. Text that came from a peer is shown without control characters, so that a
room's name cannot steer the terminal.

Left to others: how they stand together, on a terminal and in a pipe (`blocks`).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.message import Message

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
    "stale": "bold red",
    "gone": "bold red",
    "out_of_service": "magenta",
}


def print_json(value: object) -> None:
    """Write one JSON document to stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_json_line(value: object) -> None:
    """Write one JSON document to stdout, as one line of several."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def as_json(message: Message) -> dict[str, Any]:
    """Return a message as the API's JSON: snake_case, defaults there, 64-bit numbers as strings."""
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def hint_at_more(shown: int, is_cut: bool) -> tuple[str, ...]:
    """Return what is said beside a list that stopped at its limit."""
    return (
        (f"only the first {shown} are shown, there are more: --limit N, or --all",)
        if is_cut
        else ()
    )


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


def lasted(nanoseconds: int) -> str:
    """Return a length of time to some three digits: "7 ms", "5.2 s", "12 min 4 s", "3 h 20 min"."""
    if nanoseconds < NS_PER_SECOND:
        return f"{max(nanoseconds, 0) // 1_000_000} ms"
    seconds = nanoseconds / NS_PER_SECOND
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for limit, unit, name, part, part_name in (
        (_HOUR, _MINUTE, "min", 1, "s"),
        (2 * _DAY, _HOUR, "h", _MINUTE, "min"),
    ):
        if whole < limit:
            return f"{whole // unit} {name} {whole % unit // part} {part_name}"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def clock(at_ns: int) -> str:
    """Return a moment in local time, to the millisecond; "-" for 0."""
    if at_ns <= 0:
        return "-"
    milliseconds = at_ns // 1_000_000 % 1000
    local = time.localtime(at_ns // NS_PER_SECOND)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', local)}.{milliseconds:03d}"
