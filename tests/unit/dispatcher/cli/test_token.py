"""Times to live and attributes, as a person writes them."""

import pytest

from dispatcher.cli.token import parse_pairs, parse_span
from protocol.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("90", 90), ("30m", 1800), ("1h30m", 5400), ("7d", 604_800)]
)
def test_a_time_to_live_is_read(text: str, seconds: float) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5 minutes", "-1h", "1y", "0s", "99999d"])
def test_a_time_to_live_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--ttl"):
        parse_span(text)


def test_a_value_may_hold_an_equals_sign() -> None:
    assert parse_pairs("--attribute", ["a=b=c", "d="]) == {"a": "b=c", "d": ""}
