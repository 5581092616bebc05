"""Things by name that files describe and a command applies: rules, and room configurations.

All files are read, and no name may be in two of them, before the first thing is sent. What the
server refuses ends the command with 1; what was applied before it stays, and is told.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import typer

from dispatcher.cli.blocks import print_table
from dispatcher.cli.failures import CommandFailed, sentence
from dispatcher.cli.output import print_json
from protocol.errors import ConfigError, TwirpError

STDIN = "-"
NAMES_SHOWN_MAX = 10

FilesOption = Annotated[
    list[str],
    typer.Option("--file", "-f", metavar="FILE", help="YAML; - is stdin. May be repeated."),
]


class Named(Protocol):
    """What a file describes."""

    @property
    def name(self) -> str:
        """What it is known by."""


Thing = TypeVar("Thing", bound=Named)


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of one: created, changed or unchanged; its version, where such things have one."""

    name: str
    outcome: str
    version: int | None = None

    @property
    def document(self) -> dict[str, object]:
        """It as JSON."""
        told: dict[str, object] = {"name": self.name, "outcome": self.outcome}
        return told if self.version is None else {**told, "version": self.version}


def read_files(
    files: Iterable[str],
    noun: str,
    bytes_max: int,
    parse: Callable[[bytes, str], Iterable[Thing]],
    load: Callable[[Path], Iterable[Thing]],
) -> list[tuple[str, Thing]]:
    """Read what all files describe, each with the file that it is from. Raises ConfigError.

    `parse` takes what stdin has, at most one byte more than `bytes_max`, and a name for it.
    """
    found: list[tuple[str, Thing]] = []
    for name in files:
        if name == STDIN:
            source = "stdin"
            things = parse(sys.stdin.buffer.read(bytes_max + 1), source)
        else:
            source = name
            things = load(Path(name))
        found += [(source, thing) for thing in things]
    first: dict[str, str] = {}
    for source, thing in found:
        if thing.name in first:
            raise ConfigError(
                f"{source}: there is a {noun} {thing.name!r} in {first[thing.name]} too"
            )
        first[thing.name] = source
    return found


async def apply_all(
    wanted: Sequence[tuple[str, Thing]],
    apply: Callable[[Thing], Awaitable[Applied]],
) -> tuple[list[Applied], CommandFailed | None]:
    """Apply one after the other; return what came of each, and why it ended early."""
    done: list[Applied] = []
    for place, (source, thing) in enumerate(wanted):
        try:
            done.append(await apply(thing))
        except TwirpError as error:
            told = f"{source}: {thing.name}: {sentence(error)}"
            if len(wanted) > 1:
                names = [each.name for _, each in wanted]
                told += (
                    f"; applied: {_listed(names[:place])}; not applied: {_listed(names[place:])}"
                )
            return done, CommandFailed(told)
    return done, None


def show_applied(
    noun: str, field: str, done: Sequence[Applied], failure: CommandFailed | None, as_json: bool
) -> None:
    """Show what came of each, and raise why it ended early. `field` is the document's."""
    if as_json:
        print_json({field: [each.document for each in done]})
    elif done:
        has_versions = any(each.version is not None for each in done)
        columns = [noun, "outcome"] + ["version"] * has_versions
        rows = [[each.name, each.outcome] + [str(each.version)] * has_versions for each in done]
        print_table(columns, rows, "")
    if failure is not None:
        raise failure


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMES_SHOWN_MAX
    shown = ", ".join(names[:NAMES_SHOWN_MAX]) or "none"
    return f"{shown} and {more} more" if more > 0 else shown
