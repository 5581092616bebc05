"""Plots: placed where they belong, and readable."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET

from worker_sdk.loadtest.plots import (
    POINTS_MAX,
    Line,
    Mark,
    latency_by_percentile,
    over_time,
)


def paths(picture: str) -> list[str]:
    return [path.attrib["d"] for path in ET.fromstring(picture).findall(".//path")]


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path)]


def names(picture: str) -> dict[str, float]:
    """The names of lines, with their heights."""
    texts = ET.fromstring(picture).findall(".//text")
    return {text.text or "": float(text.attrib["y"]) for text in texts if "fill" in text.attrib}


def test_what_is_greater_is_higher_and_what_is_later_is_further_right() -> None:
    ((first, second),) = [
        points(path) for path in paths(over_time({"a": [(0, 1), (5, 9)]}, unit=""))
    ]
    assert second[0] > first[0]
    assert second[1] < first[1]


def test_a_logarithmic_axis_gives_each_power_of_ten_the_same_room() -> None:
    line: Line = [(0, 1), (1, 10), (2, 100)]
    ((a, b, c),) = [
        points(path) for path in paths(over_time({"a": line}, unit="", is_logarithmic=True))
    ]
    assert abs((a[1] - b[1]) - (b[1] - c[1])) < 0.2


def test_a_second_without_a_value_is_a_gap() -> None:
    (path,) = paths(over_time({"a": [(0, 1), (1, None), (2, 1), (3, 1)]}, unit=""))
    assert path.count("M") == 2


def test_names_never_cover_each_other_nor_leave_the_picture() -> None:
    lines: dict[str, Line] = {name: [(0, 5), (1, 0)] for name in "abcdef"}
    heights = sorted(names(over_time(lines, unit="/s")).values())
    assert len(heights) == 6
    assert all(later - sooner >= 13.9 for sooner, later in itertools.pairwise(heights))
    assert heights[0] > 0
    assert heights[-1] <= 240


def test_a_long_run_keeps_its_peaks() -> None:
    line: Line = [(second, 900.0 if second == 7003 else 1.0) for second in range(20_000)]
    (path,) = paths(over_time({"a": line}, unit=""))
    found = points(path)
    assert len(found) <= POINTS_MAX
    assert min(y for _, y in found) < 60


def test_text_is_escaped() -> None:
    picture = over_time({"<a>": [(0, 1), (1, 2)]}, unit="<u>", marks=[Mark(0.5, "<m>")])
    assert "<a>" not in picture
    ET.fromstring(picture)


def test_each_nine_has_the_same_room() -> None:
    curve = [(0.9, 1000), (0.99, 2000), (0.999, 3000), (1.0, 4000)]
    (path,) = paths(latency_by_percentile({"a": curve}))
    xs = [x for x, _ in points(path)][1:4]
    assert abs((xs[1] - xs[0]) - (xs[2] - xs[1])) < 0.2


def test_nothing_measured_is_said() -> None:
    assert "nothing was measured" in over_time({"a": [(0, None)]}, unit="")
    assert "nothing was measured" in latency_by_percentile({"a": []})
