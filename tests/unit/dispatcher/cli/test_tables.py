"""Tables on a narrow terminal: an id stays in one piece, and what is left out is what matters least."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from dispatcher.cli.output import print_table_on
from dispatcher.cli.tables import column_widths, parted

JOB = "AJ_01ARZ3NDEKTSV4RRFFQ69G5F"
WORKER = "AW_01ARZ3NDEKTSV4RRFFQ69G5F"
COLUMNS = ["id", "room", "agent", "phase", "worker", "created", "note"]
ROW = [JOB, "call-with-a-rather-long-name", "greeter", "orphaned", WORKER, "3 s ago", "-"]
SPARE = ["worker", "created", "agent"]


def shown(width: int, columns: list[str], *rows: list[str], spare: tuple[str, ...] = ()) -> str:
    """Return what a terminal of this width shows."""
    out = io.StringIO()
    print_table_on(Console(file=out, width=width), columns, rows, "phase", spare)
    return out.getvalue()


@pytest.mark.parametrize("width", [20, 60, 80, 100, 200])
def test_an_id_is_whole_whatever_the_width(width: int) -> None:
    text = shown(width, COLUMNS, ROW, spare=tuple(SPARE))
    assert JOB in text


def test_an_id_in_a_sentence_or_in_a_list_is_whole() -> None:
    note = f"RETRYING; was on {WORKER}; its agent was lost (signal_close)"
    text = shown(60, ["at", "note", "jobs"], ["2026-11-21 19:31:55.123", note, f"{JOB},{JOB}"])
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
    console = Console(file=io.StringIO(), width=80)
    assert print_table_on(console, COLUMNS, [ROW], "phase", SPARE) == ["worker"]
    console = Console(file=io.StringIO(), width=200)
    assert print_table_on(console, COLUMNS, [ROW], "phase", SPARE) == []


def test_a_wide_terminal_folds_nothing() -> None:
    assert len(shown(200, COLUMNS, ROW, spare=tuple(SPARE)).splitlines()) == 2


def test_only_lists_of_ids_are_parted() -> None:
    assert parted(f"{JOB},{JOB}") == f"{JOB}, {JOB}"
    assert parted("room,publisher") == "room,publisher"
