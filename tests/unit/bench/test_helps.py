"""Who asks for help is told the names that may be given."""

from __future__ import annotations

from bench.compare import __main__ as compare
from bench.compare.contenders import CONTENDERS
from bench.scale import __main__ as scale
from bench.workers import __main__ as workers


def one_line(told: str) -> str:
    """A help without the lines that it is broken into, which may be within a name."""
    return "".join(told.split())


def test_the_help_of_scale_names_its_parts() -> None:
    assert f":{','.join(scale.PARTS)}(default:all)" in one_line(scale.arguments().format_help())


def test_the_help_of_the_workers_names_their_figures() -> None:
    told = one_line(workers.arguments().format_help())
    assert f":{','.join(workers.FIGURES)}(default:all)" in told


def test_the_help_of_compare_names_its_contenders() -> None:
    told = one_line(compare.arguments().format_help())
    assert [each.name for each in CONTENDERS if one_line(each.name) not in told] == []


def test_a_contender_is_told_from_the_next_where_its_name_has_a_comma() -> None:
    assert compare.NAMES.split("; ") == [each.name for each in CONTENDERS]
