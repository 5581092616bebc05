"""The report: compare.json with every sample, compare.md with tables and verdicts, compare.svg.

A number is the median of the rounds, with the least and the greatest in brackets. Percentiles are of
all samples of all rounds together, in brackets those of the rounds.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict
from typing import TYPE_CHECKING

from bench.compare.contenders import BARE, CALLBOARD, CALLERS, CONTENDERS, NATS, STOCK, WORKERS
from bench.compare.measure import STOCK_RATE, Results, Sample
from bench.plot import bars_svg

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["write_report"]

_INTRODUCTION = f"""\
# Callboard beside what else there is

The same 200-byte jobs through each, in one run of `make compare`, in turns, so that the machine's mood
hits all. {WORKERS} workers, whose jobs end at once, and {CALLERS} callers. Each is set to lose nothing
that it has acknowledged, as far as it can, and else to its best. The drivers (`bench/compare/drivers/`)
share their loops, clock and counting; each contender is driven by its own Python client (callboard, the
bare transport and livekit-server by the wire's messages on bare sockets), on the same machine, so its
client's cost is in its jobs a second; what drivers and workers used is told. Written by
`bench/compare/report.py`; all samples are in compare.json.

## What each does for a job

They do not do the same, and the numbers below are to be read with this in mind.
"""


def write_report(results: Results, folder: Path) -> str:
    """Write the report's files; return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compare.json").write_text(json.dumps(_as_json(results)) + "\n")
    page = _page(results)
    (folder / "compare.md").write_text(page)
    groups = {
        "jobs a second": {
            name: statistics.median(sample.jobs_per_second for sample in samples)
            for name, samples in results.closed.items()
        }
    }
    for rate, by_name in results.open.items():
        if any(_starts(samples) for samples in by_name.values()):
            groups[f"p50 at {rate:,.0f} jobs a second (ms)"] = {
                name: _percentile(_starts(samples), 0.5) for name, samples in by_name.items()
            }
    (folder / "compare.svg").write_text(
        bars_svg(groups, title="Callboard beside what else there is")
    )
    return page


def _page(results: Results) -> str:
    lines = [_INTRODUCTION, "| | version | a job: it | it does not |", "|---|---|---|---|"]
    lines += [
        f"| {each.name} | {results.versions[each.name]} | {each.does} | {each.does_not} |"
        for each in CONTENDERS
        if each.name in results.versions
    ]
    lines += [f"\nLeft out: {name} ({why})." for name, why in results.missing.items()]
    lines += ["", "## What was to be shown", "", "| | here | must be |", "|---|---|---|"]
    lines += _verdicts(results)
    lines += ["", "![as bars](compare.svg)", *_closed(results)]
    for rate, by_name in results.open.items():
        lines += _open(results, rate, by_name)
    lines += ["", "## Measured on", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in results.environment.items()]
    lines += [f"| plan | {asdict(results.plan)} |", ""]
    return "\n".join(lines)


def _closed(results: Results) -> list[str]:
    lines = [
        *("", "## As many as it bears"),
        *("", f"A closed loop: each of {CALLERS} callers waits for the end of its job."),
        *("", f"{results.plan.rounds} rounds of {results.plan.closed_seconds:g} s.", ""),
        (
            "| | jobs a second | server's CPU a job (µs) | drivers and workers (cores)"
            " | call to start, p50 (ms) | not over in 10 s, or failed |"
        ),
        "|---|---|---|---|---|---|",
    ]
    for name, samples in results.closed.items():
        lines.append(
            f"| {name} | {_span([s.jobs_per_second for s in samples])}"
            f" | {_span([s.cpu_us_per_job for s in samples])}"
            f" | {_span([s.clients_cores for s in samples], 2)}"
            f" | {_latency(samples, 0.5)} | {_lost(samples)} |"
        )
    return lines


def _open(results: Results, rate: float, by_name: dict[str, list[Sample]]) -> list[str]:
    what = "half of callboard's own maximum" if rate == results.half_rate else "a fixed rate"
    lines = [
        *("", f"## At {rate:,.0f} jobs a second", ""),
        f"An open loop at {what}: from the moment at which the",
        "call was due to the assignment at the worker, or the start of its task. The driver's own",
        f"lateness is in it. {results.plan.rounds} rounds of {results.plan.open_seconds:g} s.",
        "",
        (
            "| | p50 (ms) | p99 (ms) | p99.9 (ms) | driver late, p99 (ms) | jobs"
            " | not over in 15 s, or failed |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    for name, samples in by_name.items():
        late = max(sample.late_us_p99 for sample in samples) / 1e3
        cells = " | ".join(_latency(samples, share) for share in (0.5, 0.99, 0.999))
        jobs = sum(sample.jobs for sample in samples)
        lines.append(f"| {name} | {cells} | {late:.2f} | {jobs:,} | {_lost(samples)} |")
    return lines


def _verdicts(results: Results) -> list[str]:
    """What the project asks of itself, each with the number of this run."""
    rows: list[str] = []
    closed, us, bare, nats, stock = results.closed, CALLBOARD.name, BARE.name, NATS.name, STOCK.name
    if us not in closed:
        return rows
    if bare in closed:
        pairs = zip(closed[us], closed[bare], strict=True)
        ratio = statistics.median(a.cpu_us_per_job / b.cpu_us_per_job for a, b in pairs)
        rows.append(_row("server's CPU a job, by the bare transport's", ratio, at_most=3.5))
    if stock in closed:
        rows.append(
            _row("jobs a second, by livekit-server's", _rate(closed, us, stock), at_least=40)
        )
        by_name = results.open[STOCK_RATE]
        rows += [
            _row(
                f"livekit-server's p{100 * share:g} at {STOCK_RATE:g}/s, by callboard's",
                _quotient(by_name, stock, us, share),
                at_least=40,
            )
            for share in (0.5, 0.99)
        ]
    if nats in closed:
        rows.append(_row("jobs a second, by NATS's", _rate(closed, us, nats), at_least=1))
        for rate in (50.0, 500.0):
            quotient = _quotient(results.open[rate], us, nats, 0.5)
            rows.append(_row(f"p50 at {rate:g}/s, by NATS's", quotient, at_most=1.5))
    if results.half_rate and bare in results.open[results.half_rate]:
        for share, bound in ((0.5, 3.0), (0.99, 3.0), (0.999, None)):
            quotient = _quotient(results.open[results.half_rate], us, bare, share)
            name = f"p{100 * share:g} at {results.half_rate:,.0f}/s (half), by the bare transport's"
            rows.append(_row(name, quotient, at_most=bound))
    return rows


def _row(
    name: str, value: float, *, at_most: float | None = None, at_least: float | None = None
) -> str:
    bound, is_good = "", True
    if at_most is not None:
        bound, is_good = f"at most {at_most:g}", value <= at_most
    if at_least is not None:
        bound, is_good = f"at least {at_least:g}", value >= at_least
    return f"| {name} | **{value:.2f}**{'' if is_good else ' (missed)'} | {bound} |"


def _rate(closed: dict[str, list[Sample]], one: str, other: str) -> float:
    pairs = zip(closed[one], closed[other], strict=True)
    return statistics.median(a.jobs_per_second / max(b.jobs_per_second, 1e-9) for a, b in pairs)


def _quotient(by_name: dict[str, list[Sample]], one: str, other: str, share: float) -> float:
    above, below = (_percentile(_starts(by_name[name]), share) for name in (one, other))
    return above / max(below, 1e-9)


def _starts(samples: Iterable[Sample]) -> list[int]:
    return [microseconds for sample in samples for microseconds in sample.start_us]


def _percentile(microseconds: Sequence[int], share: float) -> float:
    """In milliseconds; 0 where there is nothing."""
    ordered = sorted(microseconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e3 if ordered else 0.0


def _latency(samples: Sequence[Sample], share: float) -> str:
    whole = _percentile(_starts(samples), share)
    rounds = [_percentile(sample.start_us, share) for sample in samples]
    return f"{whole:,.2f} ({min(rounds):,.2f} to {max(rounds):,.2f})"


def _lost(samples: Sequence[Sample]) -> str:
    unfinished = sum(sample.unfinished for sample in samples)
    errors = sum(sample.errors for sample in samples)
    said = next((sample.first_error for sample in samples if sample.first_error), "")
    return f"{unfinished:,} + {errors:,}" + (f" ({said[:80]})" if said else "")


def _span(values: Sequence[float], digits: int = 0) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def _as_json(results: Results) -> dict[str, object]:
    return {
        "environment": results.environment,
        "plan": asdict(results.plan),
        "versions": results.versions,
        "missing": results.missing,
        "closed": {name: _summed(samples) for name, samples in results.closed.items()},
        "open": {
            f"{rate:g}": {name: _summed(samples) for name, samples in by_name.items()}
            for rate, by_name in results.open.items()
        },
    }


def _summed(samples: Iterable[Sample]) -> list[dict[str, object]]:
    """Each round: its counts, and its percentiles in place of all its times."""
    shares = (0.5, 0.9, 0.99, 0.999, 1.0)
    return [
        {
            **{name: value for name, value in asdict(sample).items() if name != "start_us"},
            "start_ms": {
                f"p{100 * share:g}": _percentile(sample.start_us, share) for share in shares
            },
        }
        for sample in samples
    ]
