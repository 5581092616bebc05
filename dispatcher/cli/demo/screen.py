"""How a scene looks: 80 columns, at most 24 lines, no logs.

Pure: a scene in, something that rich can print out.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dispatcher.cli.demo.scene import CALLING, Mood, RoomRow, Scene, ServerState, WorkerRow
from dispatcher.cli.output import PHASE_STYLES

WIDTH = 80
ROOM_COLUMNS = 3

_MOOD_STYLES = {Mood.CALM: "cyan", Mood.ALARM: "bold red", Mood.GOOD: "bold green"}
_SERVER_STYLES = {
    ServerState.STARTING: "yellow",
    ServerState.UP: "bold green",
    ServerState.KILLED: "bold white on red",
}
_WORKER_STYLES = {"killed": "bold white on red", "cut off": "yellow", "ready": "green"}
_MARKS = {"": "·", "succeeded": "✓", "failed": "✗", "cancelled": "✗", "orphaned": "?"}
_RUNNING_MARK = "●"
_WAITING_MARK = "○"


def picture(scene: Scene) -> RenderableType:
    """Return the whole screen."""
    return Group(
        _server_line(scene),
        Panel(
            Text(scene.headline, style=_MOOD_STYLES[scene.mood]),
            width=WIDTH,
            border_style=_MOOD_STYLES[scene.mood].removeprefix("bold "),
        ),
        _rules(scene),
        _rooms(list(scene.rooms.values())),
        Text(),
        _workers(scene.workers.values()),
        Text(),
        _progress(scene),
    )


def _server_line(scene: Scene) -> RenderableType:
    line = Text.assemble(
        ("callboard demo", "bold"),
        "   server ",
        (f" {scene.server.value} ", _SERVER_STYLES[scene.server]),
        (f"  pid {scene.server_pid}  {scene.url}", "dim"),
    )
    grid = Table.grid(expand=False)
    grid.add_column(width=WIDTH - 8)
    grid.add_column(width=8, justify="right")
    grid.add_row(line, Text(f"{scene.elapsed_seconds:.1f} s"))
    return grid


def _rules(scene: Scene) -> RenderableType:
    over = sum(row.is_over for row in scene.rooms.values())
    line = Text().append("rule ", "bold")
    for name, says in scene.rules.items():
        line.append(f"{name}: {says}  ", "cyan")
    if not scene.rules:
        line.append("none so far  ", "yellow")
    line.append("matched ").append(f"{scene.matched}", "bold green").append(" rooms\n")
    line.append(f"{scene.rooms_there} rooms with {scene.people} people, {over} over")
    line.append(f"; {scene.reports} events reported\n")
    return line


def _rooms(rows: list[RoomRow]) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    height = -(-len(rows) // ROOM_COLUMNS)
    for index in range(height):
        grid.add_row(*(_room(row) for row in rows[index::height]))
    return grid


def _room(row: RoomRow) -> Text:
    style = "yellow" if row.phase == CALLING else PHASE_STYLES.get(row.phase, "dim")
    mark = _MARKS.get(row.phase, _WAITING_MARK if not row.worker else _RUNNING_MARK)
    cell = Text.assemble((f"{row.name} ", "dim" if row.phase == "succeeded" else ""))
    phase = "room over" if row.is_over else row.phase or "not yet"
    cell.append(f"{mark} {phase:<9}", "dim" if row.is_over else style)
    cell.append(f" {row.worker or '':<2}")
    cell.append(f" {f'#{row.attempt}' if row.attempt > 1 else '':<2}", "bold magenta")
    return cell


def _workers(rows: Iterable[WorkerRow]) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    cells: list[RenderableType] = []
    for row in rows:
        mark = "✗" if row.state == "killed" else "■"
        slots = mark * row.running + "□" * max(0, row.capacity - row.running)
        cells.append(
            Text.assemble(
                (f"{row.name} ", "bold"),
                (f"{row.state}\n", _WORKER_STYLES.get(row.state, "dim")),
                (f"{slots}", "red" if row.state == "killed" else "cyan"),
                f" {row.finished} done\n",
                (f"pid {row.pid}", "dim"),
            )
        )
    if cells:
        grid.add_row(*cells)
    return grid


def _progress(scene: Scene) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_row(
        ProgressBar(
            total=len(scene.rooms), completed=scene.ended, width=30, complete_style="green"
        ),
        Text.assemble(
            (f"{scene.ended}", "bold green"),
            f"/{len(scene.rooms)} ended  ",
            (f"{scene.held}", "bold cyan"),
            " run  ",
            (f"{scene.waiting}", "bold yellow"),
            " wait  ",
            (f"{scene.count(frozenset({'orphaned'}))}", "bold magenta"),
            " orphaned",
        ),
    )
    return grid


# rich's own form, without the fonts that it has a reader's browser fetch from elsewhere.
_SVG_FORM = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
    <style>
    .{unique_id}-matrix {{
        font-family: "Fira Code", "DejaVu Sans Mono", Menlo, Consolas, monospace;
        font-size: {char_height}px;
        line-height: {line_height}px;
        font-variant-east-asian: full-width;
    }}
    .{unique_id}-title {{
        font-size: 18px;
        font-weight: bold;
        font-family: arial;
    }}
    {styles}
    </style>
    <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
    </defs>
    {chrome}
    <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
    </g>
</svg>
"""


def save_svg(frame: RenderableType, path: Path) -> None:
    """Write the screen as an SVG."""
    console = Console(
        record=True,
        width=WIDTH + 2,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    console.print(frame)
    path.write_text(
        console.export_svg(title="callboard demo", code_format=_SVG_FORM, unique_id="demo"),
        encoding="utf-8",
    )
