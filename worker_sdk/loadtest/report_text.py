"""The report for people who read text: a screen or two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_sdk.loadtest.figures import NOT_ON_STOCK, Figures, latency_names
from worker_sdk.loadtest.profile import Shape
from worker_sdk.loadtest.screen import rate_text
from worker_sdk.loadtest.tally import Metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker_sdk.loadtest.results import Results

__all__ = ["LATENCY_TITLES", "headline", "shown", "text_report"]

LATENCY_TITLES = {
    Metric.ACK: "call to acknowledged",
    Metric.ASSIGN: "call to assignment",
    Metric.RUNNING: "call to running",
    Metric.END: "end told to confirmed",
    Metric.RECONNECT: "socket lost to back",
    Metric.CLAIM: "back to jobs judged",
}
_COLUMNS = ("p50", "p90", "p99", "p99.9", "max")
_SHARES = ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms")
FAILURES_SHOWN_MAX = 5


def text_report(results: Results) -> str:
    """The whole report, ending with a line break."""
    lines = [*_head(results), "", *_latencies(results), "", *_counts(results)]
    if results.steps:
        lines += ["", *_steps(results)]
    if results.failures:
        lines += ["", "calls that failed"]
        ordered = sorted(results.failures.items(), key=lambda item: -item[1])
        lines += [f"  {times:,} x {why}" for why, times in ordered[:FAILURES_SHOWN_MAX]]
        if len(ordered) > FAILURES_SHOWN_MAX:
            lines.append(f"  and {len(ordered) - FAILURES_SHOWN_MAX} other kinds")
    lines += ["", *(f"note: {note}" for note in results.notes)]
    lines += [f"{'FAILED' if each.is_failure else 'ok'}: {each}" for each in results.judgements]
    lines.append(headline(results))
    return "\n".join(lines) + "\n"


def headline(results: Results) -> str:
    """The verdict, in one line."""
    values = results.figures.values
    if not values["calls"]:
        return "nothing was measured: no call was due"
    parts = []
    if results.profile.shape is Shape.RAMP:
        held = values["rate_held"] or 0.0
        parts.append(f"{rate_text(held)} calls/s held" if held else "no rate held")
    else:
        parts.append(f"{rate_text(values['jobs_per_second'] or 0.0)} jobs/s")
    parts.append(f"p50 {shown(results.figures, 'p50_ms')} ms")
    parts.append(f"p99 {shown(results.figures, 'p99_ms')} ms")
    parts.append(f"{values['lost']:,.0f} lost")
    parts += [f"{values[name]:,.0f} {name}" for name in ("overdue", "failed") if values[name]]
    parts.append(f"{values['doubled']:,.0f} doubled")
    if results.is_saturated:
        parts.append("THE HARNESS ITSELF WAS THE BOTTLENECK")
    if results.is_interrupted:
        parts.append("interrupted")
    return ", ".join(parts)


def shown(figures: Figures, name: str) -> str:
    """A figure for people; why there is none, where it is so."""
    value = figures.values[name]
    if value is None:
        return figures.reasons[name]
    if value and (value != int(value)) and abs(value) < 1000:
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.1f}"
    return f"{value:,.0f}"


def _head(results: Results) -> list[str]:
    profile = results.profile
    load = {
        Shape.RATE: f"{rate_text(profile.rate)} calls/s, {profile.arrivals.value}",
        Shape.BURST: f"{profile.burst_jobs:,} calls at once,"
        f" every {profile.burst_every_seconds:g} s",
        Shape.CLOSED: f"closed loop of {profile.callers:,} callers",
        Shape.RAMP: f"from {rate_text(profile.rate)} calls/s,"
        f" x {profile.ramp_factor:g} every {profile.ramp_step_seconds:g} s",
    }[profile.shape]
    kinds = [
        f"{count:,} {kind}"
        for kind, count in (
            ("slow", profile.slow_workers),
            ("silent", profile.silent_workers),
            ("declining", profile.declining_workers),
        )
        if count
    ]
    workers = f"{profile.workers:,} workers"
    return [
        f"{results.server} at {results.url}, {results.begun_at}",
        (
            f"{load}; {', '.join([workers, *kinds])}; jobs of {profile.job_seconds:g} s;"
            f" {results.seconds:.0f} s measured"
        ),
    ]


def _latencies(results: Results) -> list[str]:
    width = max(len(title) for title in LATENCY_TITLES.values()) + 2
    lines = [f"{'latency, ms':<{width}}" + "".join(f"{name:>10}" for name in _COLUMNS)]
    for metric, title in LATENCY_TITLES.items():
        names = list(latency_names(metric))
        prefix = names[0].removesuffix("p50_ms")
        cells = [shown(results.figures, f"{prefix}{name}") for name in _SHARES]
        if results.figures.values[names[0]] is None:
            if cells[0] != "no socket was lost":
                lines.append(f"{title:<{width}}  {cells[0]}")
            continue
        lines.append(f"{title:<{width}}" + "".join(f"{cell:>10}" for cell in cells))
    return lines


def _counts(results: Results) -> list[str]:
    figures = results.figures
    groups: Sequence[tuple[str, Sequence[tuple[str, str]]]] = (
        (
            "rate",
            (
                ("rate_wanted", "wanted/s"),
                ("rate", "acknowledged/s"),
                ("jobs_per_second", "ended/s"),
                ("waiting_max", "waiting at most"),
            ),
        ),
        (
            "jobs",
            (
                ("acknowledged", "acknowledged"),
                ("ended", "ended"),
                ("lost", "lost"),
                ("overdue", "overdue"),
                ("failed", "failed"),
                ("doubled", "doubled"),
                ("reruns", "run again"),
                ("unfinished", "unfinished"),
            ),
        ),
        (
            "calls",
            (("errors", "errors"), ("not_made", "not made"), ("declined", "offers declined")),
        ),
        (
            "server",
            (
                ("server_cpu_cores", "cores"),
                ("server_cpu_us_per_job", "us CPU a job"),
                ("server_rss_mib", "MiB"),
            ),
        ),
        (
            "harness",
            (
                ("harness_cpu_cores", "cores (busiest process)"),
                ("harness_late_p99_ms", "ms late with calls, p99"),
                ("harness_lag_p99_ms", "with reads"),
                ("harness_saturated_share", "of the seconds the bottleneck"),
            ),
        ),
    )
    lines = []
    for title, names in groups:
        cells = [
            f"{shown(figures, name)} {words}"
            for name, words in names
            if figures.reasons.get(name) != NOT_ON_STOCK
        ]
        if title == "server" and not results.server_process:
            cells = ["not a process of this machine that we may look at"]
        lines.append(f"{title:<9}{', '.join(cells)}")
    return lines


def _steps(results: Results) -> list[str]:
    return [f"{rate_text(step.rate):>10}/s  {step.broken or 'held'}" for step in results.steps]
