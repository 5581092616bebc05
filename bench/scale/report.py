"""The report: scale.json with every sample, scale.md with tables and verdicts, scale.svg."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from bench.plot import bars_svg

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.scale.fleet import FleetSample
    from bench.scale.plan import Plan
    from bench.scale.queue import QueueSample

__all__ = ["Results", "write_report"]

# What this version must keep to.
FLEET_RATIO_MAX = 1.2
IDLE_CORES_MAX = 0.5
WORKER_BYTES_MAX = 40 * 1024
QUEUE_RATIO_MAX = 1.3
JOB_BYTES_MAX = 1024


@dataclass(slots=True)
class Results:
    """All samples of a run."""

    plan: Plan
    environment: dict[str, str]
    # By the number of workers.
    fleets: dict[int, list[FleetSample]] = field(default_factory=dict)
    queues: list[QueueSample] = field(default_factory=list)


def write_report(results: Results, folder: Path) -> str:
    """Write the report's files; return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    as_json = {
        "environment": results.environment,
        "plan": asdict(results.plan),
        "fleets": {str(n): [asdict(s) for s in v] for n, v in results.fleets.items()},
        "queues": [asdict(sample) for sample in results.queues],
    }
    (folder / "scale.json").write_text(json.dumps(as_json, indent=1) + "\n")
    page = _page(results)
    (folder / "scale.md").write_text(page)
    groups: dict[str, dict[str, float]] = {}
    if results.fleets:
        groups["CPU a job, net of idle connections (µs)"] = {
            f"{workers:,} workers": _middle([s.net_cpu_us_per_job for s in samples])
            for workers, samples in results.fleets.items()
        }
    if results.queues:
        groups["CPU of an enqueue (µs)"] = {
            f"{s.queued:,} queued": _middle([t.cpu_us_per_job for t in s.enqueues])
            for s in results.queues
        }
        groups["CPU of a claim and its job (µs)"] = {
            f"{s.queued:,} queued": _middle([t.cpu_us_per_job for t in s.claims])
            for s in results.queues
        }
    (folder / "scale.svg").write_text(bars_svg(groups, title="Large numbers beside small ones"))
    return page


def _page(results: Results) -> str:
    plan = results.plan
    lines = [
        "# Large numbers",
        "",
        "What `callboard serve` costs with many workers and with many queued jobs, beside few of them,",
        "in turns, in one run of `python -m bench.scale`. A number is the median of the rounds, with the",
        "least and the greatest in brackets; CPU is that of the server process with all its threads.",
        "Written by `bench/scale/report.py`; all samples are in scale.json.",
        "",
        "## What was to be shown",
        "",
        *("| | here | must be |", "|---|---|---|"),
        *_verdicts(results),
        "",
        "![as bars](scale.svg)",
    ]
    if results.fleets:
        lines += [
            *("", "## Connected workers", ""),
            f"Each reports its status every 2.5 s. {plan.rounds} rounds: idle for",
            f"{plan.idle_seconds:g} s, then {plan.load_seconds:g} s of a closed loop of 32 callers. A",
            "server of its own for each.",
            "",
            (
                "| workers | idle (cores) | memory a worker (KiB) | CPU a job, net (µs)"
                " | jobs a second | all connected in (s) |"
            ),
            "|---|---|---|---|---|---|",
        ]
        for workers, samples in results.fleets.items():
            lines.append(
                f"| {workers:,} | {_span([s.idle_cores for s in samples], 3)}"
                f" | {_span([s.rss_bytes_per_worker / 1024 for s in samples], 1)}"
                f" | {_span([s.net_cpu_us_per_job for s in samples])}"
                f" | {_span([s.jobs / s.elapsed_seconds for s in samples])}"
                f" | {_span([s.connect_seconds for s in samples], 1)} |"
            )
    if results.queues:
        lines += [
            *("", "## Queued jobs", ""),
            "All of one agent, each with 200 bytes of metadata and in a room of its own; two servers at",
            f"once. {plan.rounds} rounds: {plan.queue_batch:,} calls while no worker is there, then 20",
            "workers that take as many jobs from the front (after 0.5 s, in which a worker may claim its own).",
            "",
            (
                "| queued | CPU of an enqueue (µs) | CPU of a claim and its job (µs) | jobs taken a second, with the settle time"
                " | memory (MiB) | after the rounds | database (MiB) | idle (cores) | listens after (s)"
                " | has read the queue after, at most (s) |"
            ),
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        mib = 1024 * 1024
        for one in results.queues:
            lines.append(
                f"| {one.queued:,} | {_span([t.cpu_us_per_job for t in one.enqueues])}"
                f" | {_span([t.cpu_us_per_job for t in one.claims])}"
                f" | {_span([t.jobs / t.elapsed_seconds for t in one.claims])}"
                f" | {one.rss_bytes_started / mib:,.0f} | {one.rss_bytes_after / mib:,.0f}"
                f" | {one.database_bytes / mib:,.0f} | {one.idle_cores:.3f}"
                f" | {one.start_seconds:.1f} | {one.calm_seconds:.0f} |"
            )
    lines += ["", "## Measured on", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in results.environment.items()]
    lines += [f"| plan | {asdict(plan)} |", ""]
    return "\n".join(lines)


def _verdicts(results: Results) -> list[str]:
    rows: list[str] = []
    if len(results.fleets) == 2:
        (few, of_few), (many, of_many) = results.fleets.items()
        pairs = zip(of_many, of_few, strict=True)
        ratio = _middle([a.net_cpu_us_per_job / b.net_cpu_us_per_job for a, b in pairs])
        idle = _middle([sample.idle_cores for sample in of_many])
        kib = _middle([sample.rss_bytes_per_worker for sample in of_many]) / 1024
        rows += [
            _row(f"CPU a job, net: {many:,} workers by {few:,}", ratio, FLEET_RATIO_MAX),
            _row(f"idle cost of {many:,} workers (cores)", idle, IDLE_CORES_MAX),
            _row("memory of an idle worker (KiB)", kib, WORKER_BYTES_MAX / 1024),
        ]
    if len(results.queues) == 2:
        few_queue, many_queue = results.queues
        for what, above, below in (
            ("enqueue", many_queue.enqueues, few_queue.enqueues),
            ("claim", many_queue.claims, few_queue.claims),
        ):
            ratio = _middle(
                [a.cpu_us_per_job / b.cpu_us_per_job for a, b in zip(above, below, strict=True)]
            )
            name = f"CPU of {what}: {many_queue.queued:,} queued by {few_queue.queued:,}"
            rows.append(_row(name, ratio, QUEUE_RATIO_MAX))
        added = many_queue.queued - few_queue.queued
        each = (many_queue.rss_bytes_started - few_queue.rss_bytes_started) / added
        rows.append(_row("memory of a queued job (bytes)", each, JOB_BYTES_MAX))
    return rows


def _row(name: str, value: float, at_most: float) -> str:
    mark = "" if value <= at_most else " (missed)"
    return f"| {name} | **{value:,.2f}**{mark} | at most {at_most:,g} |"


def _middle(values: Sequence[float]) -> float:
    return statistics.median(values)


def _span(values: Sequence[float], digits: int = 0) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"
