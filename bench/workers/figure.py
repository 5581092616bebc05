"""What a figure is: one question, answered for each worker, with its samples and one sentence."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.workers.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FULL", "QUICK", "Figure", "Plan", "compared", "span", "table"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything."""

    memory_rounds: int
    memory_settle_seconds: float
    first_job_rounds: int
    overhead_jobs: int
    overhead_idle_seconds: float
    caps: tuple[int, ...]
    cap_rounds: int
    reconnects_per_cut: int
    exit_jobs: tuple[int, ...]
    exit_runs: int


FULL = Plan(
    memory_rounds=3,
    memory_settle_seconds=8.0,
    first_job_rounds=10,
    overhead_jobs=200,
    overhead_idle_seconds=5.0,
    caps=(1, 5),
    cap_rounds=5,
    reconnects_per_cut=25,
    exit_jobs=(1, 6, 50),
    exit_runs=20,
)
QUICK = Plan(
    memory_rounds=1,
    memory_settle_seconds=3.0,
    first_job_rounds=2,
    overhead_jobs=20,
    overhead_idle_seconds=2.0,
    caps=(1, 5),
    cap_rounds=2,
    reconnects_per_cut=2,
    exit_jobs=(1, 6),
    exit_runs=2,
)


@dataclass(slots=True)
class Figure:
    """One row of the summary, and what is said below it.

    `cells` are by subject; `how` says what was run and with what settings, `verdict` is one sentence
    of the numbers. `bars` are the numbers of the picture, in `bars_unit`. `samples` is JSON.
    """

    title: str
    how: str
    cells: dict[Subject, str]
    verdict: str
    samples: Any
    details: list[str] = field(default_factory=list)
    bars: dict[Subject, float] = field(default_factory=dict)
    bars_unit: str = ""


def span(values: Sequence[float], digits: int = 0) -> str:
    """The median, and the least and the greatest where there is more than one value."""
    middle, low, high = statistics.median(values), min(values), max(values)
    text = f"{middle:,.{digits}f}"
    return text if len(values) == 1 else f"{text} ({low:,.{digits}f} to {high:,.{digits}f})"


def compared(what: str, numbers: Mapping[Subject, float]) -> str:
    """One sentence: how much of it ours take, like beside like. Less is better."""
    tasks = numbers[Subject.TASKS] / numbers[Subject.STOCK_THREADS]
    processes = numbers[Subject.PROCESSES] / numbers[Subject.STOCK]
    defaults = numbers[Subject.TASKS] / numbers[Subject.STOCK]
    return (
        f"Ours {what} {_times(tasks)} in tasks beside theirs in threads, {_times(processes)} in"
        f" processes beside theirs in processes, and {_times(defaults)} at the defaults of both."
    )


def _times(ratio: float) -> str:
    return f"{ratio:.2f} times as much" if ratio < 1 else f"**{ratio:.2f} times** as much"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
