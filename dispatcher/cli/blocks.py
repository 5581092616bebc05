"""What a command shows, as blocks below each other: tables, fields, lines of text.

A block is written twice over: `write` for a pipe (tabs, no colour, nothing cut, each row a line) and
`draw` for a terminal (as wide as that is, with colour unless NO_COLOR). Both return what is said
beside it, on stderr: that there is nothing, that a column had no room. `show` does either, once.

Left to others: how wide columns are (`tables`), what is shown again and again (`watching`).
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TextIO

from dispatcher.cli.output import PHASE_STYLES, printable
from dispatcher.cli.tables import GAP_WIDTH, column_widths, parted, shortened

if TYPE_CHECKING:
    from rich.console import Console


class Block(Protocol):
    """Something that is shown."""

    def write(self, out: TextIO) -> Sequence[str]:
        """Write it for a program; return what is to be said beside it."""

    def draw(self, console: Console) -> Sequence[str]:
        """Write it for a person at a terminal; return what is to be said beside it."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under their columns. `empty` is said where there are none.

    The cells of column `phase` are coloured. On a terminal that is too narrow, cells are cut, but
    fold in the columns of `folds`; then columns of `spare` are left out, the least important first.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    empty: str
    phase: str = ""
    spare: Sequence[str] = ()
    folds: Collection[str] = ()

    def write(self, out: TextIO) -> Sequence[str]:
        """Write a row a line, its cells between tabs."""
        out.writelines(
            "\t".join(printable(cell) for cell in row) + "\n" for row in [self.columns, *self.rows]
        )
        return () if self.rows else (self.empty,)

    def draw(self, console: Console) -> Sequence[str]:
        """Write a table that fits."""
        if not self.rows:
            return (self.empty,)
        from rich.table import Table as Drawn
        from rich.text import Text

        cells = [[parted(printable(cell)) for cell in row] for row in self.rows]
        widths = column_widths(self.columns, cells, console.width, self.spare, self.folds)
        drawn = Drawn(box=None, pad_edge=False, padding=(0, GAP_WIDTH, 0, 0), header_style="bold")
        for name, width in widths.items():
            drawn.add_column(name.upper(), width=width, overflow="fold")
        for row in cells:
            texts = {
                name: Text(
                    cell if name in self.folds else shortened(cell, widths.get(name, 0)),
                    style=PHASE_STYLES.get(cell, "") if name == self.phase else "",
                )
                for name, cell in zip(self.columns, row, strict=True)
            }
            drawn.add_row(*(texts[name] for name in widths))
        # Over the terminal's width it is the terminal that wraps, and copies an id in one piece.
        total = sum(widths.values()) + GAP_WIDTH * (len(widths) - 1)
        width, console.width = console.width, max(console.width, total)
        console.print(drawn)
        console.width = width
        left_out = [name for name in self.columns if name not in widths]
        return (f"too narrow for {', '.join(left_out)}",) if left_out else ()


@dataclass(frozen=True, slots=True)
class Fields:
    """One thing's fields, a line each; on a terminal a long one goes on below, under itself."""

    fields: Mapping[str, str]

    def write(self, out: TextIO) -> Sequence[str]:
        """Write a field a line."""
        width = self._name_width
        out.writelines(
            f"{name + ':':<{width}}{printable(value)}\n" for name, value in self.fields.items()
        )
        return ()

    def draw(self, console: Console) -> Sequence[str]:
        """Write the fields with their names in bold, phases in their colour."""
        from rich.text import Text

        width = self._name_width
        for name, value in self.fields.items():
            # Assembled: what is added to a bold text is bold too.
            label = Text.assemble((f"{name + ':':<{width}}", "bold"))
            text = Text(printable(value), style=PHASE_STYLES.get(value, ""))
            lines = text.wrap(console, max(console.width - width, 20))
            if any(len(word) > console.width - width for word in value.split()):
                # It is left to the terminal, which copies it in one piece.
                console.print(label + text, soft_wrap=True)
                continue
            for place, line in enumerate(lines):
                line.rstrip()
                console.print((label if place == 0 else Text(" " * width)) + line, soft_wrap=True)
        return ()

    @property
    def _name_width(self) -> int:
        return max(len(name) for name in self.fields) + 2


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of text, an empty one among them."""

    lines: Sequence[str]
    style: str = ""

    def write(self, out: TextIO) -> Sequence[str]:
        """Write the lines."""
        out.writelines(f"{printable(line)}\n" for line in self.lines)
        return ()

    def draw(self, console: Console) -> Sequence[str]:
        """Write the lines, folded between words."""
        from rich.text import Text

        for line in self.lines:
            console.print(Text(printable(line), style=self.style))
        return ()


GAP = Lines(("",))


@dataclass(frozen=True, slots=True)
class View:
    """What a command shows of an answer: blocks on stdout, `asides` on stderr."""

    blocks: Sequence[Block]
    asides: Sequence[str] = field(default=())


def show(view: View, said: Collection[str] = ()) -> Sequence[str]:
    """Write a view to stdout, for whoever reads it there; return its asides.

    They are written to stderr, but for those that were `said` already.
    """
    asides: list[str] = list(view.asides)
    if sys.stdout.isatty():
        from rich.console import Console

        console = Console(highlight=False)
        for block in view.blocks:
            asides += block.draw(console)
    else:
        for block in view.blocks:
            asides += block.write(sys.stdout)
    sys.stderr.writelines(f"{line}\n" for line in asides if line not in said)
    return asides


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    empty: str,
    phase: str = "",
    spare: Sequence[str] = (),
    folds: Collection[str] = (),
) -> None:
    """Show one table."""
    show(View([Table(columns, rows, empty, phase, spare, folds)]))


def print_fields(fields: Mapping[str, str]) -> None:
    """Show one thing's fields."""
    show(View([Fields(fields)]))
