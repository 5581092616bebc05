"""What a soak says of growth."""

from __future__ import annotations

import pytest

from bench.soak.report import growth


def test_growth_is_what_the_line_through_all_looks_rises_by_their_mean() -> None:
    assert growth([(0, 90.0), (5, 100.0), (10, 110.0)]) == pytest.approx(0.2)


def test_one_high_look_at_the_end_is_not_taken_for_growth() -> None:
    looks = [(float(x), 100.0) for x in range(100)] + [(100.0, 120.0)]
    assert 0 < growth(looks) < 0.02


def test_what_is_flat_or_nothing_does_not_grow() -> None:
    assert growth([(0, 5.0), (1, 5.0)]) == 0
    assert growth([(0, 0.0), (1, 0.0)]) == 0
