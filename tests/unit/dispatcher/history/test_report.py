"""A verdict as a person reads it at night, and as a program does."""

from __future__ import annotations

import json

import pytest

from dispatcher.core.jobs import SECOND
from dispatcher.history import Gone, MissingRecords, Verdict, check
from dispatcher.history.report import (
    all_told,
    as_json,
    conclusion,
    finding_cells,
    summary,
    told,
    unjudged,
)
from tests.unit.dispatcher.history.builders import Log, judge, line


@pytest.fixture
def doubled() -> Verdict:
    """A history in which two processes started one epoch."""
    log = Log()
    log.created()
    at = log.assigned().at
    log.started()
    return judge(log, [line("start", at + 1), line("start", at + 2, instance_id="two")])


def test_a_violation_is_told_with_its_job_and_the_two_lines_marked(doubled: Verdict) -> None:
    (text,) = all_told(doubled)
    lines = text.splitlines()
    assert lines[0] == "holders: AJ_1: epoch 1 was started by one and by two"
    assert lines[1].startswith("  promised: one epoch of a job is given to one worker")
    assert [text[2] for text in lines[2:]] == [" ", " ", ">", ">", " "]
    assert lines[4].endswith("one started it, epoch 1")
    assert "event 2" in lines[3]
    assert lines[3].endswith("assigned -> assigned, epoch 1, attempt 1, AW_1")


def test_a_verdict_in_one_line_counts_by_invariant(doubled: Verdict) -> None:
    assert conclusion(doubled) == "1 violation: 1 of holders"
    log = Log()
    log.whole_life()
    assert conclusion(judge(log)) == "no violation"


def test_an_empty_history_is_said_to_have_nothing_to_judge() -> None:
    verdict = check([])
    assert conclusion(verdict) == "nothing to judge"
    assert not verdict.is_judged
    assert finding_cells(verdict.finding("holders")) == ["holders", "-", "-", "nothing to judge"]


def test_an_invariant_that_nothing_was_judged_of_has_no_numbers(doubled: Verdict) -> None:
    why = "1: the log has neither offers nor who was free: only the simulator judges it"
    assert finding_cells(doubled.finding("offers")) == ["offers", "-", "-", why]
    assert "nothing to judge of offers: a queued job" in "\n".join(unjudged(doubled))
    words = {one["name"]: one["verdict"] for one in as_json(doubled)["invariants"]}
    assert words["offers"] == "nothing to judge"
    assert words["holders"] == "broken"
    assert words["lifecycle"] == "holds"


def test_lines_that_are_missing_or_torn_are_said() -> None:
    log = Log()
    log.whole_life()
    at = log.now
    lines = summary(judge(log, [MissingRecords(at, at, "a", 3), MissingRecords(at, at, "b")]))
    assert "1 torn line of the logs skipped, and not judged" in lines
    assert "3 records missing by their workers' own word (a full disk)" in "".join(lines)


def test_what_was_looked_at_is_said(doubled: Verdict) -> None:
    first, second = summary(doubled)
    assert first.startswith("3 events, 1 to 3 (")
    assert first.endswith("), 1 jobs, 1 of them not ended")
    assert second == "2 records of workers, 0 acknowledged dispatches"


def test_what_is_gone_is_said() -> None:
    log = Log()
    log.sequence = 99
    log.whole_life()
    log.rows.append(Gone(103, 110))
    lines = summary(judge(log))
    assert "history before event 100 is gone, and is not judged" in lines
    assert "events 104 to 109 were pruned meanwhile" in lines


def test_what_could_not_be_judged_is_in_the_table(doubled: Verdict) -> None:
    cells = finding_cells(doubled.finding("attempts"))
    assert cells == ["attempts", "1 jobs", "0", "1: the limit is not known (attempts_max)"]
    assert finding_cells(doubled.finding("holders"))[2] == "1"


def test_text_of_a_peer_does_not_steer_the_terminal() -> None:
    log = Log()
    log.created()
    log.started(error="\x1b[2Jgone\n")
    (violation,) = judge(log).violations
    assert "\x1b" not in told(violation)
    assert "\\x1b[2Jgone\\n" in told(violation)


def test_the_json_has_all_that_people_are_told(doubled: Verdict) -> None:
    document = json.loads(json.dumps(as_json(doubled)))
    assert document["clean"] is False
    (violation,) = document["violations"]
    marked = [one for one in violation["timeline"] if one["marked"]]
    assert [one["instance_id"] for one in marked] == ["one", "two"]
    assert {one["source"] for one in violation["timeline"]} == {"event", "worker"}
    assert len(document["invariants"]) == len(doubled.findings)


def test_what_a_caller_was_told_is_in_the_json() -> None:
    log = Log()
    log.whole_life()
    document = as_json(judge(log, acknowledged=["AD_lost"]))
    (violation,) = document["violations"]
    assert violation["timeline"][0]["dispatch_id"] == "AD_lost"
    assert int(violation["timeline"][0]["at"]) > SECOND
