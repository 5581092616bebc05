"""Tables on a narrow terminal: an id stays in one piece, and what is left out is what matters least."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from dispatcher.cli.blocks import Table
from dispatcher.cli.tables import column_widths, parted, shortened

JOB = "AJ_01ARZ3NDEKTSV4RRFFQ69G5F"
WORKER = "AW_01ARZ3NDEKTSV4RRFFQ69G5F"
COLUMNS = ["id", "room", "agent", "phase", "worker", "created", "note"]
ROW = [JOB, "call-with-a-rather-long-name", "greeter", "orphaned", WORKER, "3 s ago", "-"]
SPARE = ["worker", "created", "agent"]


def shown(
    width: int,
    columns: list[str],
    *rows: list[str],
    spare: tuple[str, ...] = (),
    folds: tuple[str, ...] = (),
) -> str:
    """Return what a terminal of this width shows."""
    out = io.StringIO()
    Table(columns, rows, "none", "phase", spare, folds).draw(Console(file=out, width=width))
    return out.getvalue()


@pytest.mark.parametrize("width", [20, 60, 80, 100, 200])
def test_an_id_is_whole_whatever_the_width(width: int) -> None:
    text = shown(width, COLUMNS, ROW, spare=tuple(SPARE))
    assert JOB in text


def test_an_id_in_a_sentence_or_in_a_list_is_whole() -> None:
    note = f"RETRYING; was on {WORKER}; its agent was lost (signal_close)"
    row = ["2026-11-21 19:31:55.123", note, f"{JOB},{JOB}"]
    text = shown(60, ["at", "note", "jobs"], row, folds=("at", "note", "jobs"))
    assert WORKER in text
    assert text.count(JOB) == 2


def test_a_table_of_eighty_columns_keeps_to_them_by_leaving_out_what_matters_least() -> None:
    text = shown(80, COLUMNS, ROW, spare=tuple(SPARE))
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    assert WORKER not in text
    assert list(column_widths(COLUMNS, [ROW], 80, SPARE)) == [
        "id",
        "room",
        "agent",
        "phase",
        "created",
        "note",
    ]


def test_who_asks_is_told_what_is_left_out() -> None:
    table = Table(COLUMNS, [ROW], "none", "phase", SPARE)
    narrow, wide = (Console(file=io.StringIO(), width=width) for width in (80, 200))
    assert table.draw(narrow) == ("too narrow for worker",)
    assert table.draw(wide) == ()


def test_each_row_of_a_list_is_one_line_and_what_is_cut_says_so() -> None:
    row = [
        JOB,
        "call-with-a-rather-long-name" * 3,
        "greeter",
        "running",
        WORKER,
        "3 s ago",
        "x" * 99,
    ]
    text = shown(80, COLUMNS, row, row, spare=tuple(SPARE))
    lines = text.splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 80
    assert lines[1].count("…") == 2


@pytest.mark.parametrize(
    ("cell", "width", "wanted"),
    [
        ("short", 9, "short"),
        ("rather-long", 6, "rathe…"),
        ("你好你好", 5, "你好…"),
        (f"{JOB}, {JOB}", 40, f"{JOB}…"),
        (f"was on {WORKER}; it", 20, "was on…"),
    ],
)
def test_a_cut_goes_through_no_id_and_keeps_to_its_places(
    cell: str, width: int, wanted: str
) -> None:
    assert shortened(cell, width) == wanted


def test_a_wide_terminal_folds_nothing() -> None:
    assert len(shown(200, COLUMNS, ROW, spare=tuple(SPARE)).splitlines()) == 2


def test_only_lists_of_ids_are_parted() -> None:
    assert parted(f"{JOB},{JOB}") == f"{JOB}, {JOB}"
    assert parted("room,publisher") == "room,publisher"
