"""Measure and report: `python -m bench.workers [--quick] [--figures NAMES] [--output FOLDER]`."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from bench.arguments import add_names, parser_of
from bench.workers.figure import FULL, QUICK, Figure, Plan
from bench.workers.figures import (
    exits,
    first_job,
    idle_memory,
    job_cap,
    job_overhead,
    statuses,
)
from bench.workers.report import Measured, read_report, write_report
from bench.workers.stage import Stage, staged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

FIGURES: Mapping[str, Callable[[Stage, Plan], Awaitable[Figure]]] = {
    "idle_memory": idle_memory.measure,
    "first_job": first_job.measure,
    "job_overhead": job_overhead.measure,
    "job_cap": job_cap.measure,
    "statuses": statuses.measure,
    "exits": exits.measure,
}
_PACKAGES = ("livekit-agents", "livekit", "anyio", "websockets", "uvloop", "protobuf")


def main() -> None:
    """Measure the figures that are asked for, and write the report with those of earlier runs."""
    parser = arguments()
    given = parser.parse_args()
    names = given.figures.split(",")
    if unknown := set(names) - set(FIGURES):
        parser.error(
            f"no such figures: {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}"
        )
    plan = QUICK if given.quick else FULL
    with tempfile.TemporaryDirectory(prefix="callboard-workers-") as folder:
        new = anyio.run(_measure, names, plan, Path(folder), backend_options={"use_uvloop": True})
    all_measured = {**read_report(given.output), **new}
    ordered = {name: all_measured[name] for name in FIGURES if name in all_measured}
    print(write_report(ordered, given.output))


def arguments() -> argparse.ArgumentParser:
    """What may be typed."""
    parser = parser_of("bench.workers", __doc__)
    add_names(parser, "--figures", FIGURES)
    return parser


async def _measure(names: Sequence[str], plan: Plan, folder: Path) -> dict[str, Measured]:
    measured: dict[str, Measured] = {}
    for name in names:
        environment = _environment(plan)
        began_at = time.monotonic()
        # A server of its own: what one figure leaves in it costs no other.
        async with staged(folder / name) as stage:
            figure = await FIGURES[name](stage, plan)
        environment["took"] = f"{time.monotonic() - began_at:.0f} s"
        environment["load average after"] = _load_average()
        measured[name] = Measured(figure, environment)
        cells = ", ".join(f"{subject.value}: {text}" for subject, text in figure.cells.items())
        sys.stderr.write(f"{figure.title}: {cells} [{environment['took']}]\n")
    return measured


def _environment(plan: Plan) -> dict[str, str]:
    return {
        "commit": subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
        ).stdout.strip(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "packages": " ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES),
        "plan": "quick" if plan is QUICK else "full",
        "load average before": _load_average(),
    }


def _load_average() -> str:
    return " ".join(f"{load:.2f}" for load in os.getloadavg())


if __name__ == "__main__":
    main()
