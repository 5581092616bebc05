"""Limits: what a text may say, and what becomes of it."""

from __future__ import annotations

import pytest

from protocol.errors import ConfigError
from worker_sdk.loadtest.figures import FIGURES, NOT_ON_STOCK, Figures
from worker_sdk.loadtest.limits import Limit, Verdict, judge, parse_limit


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("p99_ms>50", Limit("p99_ms", ">", 50.0)),
        ("  p99_ms  >=  0.5 ", Limit("p99_ms", ">=", 0.5)),
        ("rate<1e3", Limit("rate", "<", 1000.0)),
        ("lost!=0", Limit("lost", "!=", 0.0)),
        ("server_rss_growth_mib<=-1.5", Limit("server_rss_growth_mib", "<=", -1.5)),
        ("doubled==0", Limit("doubled", "==", 0.0)),
    ],
)
def test_a_limit_is_a_figure_a_comparison_and_a_number(text: str, limit: Limit) -> None:
    assert parse_limit(text) == limit
    assert parse_limit(str(limit)) == limit


@pytest.mark.parametrize(
    "text",
    ["", "p99_ms", "p99_ms>", ">50", "50<p99_ms", "p99_ms > 5 > 3", "p99_ms=5", "p99_ms>5;x"],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--fail-if: .*such as p99_ms>50|is no number"):
        parse_limit(text)


@pytest.mark.parametrize("number", ["fast", "nan", "inf", "0x10", "1_000", "5ms", "1e999"])
def test_a_number_is_written_plainly(number: str) -> None:
    with pytest.raises(ConfigError, match="is no number"):
        parse_limit(f"p99_ms>{number}")


def test_an_unknown_figure_is_answered_with_the_nearest_and_with_all() -> None:
    with pytest.raises(ConfigError) as refused:
        parse_limit("p98_ms>50", "profile x, line 3: fail_if")
    said = str(refused.value)
    assert said.startswith("profile x, line 3: fail_if: there is no figure 'p98_ms'")
    assert "did you mean 'p99_ms'?" in said
    assert all(figure.name in said for figure in FIGURES)


def figures() -> Figures:
    made = Figures()
    made.put("p99_ms", 12.5)
    made.put("running_p99_ms", None, NOT_ON_STOCK)
    made.put("server_cpu_cores", None)
    return made


@pytest.mark.parametrize(
    ("text", "verdict", "is_failure"),
    [
        ("p99_ms>50", Verdict.KEPT, False),
        ("p99_ms>12.5", Verdict.KEPT, False),
        ("p99_ms>=12.5", Verdict.BROKEN, True),
        ("running_p99_ms>1", Verdict.NOT_ON_STOCK, False),
        ("server_cpu_cores>1", Verdict.NOT_MEASURED, True),
    ],
)
def test_a_limit_is_broken_where_its_comparison_holds(
    text: str, verdict: Verdict, is_failure: bool
) -> None:
    (judgement,) = judge([parse_limit(text)], figures())
    assert (judgement.verdict, judgement.is_failure) == (verdict, is_failure)


def test_a_broken_limit_is_told_with_limit_value_and_bound() -> None:
    (judgement,) = judge([parse_limit("p99_ms>10")], figures())
    assert str(judgement) == "p99_ms is 12.5: limit p99_ms>10 is broken"
