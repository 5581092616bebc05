"""Times for people, text that cannot steer a terminal."""

import pytest

from dispatcher.cli.output import NS_PER_SECOND, ago, clock, lasted, printable, span

NOW = 1_800_000_000 * NS_PER_SECOND


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [
        (0.04, "0.0 s"),
        (0.5, "0.5 s"),
        (1, "1 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (172_799, "47 h"),
        (172_800, "2 d"),
    ],
)
def test_a_span_has_one_unit_that_fits(seconds: float, wanted: str) -> None:
    assert span(seconds) == wanted


def test_a_moment_is_told_by_its_distance() -> None:
    assert ago(NOW - 3 * NS_PER_SECOND, NOW) == "3 s ago"
    assert ago(NOW + 90 * NS_PER_SECOND, NOW) == "in 1 min"
    assert ago(0, NOW) == "-"


def test_an_exact_moment_has_milliseconds() -> None:
    assert clock(NOW + 7_000_000).endswith(".007")
    assert clock(0) == "-"


def test_what_cannot_be_printed_is_made_visible() -> None:
    assert printable("a\x1b[31m\nb") == "a\\x1b[31m\\nb"
    assert printable("grüß 你好") == "grüß 你好"
    assert printable("\u202eevil") == "\\u202eevil"


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [
        (0.0071, "7 ms"),
        (5.23, "5.2 s"),
        (724, "12 min 4 s"),
        (12_000, "3 h 20 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_a_length_of_time_keeps_some_three_digits(seconds: float, wanted: str) -> None:
    assert lasted(round(seconds * NS_PER_SECOND)) == wanted
