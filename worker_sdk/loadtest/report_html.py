"""The report as one HTML file: tables, plots inside, nothing from the network."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING

from worker_sdk.loadtest.figures import FIGURES
from worker_sdk.loadtest.limits import Verdict
from worker_sdk.loadtest.plots import Mark, latency_by_percentile, over_time
from worker_sdk.loadtest.profile import FIELDS
from worker_sdk.loadtest.report_text import LATENCY_TITLES, headline, shown
from worker_sdk.loadtest.screen import rate_text
from worker_sdk.loadtest.tally import Metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from worker_sdk.loadtest.results import Results

__all__ = ["html_report"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --dim: #59636e; --line: #d1d9e0; --paper: #fff;
  --soft: #f6f8fa; --good: #1a7f37; --bad: #cf222e; --warn: #9a6700; --shade: #ffebe9;
  --c1: #0969da; --c2: #1a7f37; --c3: #bc4c00; --c4: #8250df; --c5: #57606a; --c6: #bf3989; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --dim: #9198a1; --line: #3d444d;
  --paper: #0d1117; --soft: #151b23; --good: #3fb950; --bad: #f85149; --warn: #d29922;
  --shade: #3c1618; --c1: #4493f8; --c2: #3fb950; --c3: #f0883e; --c4: #ab7df8; --c5: #9198a1;
  --c6: #f778ba; } }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .4rem; }
p { margin: .3rem 0; } .dim, .none { color: var(--dim); }
.verdict { margin: 1rem 0; padding: .7rem 1rem; border-left: 4px solid var(--good);
  background: var(--soft); font-weight: 600; }
.verdict.bad { border-color: var(--bad); } .verdict.warn { border-color: var(--warn); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .6rem; }
.tile { background: var(--soft); border-radius: 6px; padding: .6rem .8rem; }
.tile b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.tile span { color: var(--dim); font-size: .85rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; } th { color: var(--dim); font-weight: 500; }
td.number, th.number { text-align: right; }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
svg { width: 100%; height: auto; display: block; font: 11px system-ui, sans-serif; }
svg text:not([fill]) { fill: var(--dim); }
svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
svg .grid { stroke: var(--line); stroke-width: .7; }
svg .mark { stroke: var(--bad); stroke-width: 1.2; stroke-dasharray: 3 3; }
svg .shade { fill: var(--shade); }
details { margin-top: 2rem; } summary { cursor: pointer; font-weight: 600; }
code { font-size: .9em; }
"""
_SHARES = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "p999_ms", "max_ms", "mean_ms")
_VERDICT_CLASSES = {
    Verdict.KEPT: "good",
    Verdict.BROKEN: "bad",
    Verdict.NOT_MEASURED: "bad",
    Verdict.NOT_ON_STOCK: "dim",
}


def html_report(results: Results) -> str:
    """The whole file."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>callboard loadtest: {_text(headline(results))}</title>",
        f"<style>{_STYLE}</style></head><body>",
        *_head(results),
        *_tiles(results),
        *_limits(results),
        *_plots(results),
        *_latencies(results),
        *_steps(results),
        *_failures(results),
        *_details(results),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _head(results: Results) -> list[str]:
    kind = "" if results.exit_code == 0 else " warn" if results.is_saturated else " bad"
    profile = results.profile
    parts = [
        "<h1>callboard loadtest</h1>",
        (
            f'<p class="dim">{_text(results.server)} at {_text(results.url)},'
            f" {_text(results.begun_at)}; {_text(profile.shape.value)},"
            f" {results.seconds:.0f} s measured</p>"
        ),
    ]
    if profile.description:
        parts.append(f"<p>{_text(profile.description)}</p>")
    parts.append(f'<p class="verdict{kind}">{_text(headline(results))}</p>')
    parts += [f'<p class="warn">{_text(note)}</p>' for note in results.notes]
    return parts


def _tiles(results: Results) -> list[str]:
    tiles = [
        ("jobs_per_second", "jobs ended a second"),
        ("p50_ms", "ms p50, call to assignment"),
        ("p99_ms", "ms p99"),
        ("p999_ms", "ms p99.9"),
        ("lost", "lost"),
        ("doubled", "doubled"),
        ("errors", "calls failed"),
        ("server_cpu_cores", "cores of the server"),
    ]
    if results.steps:
        tiles.insert(0, ("rate_held", "calls a second held"))
    cells = [
        f'<div class="tile"><b>{_text(shown(results.figures, name))}</b>'
        f"<span>{_text(words)}</span></div>"
        for name, words in tiles
    ]
    return ['<div class="tiles">', *cells, "</div>"]


def _limits(results: Results) -> list[str]:
    rows = [
        (
            f"<code>{_text(each.limit)}</code>",
            "" if each.value is None else f"{each.value:,.6g}",
            f'<span class="{_VERDICT_CLASSES[each.verdict]}">{each.verdict.value}</span>',
        )
        for each in results.judgements
    ]
    return ["<h2>Limits</h2>", _table(("broken if", "measured", ""), rows)]


def _plots(results: Results) -> list[str]:
    rows = results.rows
    marks = [Mark(second, what) for second, what in results.events]
    marks += [Mark(step.from_second, f"{rate_text(step.rate)}/s") for step in results.steps[1:]]
    shaded = [float(row.second) for row in rows if row.is_saturated]

    def line(name: str) -> list[tuple[float, float | None]]:
        return [(float(row.second), getattr(row, name)) for row in rows]

    def plot(title: str, words: str, body: str) -> list[str]:
        return [f"<h2>{title}</h2>", f'<p class="dim">{words}</p>', body]

    parts = plot(
        "Rate",
        "A second; wanted is when calls were due, the others when things happened.",
        over_time(
            {name: line(name) for name in ("wanted", "acknowledged", "ended", "errors")},
            unit="/s",
            marks=marks,
            shaded=shaded,
        ),
    )
    if marks:
        parts.append('<p class="dim">Dashed: ' + _text(_told(marks)) + "</p>")
    if shaded:
        parts.append('<p class="bad">Shaded: the harness itself was the bottleneck.</p>')
    parts += plot(
        "Latency over time",
        "From when a call was due to its assignment, by the second in which it was due.",
        over_time(
            {
                "max": line("max_ms"),
                "p99": line("p99_ms"),
                "p90": line("p90_ms"),
                "p50": line("p50_ms"),
            },
            unit="ms",
            is_logarithmic=True,
            marks=marks,
            shaded=shaded,
        ),
    )
    parts += plot(
        "Latency by percentile",
        "Which share of calls was no slower.",
        latency_by_percentile(
            {
                LATENCY_TITLES[metric]: histogram.curve()
                for metric, histogram in results.curves.items()
                if histogram.count
            }
        ),
    )
    parts += plot(
        "Queue",
        "Calls that were acknowledged and not assigned, at a look each second.",
        over_time({"waiting": line("waiting")}, unit="jobs", marks=marks),
    )
    parts += plot(
        "Workers",
        "Connected, as their processes report.",
        over_time({"workers": line("workers")}, unit="", marks=marks),
    )
    parts += plot(
        "CPU",
        f"Cores. Server: {_text(results.server_process or 'not of this machine')}."
        " Harness: its busiest process. Machine: all that runs where the harness does.",
        over_time(
            {
                "server": line("server_cpu"),
                "harness": line("harness_cpu"),
                "machine": line("machine_cpu"),
            },
            unit="cores",
        ),
    )
    if any(row.server_rss_mib is not None for row in rows):
        parts += plot(
            "Memory of the server",
            "RSS.",
            over_time({"server": line("server_rss_mib")}, unit="MiB"),
        )
    return parts


def _latencies(results: Results) -> list[str]:
    rows = []
    for metric, title in LATENCY_TITLES.items():
        prefix = "" if metric is Metric.ASSIGN else f"{metric.value}_"
        cells = [shown(results.figures, f"{prefix}{name}") for name in _SHARES]
        rows.append([_text(title), *map(_text, cells)])
    columns = ("ms", "p50", "p90", "p95", "p99", "p99.9", "max", "mean")
    return ["<h2>Latencies</h2>", _table(columns, rows, numbers=True)]


def _steps(results: Results) -> list[str]:
    if not results.steps:
        return []
    rows = [
        (
            f"{rate_text(step.rate)}/s",
            '<span class="good">held</span>'
            if not step.broken
            else f'<span class="bad">{_text(step.broken)}</span>',
        )
        for step in results.steps
    ]
    return ["<h2>Steps</h2>", _table(("rate", ""), rows)]


def _failures(results: Results) -> list[str]:
    if not results.failures:
        return []
    ordered = sorted(results.failures.items(), key=lambda item: -item[1])
    rows = [(f"{times:,}", _text(why)) for why, times in ordered]
    return ["<h2>Calls that failed</h2>", _table(("times", "why"), rows)]


def _details(results: Results) -> list[str]:
    figures = [
        (f"<code>{each.name}</code>", _text(shown(results.figures, each.name)), _text(each.help))
        for each in FIGURES
    ]
    values = results.profile.as_json()
    fields = [
        (f"<code>{field.name}</code>", _text(json.dumps(values[field.name])), _text(field.help))
        for field in FIELDS
    ]
    machine = [(_text(name), _text(value)) for name, value in results.machine.items()]
    return [
        "<details><summary>All figures</summary>",
        _table(("name, for --fail-if", "", "what it is"), figures),
        "</details>",
        "<details><summary>The profile</summary>",
        _table(("field", "", "what it is"), fields),
        "</details>",
        "<details><summary>The harness's machine</summary>",
        _table(("", ""), machine),
        "</details>",
    ]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = False) -> str:
    """A table of cells that are HTML; with `numbers`, all but the first column are at the right."""
    parts = ["<table><tr>"]
    classes = ["", *([' class="number"'] * (len(columns) - 1))] if numbers else [""] * len(columns)
    parts += [f"<th{kind}>{_text(name)}</th>" for name, kind in zip(columns, classes, strict=True)]
    parts.append("</tr>")
    for row in rows:
        cells = (f"<td{kind}>{cell}</td>" for cell, kind in zip(row, classes, strict=True))
        parts.append(f"<tr>{''.join(cells)}</tr>")
    return "".join([*parts, "</table>"])


def _told(marks: Sequence[Mark]) -> str:
    """What happened, each kind once."""
    return "; ".join(dict.fromkeys(mark.text for mark in marks))


def _text(value: object) -> str:
    return html.escape(str(value))
