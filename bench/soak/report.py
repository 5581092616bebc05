"""The report: soak.json with every look, soak.md with the verdict and the minutes, soak.svg.

What grows is judged by the line of least squares through the last minutes: how much it rises over them,
as a part of its mean. One look at the end would judge a moment.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict
from typing import TYPE_CHECKING

from bench.plot import lines_svg

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.soak.measure import Look, Minute, Results

__all__ = ["growth", "write_report"]

# Over the judged minutes.
MEMORY_GROWTH_MAX = 0.02
LATENCY_GROWTH_MAX = 0.10
DATABASE_GROWTH_MAX = 0.02

_MIB = 1024 * 1024


def growth(points: Sequence[tuple[float, float]]) -> float:
    """How much the line through the points (x, y) rises from the first x to the last, by the mean y."""
    slope = statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope
    mean = statistics.fmean(y for _, y in points)
    return slope * (points[-1][0] - points[0][0]) / mean if mean else 0.0


def write_report(results: Results, folder: Path) -> str:
    """Write the report's files; return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "soak.json").write_text(json.dumps(asdict(results), indent=1) + "\n")
    page = _page(results)
    (folder / "soak.md").write_text(page)
    looks = results.looks
    lines = {
        "memory (MiB)": [(look.at_minute, look.rss_bytes / _MIB) for look in looks],
        "database (MiB)": [(look.at_minute, look.database_bytes / _MIB) for look in looks],
        "its log (MiB)": [(look.at_minute, look.wal_bytes / _MIB) for look in looks],
        "p99 (ms)": [(minute.number - 0.5, minute.start_ms[1]) for minute in results.minutes],
    }
    (folder / "soak.svg").write_text(
        lines_svg(lines, title=f"{results.rate:,.0f} jobs a second", x_title="minutes")
    )
    return page


def _page(results: Results) -> str:
    plan = results.plan
    lines = [
        "# A long run at half load",
        "",
        f"`callboard serve` at {results.rate:,.0f} jobs a second, half of the",
        f"{results.jobs_per_second_max:,.0f} that it took in a closed loop before, for {plan.minutes}",
        f"minutes of {plan.minute_seconds:g} s: `python -m bench.soak`. The server keeps",
        f"{plan.ended_jobs_max:,} ended jobs and {plan.events_max:,} events (less than by default), so",
        "that rows are deleted as fast as they are written. Latency is from when a call was due to its",
        "assignment at the worker. Written by `bench/soak/report.py`; all looks are in soak.json.",
        "",
        f"Judged by the line of least squares through the last {plan.judged_minutes} minutes:",
        "",
        *("| | at their begin and end | grows by | may grow by |", "|---|---|---|---|"),
        *_verdicts(results),
        "",
        "![over time](soak.svg)",
        "",
        "## By minute",
        "",
        (
            "| minute | jobs | lost | p50 (ms) | p99 (ms) | p99.9 (ms) | driver late, p99 (ms)"
            " | CPU a job (µs) | memory (MiB) | database (MiB) | its log (MiB) |"
        ),
        f"|{'---|' * 11}",
    ]
    for minute in results.minutes:
        look = _at(results.looks, minute.number)
        p50, p99, p999 = minute.start_ms
        lines.append(
            f"| {minute.number} | {minute.jobs:,} | {minute.unfinished + minute.errors} | {p50:.2f}"
            f" | {p99:.2f} | {p999:.2f} | {minute.driver_late_ms_p99:.2f}"
            f" | {minute.cpu_us_per_job:.0f} | {look.rss_bytes / _MIB:.1f}"
            f" | {look.database_bytes / _MIB:.0f} | {look.wal_bytes / _MIB:.1f} |"
        )
    lines += ["", "## Measured on", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in results.environment.items()]
    lines += [f"| plan | {asdict(plan)} |", ""]
    return "\n".join(lines)


def _verdicts(results: Results) -> list[str]:
    first = results.plan.minutes - results.plan.judged_minutes
    looks = [look for look in results.looks if look.at_minute >= first]
    minutes = results.minutes[first:]
    lost = sum(minute.unfinished + minute.errors for minute in results.minutes)
    return [
        _of_looks("memory (MiB)", looks, lambda look: look.rss_bytes, MEMORY_GROWTH_MAX),
        _of_looks("database (MiB)", looks, lambda look: look.database_bytes, DATABASE_GROWTH_MAX),
        _of_looks("its log (MiB)", looks, lambda look: look.wal_bytes, None),
        _of_minutes("p50 (ms)", minutes, 0, LATENCY_GROWTH_MAX),
        _of_minutes("p99 (ms)", minutes, 1, LATENCY_GROWTH_MAX),
        f"| jobs not over, or refused, of all | {lost} | | 0{'' if not lost else ' (missed)'} |",
    ]


def _of_looks(
    name: str, looks: Sequence[Look], pick: Callable[[Look], int], at_most: float | None
) -> str:
    return _row(name, [(look.at_minute, pick(look) / _MIB) for look in looks], at_most)


def _of_minutes(name: str, minutes: Sequence[Minute], which: int, at_most: float) -> str:
    return _row(name, [(each.number, each.start_ms[which]) for each in minutes], at_most)


def _row(name: str, points: Sequence[tuple[float, float]], at_most: float | None) -> str:
    rise = growth(points)
    mark = " (missed)" if at_most is not None and rise > at_most else ""
    bound = "" if at_most is None else f"{at_most:.0%}"
    return (
        f"| {name} | {points[0][1]:,.2f}, {points[-1][1]:,.2f} | **{rise:+.1%}**{mark} | {bound} |"
    )


def _at(looks: Sequence[Look], minute: float) -> Look:
    """The last look until then."""
    return [look for look in looks if look.at_minute <= minute][-1]
