"""The report: workers.json with every sample, workers.md with the tables, workers.svg.

A run of some figures leaves the others of an earlier run as they are: each says when it was measured,
on what.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench.plot import bars_svg
from bench.workers.figure import Figure
from bench.workers.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Measured", "read_report", "write_report"]

JSON_NAME, PAGE_NAME, PICTURE_NAME = "workers.json", "workers.md", "workers-bars.svg"

_INTRODUCTION = """\
# Our worker beside livekit-agents'

The same small agent on both SDKs (`bench/workers/programs/`), started as for production (`start`), on the
same `callboard serve` and machine. livekit-agents runs jobs in processes by default and can run them in
threads; ours runs them in its event loop by default, and in processes where told to: so there are four
columns, and the like ones are *tasks* beside *threads* and *processes* beside *processes*. Figures are
medians, with the least and the greatest in brackets. No job enters a room: what LiveKit's own client costs
in a job is in neither. `python -m bench.workers` measures all of it, and writes this page; all samples are
in [workers.json](workers.json), what was measured on what stands below each figure.
"""

_DIFFERENCES = """\
## What differs

- livekit-agents imports its whole framework for voice agents, with LiveKit's client for rooms, before its
  first job, and forks its processes from one that has it; it is what an agent of that framework will need.
  Ours imports that client where a job asks for a room.
- How many statuses of livekit-agents' are lost follows from the manners in which the line fails, which are
  equal in number: it is no estimate of how often that happens, but of what then becomes of a job.
- The machine is the server's and the load driver's, too, and at times ran other tests: load averages are
  told with each figure. What is compared is measured in turns.
- A task of our event loop is not isolated from its neighbours, and a thread hardly is; processes are.
- Callboard knows more of our worker than of livekit-agents': its capacity, its receipts, its epochs. On
  LiveKit's own server ours has no receipts either.
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure, and when it was measured on what."""

    figure: Figure
    environment: Mapping[str, str]


def write_report(measured: Mapping[str, Measured], folder: Path) -> str:
    """Write the report's files; return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JSON_NAME).write_text(json.dumps(_as_json(measured), indent=1) + "\n")
    page = _page(measured)
    (folder / PAGE_NAME).write_text(page)
    groups = {
        each.figure.title: {s.value: number for s, number in each.figure.bars.items()}
        for each in measured.values()
        if each.figure.bars
    }
    (folder / PICTURE_NAME).write_text(
        bars_svg(groups, title="Our worker beside livekit-agents' (less is better)")
    )
    return page


def read_report(folder: Path) -> dict[str, Measured]:
    """The figures of an earlier run; none where there is no report."""
    path = folder / JSON_NAME
    if not path.exists():
        return {}
    return {
        name: Measured(_figure(said["figure"]), said["environment"])
        for name, said in json.loads(path.read_text()).items()
    }


def _page(measured: Mapping[str, Measured]) -> str:
    lines = [_INTRODUCTION]
    lines.append(f"| | {' | '.join(_heading(subject) for subject in Subject)} |")
    lines.append(f"|{'---|' * (len(Subject) + 1)}")
    for each in measured.values():
        cells = [each.figure.cells.get(subject, "") for subject in Subject]
        lines.append(f"| {each.figure.title} | {' | '.join(cells)} |")
    lines += ["", f"![the figures as bars]({PICTURE_NAME})"]
    for each in measured.values():
        figure = each.figure
        lines += ["", f"## {figure.title[0].upper()}{figure.title[1:]}", ""]
        lines += [figure.how, "", figure.verdict]
        if figure.details:
            lines += ["", *figure.details]
        lines += ["", f"Measured: {', '.join(f'{k} {v}' for k, v in each.environment.items())}."]
    lines += ["", _DIFFERENCES]
    return "\n".join(lines)


def _heading(subject: Subject) -> str:
    return f"{subject.value} (default)" if subject.is_default else subject.value


def _as_json(measured: Mapping[str, Measured]) -> dict[str, object]:
    return {
        name: {
            "environment": dict(each.environment),
            "figure": {
                **asdict(each.figure),
                "cells": {subject.name: text for subject, text in each.figure.cells.items()},
                "bars": {subject.name: number for subject, number in each.figure.bars.items()},
            },
        }
        for name, each in measured.items()
    }


def _figure(said: dict[str, Any]) -> Figure:
    return Figure(
        **{
            **said,
            "cells": {Subject[name]: text for name, text in said["cells"].items()},
            "bars": {Subject[name]: number for name, number in said["bars"].items()},
        }
    )
