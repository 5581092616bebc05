"""The report of a run: results.json with every sample, README.md with the tables, and the curve.

Numbers are medians of rounds; the ranges beside them are of the rounds too.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict
from typing import TYPE_CHECKING

from bench.measure import CALLERS, WORKERS, LoadSample, Results
from bench.plot import curve_svg
from bench.servers import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.servers import CpuParts

# What this version must keep to.
RATIO_MAX = 3.5
LATENCY_RATIO_MAX = 4.0
CURVE_SPREAD_MAX = 0.20


def write_report(results: Results, folder: Path) -> None:
    """Write the report's files, and print its summary."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(_as_json(results), indent=1) + "\n")
    text = _readme(results)
    (folder / "README.md").write_text(text)
    (folder / "workers.svg").write_text(
        curve_svg(
            {
                kind.value: [
                    (workers, 1e6 * _net(by_kind[kind]))
                    for workers, by_kind in results.fleets.items()
                ]
                for kind in Kind
            },
            title="CPU of the server for one job, net of idle connections (µs)",
            x_title="connected workers",
        )
    )
    print(text)


def ratio(results: Results) -> float:
    """CPU for a job: the real server's by the bare transport's, median of the rounds."""
    pairs = zip(results.ratio[Kind.REAL], results.ratio[Kind.BARE], strict=True)
    return statistics.median(real.cpu_per_job / bare.cpu_per_job for real, bare in pairs)


def latency_ratio(results: Results) -> float:
    """Call to assignment on an idle server: real by bare, of the medians."""
    return statistics.median(results.latency_seconds[Kind.REAL]) / statistics.median(
        results.latency_seconds[Kind.BARE]
    )


def curve_spread(results: Results) -> float:
    """How far the real server's net CPU for a job moves with the number of workers.

    The largest distance from the value at the smallest number of workers, as a part of it.
    """
    values = [_net(by_kind[Kind.REAL]) for by_kind in results.fleets.values()]
    return max(abs(value / values[0] - 1.0) for value in values)


def _net(samples: Sequence[LoadSample]) -> float:
    return statistics.median(sample.net_cpu_per_job for sample in samples)


def _readme(results: Results) -> str:
    bare, real = results.ratio[Kind.BARE], results.ratio[Kind.REAL]
    seconds_bare, seconds_real = (results.latency_seconds[kind] for kind in Kind)
    lines = [
        "# Benchmark",
        "",
        "What `callboard serve` costs beside a bare transport: the same frames and HTTP answers on",
        "the packages' own stack (uvicorn, uvloop, httptools, websockets, as they come), with no",
        "tokens, no store and no decisions. Both are driven in turns by the same client in one run",
        "of `make bench`; a job is one CreateDispatch call, an offer, its answer, an assignment,",
        "RUNNING and SUCCESS with their receipts. In the real server every acknowledgement,",
        "assignment and receipt waits for a synced commit. CPU is that of the server process with",
        "all its threads. Written by `bench/report.py`; all samples are in results.json.",
        "",
        (
            f"{WORKERS} workers, {CALLERS} callers in a closed loop, each waiting for the end of its job"
            f" ({len(real)} rounds of {results.plan.load_seconds:g} s):"
        ),
        "",
        "| | bare transport | callboard serve | ratio | must be at most |",
        "|---|---|---|---|---|",
        _row(
            "CPU a job (µs)",
            [1e6 * s.cpu_per_job for s in bare],
            [1e6 * s.cpu_per_job for s in real],
            f"**{ratio(results):.2f}**",
            f"{RATIO_MAX:g}",
        ),
        _row(
            "jobs a second",
            [s.jobs / s.elapsed_seconds for s in bare],
            [s.jobs / s.elapsed_seconds for s in real],
            "",
            "",
        ),
        _row(
            "call to assignment under this load, p50 (ms)",
            [1e3 * s.assign_p50_seconds for s in bare],
            [1e3 * s.assign_p50_seconds for s in real],
            "",
            "",
            digits=2,
        ),
        "",
        "Where that CPU goes, in microseconds a job:",
        "",
        "| | in the program | in the system |",
        "|---|---|---|",
        _part(
            "sockets, HTTP and websockets: the bare transport, on its event loop",
            bare,
            lambda parts: (parts.loop_user, parts.loop_system),
        ),
        _part(
            "callboard's event loop, with its sockets, HTTP and websockets, and the store's rows",
            real,
            lambda parts: (parts.loop_user, parts.loop_system),
        ),
        _part(
            "the store's thread: commits and checkpoints",
            real,
            lambda parts: (parts.store_user, parts.store_system),
        ),
        "",
        "What the event loop does with it, function by function, is in [profile.md](profile.md)",
        "(`python -m bench.profile`); what limits it, and what would lift it, in [limits.md](limits.md).",
        "",
        (
            f"One job at a time on an otherwise idle server, {WORKERS} workers"
            f" ({len(seconds_real)} jobs each), from the call to the assignment:"
        ),
        "",
        "| | bare transport | callboard serve | ratio | must be at most |",
        "|---|---|---|---|---|",
        (
            f"| p50 (ms) | {1e3 * statistics.median(seconds_bare):.2f}"
            f" | {1e3 * statistics.median(seconds_real):.2f}"
            f" | **{latency_ratio(results):.2f}** | {LATENCY_RATIO_MAX:g} |"
        ),
        (
            f"| p99 (ms) | {1e3 * _p99(seconds_bare):.2f} | {1e3 * _p99(seconds_real):.2f}"
            f" | {_p99(seconds_real) / _p99(seconds_bare):.2f} | |"
        ),
        "",
        (
            f"By the number of connected workers, each reporting its status every 2.5 s; net of what"
            f" the same workers cost without jobs ({results.plan.fleet_rounds} rounds):"
        ),
        "",
        (
            "| workers | bare: idle | bare: CPU a job, net (µs) | callboard: idle"
            " | callboard: CPU a job, net (µs) | ratio |"
        ),
        "|---|---|---|---|---|---|",
    ]
    for workers, by_kind in results.fleets.items():
        bare, real = by_kind[Kind.BARE], by_kind[Kind.REAL]
        lines.append(
            f"| {workers:,} | {_idle(bare)} | {_span([1e6 * s.net_cpu_per_job for s in bare])}"
            f" | {_idle(real)} | {_span([1e6 * s.net_cpu_per_job for s in real])}"
            f" | {_net(real) / _net(bare):.2f} |"
        )
    lines += [
        "",
        (
            f"The real server's net CPU for a job moves by at most **{curve_spread(results):.0%}** from"
            f" its value at {next(iter(results.fleets))} workers (allowed: {CURVE_SPREAD_MAX:.0%})."
        ),
        "",
        "![CPU a job by connected workers](workers.svg)",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in results.environment.items()),
        "",
    ]
    return "\n".join(lines)


def _part(
    name: str, samples: Sequence[LoadSample], pick: Callable[[CpuParts], tuple[float, float]]
) -> str:
    """A row of what one part costs a job, over all samples."""
    jobs = sum(sample.jobs for sample in samples)
    user, system = (
        1e6 * sum(pick(sample.cpu_parts)[which] for sample in samples) / jobs for which in (0, 1)
    )
    return f"| {name} | {user:.0f} | {system:.0f} |"


def _row(
    name: str,
    bare: Sequence[float],
    real: Sequence[float],
    ratio_text: str,
    bound: str,
    digits: int = 0,
) -> str:
    return f"| {name} | {_span(bare, digits)} | {_span(real, digits)} | {ratio_text} | {bound} |"


def _span(values: Sequence[float], digits: int = 0) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def _idle(samples: Sequence[LoadSample]) -> str:
    return f"{statistics.median(s.idle_cpu_seconds for s in samples):.1%}"


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def _as_json(results: Results) -> dict[str, object]:
    return {
        "environment": results.environment,
        "plan": asdict(results.plan),
        "summary": {
            "ratio": ratio(results),
            "latency_p50_ratio": latency_ratio(results),
            "curve_spread": curve_spread(results),
        },
        "ratio": {kind.value: [asdict(s) for s in v] for kind, v in results.ratio.items()},
        "latency_seconds": {kind.value: v for kind, v in results.latency_seconds.items()},
        "fleets": {
            str(workers): {kind.value: [asdict(s) for s in v] for kind, v in by_kind.items()}
            for workers, by_kind in results.fleets.items()
        },
    }
