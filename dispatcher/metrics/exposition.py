"""Metrics as text: Prometheus's format 0.0.4, and OpenMetrics 1.0 for who prefers it.

The two differ in the name under which a counter is introduced, and in OpenMetrics's last line. Values
of labels may be any text: they are escaped, and what is no Unicode is replaced.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum

from dispatcher.metrics.catalogue import Kind, Metric
from dispatcher.metrics.histogram import Histogram

# The values of a metric's labels in their order, and the sample's.
Sample = tuple[Sequence[str], float | Histogram]

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Form(Enum):
    """A format, by its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def preferred(accept: str) -> Form:
    """Return the format that a scraper's Accept header asks for; the text format in doubt."""
    weights = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for part in accept.lower().split(","):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((_weight(p[2:]) for p in parameters if p.startswith("q=")), 1.0)
        if media in weights:
            weights[media] = max(weights[media], weight)
    wants_openmetrics = weights["application/openmetrics-text"] > weights["text/plain"]
    return Form.OPENMETRICS if wants_openmetrics else Form.TEXT


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0


def write_metric(metric: Metric, samples: Iterable[Sample], form: Form) -> Iterator[str]:
    """Yield the lines of a metric, a sample at a time; nothing where it has no samples."""
    is_first = True
    for values, value in samples:
        if is_first:
            is_first = False
            yield _head(metric, form)
        labels = ",".join(
            f'{name}="{text.translate(_ESCAPES)}"'
            for name, text in zip(metric.labels, values, strict=True)
        )
        if isinstance(value, Histogram):
            yield _histogram_lines(metric.name, labels, value)
        else:
            yield f"{metric.name}{_in_braces(labels)} {_number(value)}\n"


def _head(metric: Metric, form: Form) -> str:
    name = metric.name
    if form is Form.OPENMETRICS and metric.kind is Kind.COUNTER:
        name = name.removesuffix("_total")
    told = metric.help.replace("\\", r"\\")
    return f"# HELP {name} {told}\n# TYPE {name} {metric.kind.value}\n"


def _in_braces(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def write_end(form: Form) -> str:
    """Return what comes last."""
    return "# EOF\n" if form is Form.OPENMETRICS else ""


def encoded(text: str) -> bytes:
    """Return the text in UTF-8; half of a pair of surrogates, which is none, is replaced."""
    return text.encode("utf-8", "replace")


def _histogram_lines(name: str, labels: str, histogram: Histogram) -> str:
    before = f"{labels}," if labels else ""
    rows = histogram.cumulative()
    lines = [f'{name}_bucket{{{before}le="{_bound(bound)}"}} {count}\n' for bound, count in rows]
    lines.append(f"{name}_sum{_in_braces(labels)} {_number(histogram.sum)}\n")
    lines.append(f"{name}_count{_in_braces(labels)} {rows[-1][1]}\n")
    return "".join(lines)


def _bound(bound: float) -> str:
    return "+Inf" if bound == math.inf else repr(float(bound))


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(value)
