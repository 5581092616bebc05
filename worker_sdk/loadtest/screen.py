"""How a run looks while it runs: 80 columns on a terminal, else a line every few seconds.

Pure: a `LoadTest` in, something that rich can print, or a line, out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from worker_sdk.loadtest.figures import number_text
from worker_sdk.loadtest.profile import Shape
from worker_sdk.loadtest.run import Phase
from worker_sdk.loadtest.tally import Count, Metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker_sdk.loadtest.histogram import Histogram
    from worker_sdk.loadtest.run import LoadTest

__all__ = ["line", "picture", "rate_text"]

WIDTH = 80
PHASE_WIDTH = 24
# Rates and latencies of now are of so many whole seconds.
RECENT_SECONDS = 3
# A second is shown when its jobs have been assigned and reported.
REPORTED_AFTER_SECONDS = 1.0
EVENTS_SHOWN_MAX = 3
_BLOCKS = " ▁▂▃▄▅▆▇█"


def picture(test: LoadTest) -> RenderableType:
    """The whole screen."""
    rows = Table.grid(padding=(0, 2, 0, 0))
    rows.add_column(style="bold", width=9)
    rows.add_column(width=WIDTH - 11)
    recent = _recent(test)
    measured = test.measured
    rows.add_row("rate", _rates(test, recent))
    rows.add_row("latency", _latencies(measured.histogram(Metric.ASSIGN, recent), "now"))
    whole = measured.histogram(Metric.ASSIGN, range(int(max(test.second, 0.0)) + 1))
    rows.add_row("", _latencies(whole, "all"))
    rows.add_row("p99", Text(_sparkline(_p99s(test)), "cyan"))
    rows.add_row("jobs", _jobs(test))
    look = measured.looks.get(max(measured.looks, default=0))
    rows.add_row("workers", _workers(test))
    if look is not None and look.server_rss_mib is not None:
        name = test.watch.name if test.watch else ""
        cores = "" if look.server_cpu is None else f"{look.server_cpu:.2f} cores  "
        rows.add_row("server", f"{cores}{look.server_rss_mib:,.0f} MiB  {name}")
    elif test.watch is not None:
        rows.add_row("server", Text("not a process of this machine that we may look at", "dim"))
    late = measured.histogram(Metric.LATE, recent)
    cpu, lag_ms = (look.harness_cpu, look.lag_ms) if look else (0.0, 0.0)
    rows.add_row(
        "harness",
        f"{cpu:.2f} cores (busiest process)  loop {lag_ms:.0f} ms late"
        f"  calls {late.at(0.99) / 1000:.2f} ms",
    )
    parts: list[RenderableType] = [_head(test), Text(), rows]
    if test.is_saturated:
        parts.append(
            Text("the harness itself is the bottleneck: these figures are its own", "bold red")
        )
    parts += [
        Text(f"{second:6.1f} s  {what}", "magenta")
        for second, what in measured.events[-EVENTS_SHOWN_MAX:]
    ]
    return Group(*parts)


def line(test: LoadTest) -> str:
    """What there is to say of now, in a line."""
    recent = _recent(test)
    if not recent:
        return f"{test.second:6.1f} s  {test.phase.value}, {test.connected:,} workers"
    measured = test.measured
    histogram = measured.histogram(Metric.ASSIGN, recent)
    parts = [
        f"{test.second:6.1f} s  {test.phase.value}",
        f"wanted {_rate(test, Count.DUE, recent):,.0f}/s",
        f"acknowledged {_rate(test, Count.ACKNOWLEDGED, recent):,.0f}/s",
        f"p50 {_ms(histogram, 0.5)} ms",
        f"p99 {_ms(histogram, 0.99)} ms",
        f"waiting {test.book.waiting:,}",
        f"workers {test.connected:,}",
        *([f"orphans {test.orphans:,}"] if test.orphans else []),
        f"errors {measured.count(Count.ERRORS):,}",
    ]
    look = measured.looks.get(max(measured.looks, default=0))
    if look is not None and look.server_cpu is not None:
        parts.append(f"server {look.server_cpu:.2f} cores {look.server_rss_mib or 0:.0f} MiB")
    if test.is_saturated:
        parts.append("THE HARNESS IS THE BOTTLENECK")
    return "  ".join(parts)


def _head(test: LoadTest) -> RenderableType:
    grid = Table.grid(expand=False)
    grid.add_column(width=WIDTH - PHASE_WIDTH)
    grid.add_column(width=PHASE_WIDTH, justify="right")
    shape = test.profile.shape.value
    if test.calling.steps:
        shape = f"{shape} at {rate_text(test.calling.steps[-1].rate)}/s"
    title = Text.assemble(
        ("callboard loadtest ", "bold"), f"{shape}  ", (str(test.server), "dim"), no_wrap=True
    )
    grid.add_row(title, Text(test.phase.value, "cyan"))
    second = min(max(test.second, 0.0), test.profile.duration_seconds)
    bar = ProgressBar(total=test.profile.duration_seconds, completed=second, width=WIDTH - 26)
    length = f"{second:.0f} of {test.profile.duration_seconds:.0f} s"
    if test.profile.shape is Shape.RAMP:
        length += " at most"
    grid.add_row(bar, Text(length, "dim"))
    return grid


def _rates(test: LoadTest, recent: Sequence[int]) -> Text:
    text = Text()
    for what, words in (
        (Count.DUE, "wanted"),
        (Count.ACKNOWLEDGED, "acknowledged"),
        (Count.ASSIGNED, "assigned"),
        (Count.ENDED, "ended"),
    ):
        text.append(f"{words} ", "dim").append(f"{_rate(test, what, recent):,.0f}/s  ")
    return text


def _latencies(histogram: Histogram, which: str) -> Text:
    text = Text(f"{which} ", "dim")
    for words, share in (
        ("p50", 0.5),
        ("p90", 0.9),
        ("p99", 0.99),
        ("p99.9", 0.999),
        ("max", 1.0),
    ):
        text.append(f" {words} ", "dim").append(_ms(histogram, share))
    return text.append(" ms", "dim")


def _jobs(test: LoadTest) -> Text:
    errors = test.measured.count(Count.ERRORS)
    return Text.assemble(
        (f"{max(test.book.waiting, 0):,}", "yellow"),
        " wait  ",
        (f"{test.held:,}", "cyan"),
        " run  ",
        (f"{test.measured.count(Count.ENDED):,}", "green"),
        " ended  ",
        (f"{test.book.reruns:,}", "magenta"),
        " again  ",
        (f"{test.book.doubled:,}", "bold red" if test.book.doubled else "dim"),
        " doubled  ",
        (f"{errors:,}", "bold red" if errors else "dim"),
        " errors",
    )


def _workers(test: LoadTest) -> Text:
    orphans = test.orphans
    return Text.assemble(
        f"{test.connected:,} of {test.profile.all_workers:,} connected  ",
        (f"{orphans:,}", "bold yellow" if orphans else "dim"),
        " jobs have lost theirs",
    )


def _recent(test: LoadTest) -> range:
    """The last whole seconds of which everything is reported."""
    if not test.calling.begin_ns:
        return range(0)
    end_second = min(test.second, test.calling.seconds or test.second)
    if test.phase is not Phase.OVER:
        end_second -= REPORTED_AFTER_SECONDS
    end = math.floor(end_second)
    first = -int(test.profile.warm_up_seconds)
    return range(max(first, end - RECENT_SECONDS), end)


def _rate(test: LoadTest, what: Count, seconds: Sequence[int]) -> float:
    return test.measured.count(what, seconds) / len(seconds) if seconds else 0.0


def _p99s(test: LoadTest) -> list[int]:
    by_second = test.measured.metrics[Metric.ASSIGN]
    last = int(test.second - REPORTED_AFTER_SECONDS)
    seconds = range(max(0, last - WIDTH + 24), last)
    return [by_second[each].at(0.99) if each in by_second else 0 for each in seconds]


def _ms(histogram: Histogram, share: float) -> str:
    return number_text(histogram.at(share) / 1000) if histogram.count else "-"


def _sparkline(values: Sequence[int]) -> str:
    greatest = max(values, default=0)
    if not greatest:
        return ""
    steps = len(_BLOCKS) - 1
    drawn = "".join(_BLOCKS[-(-value * steps // greatest)] for value in values)
    return f"{drawn} top {number_text(greatest / 1000)} ms"


def rate_text(rate: float) -> str:
    """A rate as people write it."""
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:,.3g}"
