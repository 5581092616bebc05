"""Plots as SVGs of a few lines: no library is worth it.

A line plot over a logarithmic x axis, lines over time, and bars.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["bars_svg", "curve_svg", "lines_svg"]

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 150, 40, 50
_COLOURS = ("#888888", "#1f6feb", "#d29922", "#2da44e")
_BARS = ("#1f6feb", "#79b8ff", "#d4a72c", "#888888", "#2da44e", "#8250df")


def curve_svg(
    curves: Mapping[str, Sequence[tuple[float, float]]], *, title: str, x_title: str
) -> str:
    """The picture of named curves of (x, y), x above 0, y from 0 up."""
    points = [point for curve in curves.values() for point in curve]
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    y_step = _round_step(max(y for _, y in points))
    y_high = y_step * math.ceil(max(y for _, y in points) / y_step)
    x_span = math.log(x_high / x_low) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + (_WIDTH - _LEFT - _RIGHT) * math.log(x / x_low) / x_span,
            _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * y / y_high,
        )

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
            ' font-family="sans-serif" font-size="12" fill="#57606a">'
        ),
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="22" font-size="14" fill="#24292f">{title}</text>',
    ]
    for n in range(round(y_high / y_step) + 1):
        x, y = place(x_low, n * y_step)
        parts.append(
            f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"'
            ' stroke="#d0d7de"/>'
            f'<text x="{x - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{n * y_step:g}</text>'
        )
    for x_value in sorted({x for x, _ in points}):
        x, y = place(x_value, 0.0)
        parts.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{x_value:,g}</text>')
    x, y = place(math.sqrt(x_low * x_high), 0.0)
    parts.append(f'<text x="{x:.1f}" y="{y + 38:.1f}" text-anchor="middle">{x_title}</text>')
    for (name, curve), colour in zip(curves.items(), _COLOURS, strict=False):
        placed = [place(*point) for point in curve]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed]
        x, y = placed[-1]
        parts.append(f'<text x="{x + 10:.1f}" y="{y + 4:.1f}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def bars_svg(groups: Mapping[str, Mapping[str, float]], *, title: str) -> str:
    """The picture of named groups of named bars, each group on a scale of its own from 0 up."""
    bar, gap, left, right = 18, 30, 190, 80
    names = list(dict.fromkeys(name for bars in groups.values() for name in bars))
    colours = dict(zip(names, _BARS, strict=False))
    parts: list[str] = []
    y = 44.0
    for group, bars in groups.items():
        parts.append(f'<text x="16" y="{y + 12:.0f}" fill="#24292f">{group}</text>')
        y += 20
        longest = max(bars.values()) or 1.0
        for name, number in bars.items():
            width = (_WIDTH - left - right) * number / longest
            middle = y + bar / 2 + 4
            shown = f"{number:,.0f}" if number >= 1000 else f"{number:,.3g}"
            parts.append(
                f'<text x="{left - 8}" y="{middle:.0f}" text-anchor="end">{name}</text>'
                f'<rect x="{left}" y="{y:.0f}" width="{max(width, 1):.1f}" height="{bar - 4}"'
                f' fill="{colours.get(name, "#888888")}"/>'
                f'<text x="{left + width + 6:.1f}" y="{middle:.0f}">{shown}</text>'
            )
            y += bar
        y += gap - bar
    head = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 10:.0f}"'
            ' font-family="sans-serif" font-size="12" fill="#57606a">'
        ),
        f'<rect width="{_WIDTH}" height="{y + 10:.0f}" fill="#ffffff"/>',
        f'<text x="16" y="22" font-size="14" fill="#24292f">{title}</text>',
    ]
    return "\n".join([*head, *parts, "</svg>", ""])


def lines_svg(
    lines: Mapping[str, Sequence[tuple[float, float]]], *, title: str, x_title: str
) -> str:
    """The picture of named lines over one x axis, each in a strip of its own from 0 up."""
    strip, gap, left, right = 90, 40, 60, 20
    x_high = max(x for line in lines.values() for x, _ in line) or 1.0
    height = 40 + len(lines) * (strip + gap)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
            ' font-family="sans-serif" font-size="12" fill="#57606a">'
        ),
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="22" font-size="14" fill="#24292f">{title}</text>',
    ]
    for number, (name, line) in enumerate(lines.items()):
        top = 58 + number * (strip + gap)
        y_high = max(y for _, y in line) or 1.0
        placed = " ".join(
            f"{left + (_WIDTH - left - right) * x / x_high:.1f},{top + strip * (1 - y / y_high):.1f}"
            for x, y in line
        )
        parts.append(f'<text x="{left}" y="{top - 8}" fill="#24292f">{name}</text>')
        for share in (0.0, 1.0):
            y = top + strip * (1 - share)
            parts.append(
                f'<line x1="{left}" y1="{y:.0f}" x2="{_WIDTH - right}" y2="{y:.0f}"'
                ' stroke="#d0d7de"/>'
                f'<text x="{left - 8}" y="{y + 4:.0f}" text-anchor="end">{share * y_high:,.3g}</text>'
            )
        parts.append(
            f'<polyline points="{placed}" fill="none" stroke="#1f6feb" stroke-width="1.5"/>'
        )
    parts.append(
        f'<text x="{_WIDTH - right}" y="{height - 8}" text-anchor="end">{x_high:,.0f} {x_title}</text>'
    )
    return "\n".join([*parts, "</svg>", ""])


def _round_step(high: float) -> float:
    """A round distance of grid lines, for four to ten of them."""
    rough = max(high, 1e-9) / 5
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
