"""Plots as inline SVG: lines over time, and latency by percentile. No library, no network.

Pure. Colours are CSS variables of the page (`--c1` ...), so that a plot follows the reader's light or
dark mode; each line is named at its side and, for a mouse, in a title.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Line", "Mark", "latency_by_percentile", "over_time"]

_WIDTH, _HEIGHT = 720, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 148, 24, 34
_COLOURS = ("var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)", "var(--c6)")
# Names at the side of their lines do not overlap.
_NAME_GAP = 14
_TICKS_MAX = 10
# Of a long run a point is drawn for so many groups of seconds, at the greatest value of each.
POINTS_MAX = 600
# The axis of percentiles ends at 1 - 10**-6.
_NINES_MAX = 6

Line = Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a moment."""

    x: float
    text: str


def over_time(
    lines: Mapping[str, Line],
    *,
    unit: str,
    is_logarithmic: bool = False,
    marks: Sequence[Mark] = (),
    shaded: Sequence[float] = (),
) -> str:
    """A plot of lines over seconds. A None in a line is a gap; `shaded` are seconds to be pointed at."""
    drawn = {name: _thinned(line) for name, line in lines.items()}
    points = [(x, y) for line in drawn.values() for x, y in line if y is not None]
    if not points:
        return '<p class="none">nothing was measured</p>'
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    if x_low == x_high:
        x_high += 1.0
    y_axis = _log_axis(points) if is_logarithmic else _linear_axis(points)
    frame = _Frame(x_low, x_high, y_axis)
    parts = [frame.opening(unit)]
    for second in shaded:
        if x_low <= second <= x_high:
            width = max(1.0, frame.x(min(second + 1, x_high)) - frame.x(second))
            parts.append(
                f'<rect x="{frame.x(second):.1f}" y="{_TOP}" width="{width:.1f}"'
                f' height="{_HEIGHT - _TOP - _BOTTOM}" class="shade"/>'
            )
    parts += frame.grid(_second_ticks(x_low, x_high), "s")
    for mark in marks:
        if x_low <= mark.x <= x_high:
            x = frame.x(mark.x)
            parts.append(
                f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM}"'
                f' class="mark"><title>{html.escape(mark.text)} at {mark.x:.1f} s</title></line>'
            )
    return "\n".join([*parts, *frame.lines(drawn), "</svg>"])


def latency_by_percentile(curves: Mapping[str, Sequence[tuple[float, int]]]) -> str:
    """A plot of latencies (microseconds) by the share of calls that were no slower.

    The axis is that of HdrHistogram's plots: each nine of the percentile has the same width.
    """
    drawn: dict[str, Line] = {}
    for name, curve in curves.items():
        if curve:
            least_share = 1.0 - 10.0**-_NINES_MAX
            line = [(_nines(min(share, least_share)), value / 1000) for share, value in curve]
            drawn[name] = _thinned([(0.0, curve[0][1] / 1000), *line])
    points = [(x, y) for line in drawn.values() for x, y in line if y is not None]
    if not points:
        return '<p class="none">nothing was measured</p>'
    frame = _Frame(0.0, max(1.0, max(x for x, _ in points)), _log_axis(points))
    ticks = [(0.0, "0"), (_nines(0.5), "50")]
    ticks += [
        (float(nines), f"{100 * (1 - 10.0**-nines):.10g}")
        for nines in range(1, _NINES_MAX + 1)
        if nines <= frame.x_high
    ]
    return "\n".join([frame.opening("ms"), *frame.grid(ticks, "%"), *frame.lines(drawn), "</svg>"])


@dataclass(frozen=True, slots=True)
class _Axis:
    """Of values: how each is placed (0 bottom, 1 top), and the values that have a grid line."""

    low: float
    high: float
    is_logarithmic: bool
    ticks: Sequence[float]

    def place(self, value: float) -> float:
        if not self.is_logarithmic:
            return (value - self.low) / (self.high - self.low)
        return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)


class _Frame:
    """Where things are in a plot."""

    def __init__(self, x_low: float, x_high: float, y_axis: _Axis) -> None:
        self.x_low, self.x_high, self._y_axis = x_low, x_high, y_axis

    def x(self, value: float) -> float:
        span = _WIDTH - _LEFT - _RIGHT
        return _LEFT + span * (value - self.x_low) / (self.x_high - self.x_low)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * self._y_axis.place(value)

    def opening(self, unit: str) -> str:
        return (
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">'
            f'<text x="{_LEFT - 8}" y="11" class="end">{html.escape(unit)}</text>'
        )

    def grid(self, x_ticks: Sequence[tuple[float, str]], x_unit: str) -> list[str]:
        right = _WIDTH - _RIGHT
        parts = []
        for value in self._y_axis.ticks:
            y = self.y(value)
            parts.append(
                f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" class="grid"/>'
                f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" class="end">{value:,.10g}</text>'
            )
        for at, words in x_ticks:
            parts.append(
                f'<text x="{self.x(at):.1f}" y="{_HEIGHT - 12}" class="middle">{words}</text>'
            )
        parts.append(f'<text x="{right + 8}" y="{_HEIGHT - 12}">{x_unit}</text>')
        return parts

    def lines(self, lines: Mapping[str, Line]) -> list[str]:
        parts = []
        names: list[tuple[float, str, str]] = []
        for (name, line), colour in zip(lines.items(), _COLOURS, strict=False):
            path, is_drawing = [], False
            last: float | None = None
            for x, y in line:
                if y is None:
                    is_drawing = False
                    continue
                path.append(f"{'L' if is_drawing else 'M'}{self.x(x):.1f} {self.y(y):.1f}")
                is_drawing, last = True, self.y(y)
            if last is None:
                continue
            shown = html.escape(name)
            parts.append(
                f'<path d="{" ".join(path)}" fill="none" stroke="{colour}" stroke-width="1.8"'
                f' stroke-linecap="round"><title>{shown}</title></path>'
            )
            names.append((last, shown, colour))
        for (_, shown, colour), y in zip(
            sorted(names), _apart([y for y, _, _ in sorted(names)]), strict=True
        ):
            parts.append(
                f'<text x="{_WIDTH - _RIGHT + 8}" y="{y:.1f}" fill="{colour}">{shown}</text>'
            )
        return parts


def _apart(heights: Sequence[float]) -> list[float]:
    """Where names go that would be at these heights (in order), so that none covers another."""
    placed: list[float] = []
    for y in heights:
        placed.append(max(y + 4, placed[-1] + _NAME_GAP if placed else _TOP))
    bottom = _HEIGHT - _BOTTOM + 4.0
    for index in reversed(range(len(placed))):
        placed[index] = min(placed[index], bottom)
        bottom = placed[index] - _NAME_GAP
    return placed


def _linear_axis(points: Sequence[tuple[float, float]]) -> _Axis:
    high = max(max(y for _, y in points), 1e-9)
    rough = high / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    count = math.ceil(high / step - 1e-9)
    return _Axis(0.0, count * step, False, [n * step for n in range(count + 1)])


def _log_axis(points: Sequence[tuple[float, float]]) -> _Axis:
    positive = [y for _, y in points if y > 0] or [1.0]
    low = 10.0 ** math.floor(math.log10(min(positive)))
    high = 10.0 ** math.ceil(math.log10(max(positive)))
    if high <= low:
        high = low * 10
    ticks = []
    value = low
    while value <= high * 1.001:
        ticks.append(float(f"{value:.6g}"))
        value *= 10
    if len(ticks) <= 3:
        ticks = sorted({*ticks, *(tick * factor for tick in ticks[:-1] for factor in (2, 5))})
    return _Axis(low, high, True, ticks)


def _second_ticks(low: float, high: float) -> list[tuple[float, str]]:
    rough = max((high - low) / _TICKS_MAX, 0.5)
    step = next(
        (each for each in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600) if each >= rough),
        math.ceil(rough / 3600) * 3600,
    )
    at = math.ceil(low / step) * step
    ticks = []
    while at <= high:
        ticks.append((float(at), f"{at:,.0f}"))
        at += step
    return ticks


def _thinned(line: Line) -> Line:
    """At most POINTS_MAX points; of each group the greatest, for what is high must not vanish."""
    if len(line) <= POINTS_MAX:
        return line
    size = -(-len(line) // POINTS_MAX)
    return [
        max(line[at : at + size], key=lambda point: -1.0 if point[1] is None else point[1])
        for at in range(0, len(line), size)
    ]


def _nines(share: float) -> float:
    return -math.log10(1.0 - share)
