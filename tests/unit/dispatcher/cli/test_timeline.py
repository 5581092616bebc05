"""A job's timeline: a bar in which no trouble is lost, and its moves by attempt, within the width."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from dispatcher.cli.timeline import Stay, Timeline, attempts, bar_of
from protocol import api_pb2

SECOND = 1_000_000_000
BEGIN = 1_800_000_000 * SECOND
WORKER = "AW_01ARZ3NDEKTSV4RRFFQ69G5F"
OTHER = "AW_01ARZ3NDEKTSV4RRFFQ69G5G"


def event(
    seconds: float, kind: str, phase: api_pb2.JobPhase, attempt: int, worker: str = "", **texts: Any
) -> api_pb2.JobEvent:
    """An event of a job, so many seconds after its first."""
    return api_pb2.JobEvent(
        at=BEGIN + round(seconds * SECOND),
        kind=kind,
        phase=phase,
        attempt=attempt,
        epoch=attempt,
        worker_id=worker,
        **texts,
    )


# It ran on a worker, was lost with it for a moment, and runs on another one.
EVENTS = (
    event(0, "created", api_pb2.QUEUED, 1, told="made by rule 'a': queued"),
    event(10, "assigned", api_pb2.ASSIGNED, 1, WORKER, told=f"accepted and assigned ({WORKER})"),
    event(10, "started", api_pb2.RUNNING, 1, WORKER, told="its worker started it"),
    event(90, "orphaned", api_pb2.ORPHANED, 1, WORKER, told="its worker is gone"),
    event(91, "grace_expired", api_pb2.QUEUED, 2, detail="no sign of it for so long " * 4),
    event(91, "assigned", api_pb2.ASSIGNED, 2, OTHER),
    event(91, "started", api_pb2.RUNNING, 2, OTHER),
)
TIMELINE = Timeline(EVENTS, BEGIN + 200 * SECOND)


def drawn(timeline: Timeline, width: int, encoding: str = "utf-8") -> list[str]:
    """Return the lines that a terminal of this width shows."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding)
    timeline.draw(Console(file=out, width=width))
    out.flush()
    return raw.getvalue().decode(encoding).splitlines()


def test_the_bar_is_as_wide_as_asked_and_shows_what_took_longest() -> None:
    stays = [Stay("queued", 0, 25), Stay("running", 25, 100)]
    assert "".join(glyph for glyph, _ in bar_of(stays, 8)) == "░░██████"


def test_a_moment_without_a_worker_is_seen_in_a_bar_of_any_width() -> None:
    stays = [Stay("running", 0, 5000), Stay("orphaned", 5000, 5001), Stay("running", 5001, 10_000)]
    for width in (1, 20, 80):
        assert "!" in {glyph for glyph, _ in bar_of(stays, width)}


def test_the_moves_stand_by_attempt_and_the_one_that_ends_it_is_its_last() -> None:
    first, second = attempts(EVENTS)
    assert [each.kind for _, each in first.moves][-1] == "grace_expired"
    assert (first.worker, second.worker) == (WORKER, OTHER)


def test_time_spent_in_each_phase_is_told_up_to_now() -> None:
    totals = drawn(TIMELINE, 100)[1]
    assert totals.startswith("3 min 20 s:")
    assert "running 3 min 9 s" in totals
    assert "! orphaned 1.0 s" in totals


def test_a_phase_and_its_mark_are_on_one_line_where_the_times_need_several() -> None:
    lines = drawn(TIMELINE, 50)
    assert "  ! orphaned 1.0 s" in lines[1:3]
    assert not any(line.endswith("!") for line in lines[1:3])


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_it_keeps_to_the_terminals_width(width: int) -> None:
    assert max(map(len, drawn(TIMELINE, width))) <= width


def test_a_worker_is_named_once_for_its_attempt() -> None:
    text = "\n".join(drawn(TIMELINE, 100))
    assert text.count(WORKER) == 1
    assert "accepted and assigned\n" in text


def test_a_terminal_without_unicode_gets_a_bar_too() -> None:
    assert drawn(TIMELINE, 40, "ascii")[0].startswith("::")


def test_a_pipe_gets_a_row_for_each_move_with_all_of_it() -> None:
    out = io.StringIO()
    TIMELINE.write(out)
    rows = [line.split("\t") for line in out.getvalue().splitlines()]
    assert rows[0][:6] == ["at", "after", "event", "phase", "attempt", "epoch"]
    assert rows[2][1:7] == ["10.0 s", "assigned", "assigned", "1", "1", WORKER]
    assert len(rows) == 1 + len(EVENTS)


def test_a_timeline_that_was_pruned_says_so() -> None:
    assert Timeline((), BEGIN).write(io.StringIO()) == ("no events are kept of it",)
