"""Logs of workers and callers, and events that a server streams."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.history import Acknowledgement, HistoryUnreadable, MissingRecords, WorkerRecord
from dispatcher.history.reading import Logs, streamed_event
from dispatcher.server.event_stream import event_data
from tests.unit.dispatcher.history.builders import Log
from worker_sdk.records import JobRecords


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def write(path: Path, instance_id: str, at: int) -> None:
    """Let a worker of ours write a start and an end."""
    records = JobRecords(path, instance_id, lambda: at)
    records.write("start", job_id="AJ_1", epoch=2, attempt=1, room="r")
    records.write("end", job_id="AJ_1", epoch=2, attempt=1, room="r", outcome="failed")
    records.close()


def test_what_a_worker_of_ours_writes_is_read(log: Path) -> None:
    write(log, "one", 5)
    assert list(Logs([log]).records()) == [
        WorkerRecord("start", "AJ_1", 2, 5, "one", "r", opened_at=5),
        WorkerRecord("end", "AJ_1", 2, 5, "one", "r", "failed"),
    ]


def test_a_worker_that_did_not_know_the_epoch_has_none(log: Path) -> None:
    records = JobRecords(log, "one", lambda: 5)
    records.write("start", job_id="AJ_1", epoch=None, attempt=1, room="r")
    records.close()
    (record,) = Logs([log]).records()
    assert isinstance(record, WorkerRecord)
    assert record.epoch == 0


def test_records_of_several_workers_come_by_time(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    write(paths[0], "late", 9)
    write(paths[1], "early", 3)
    read = [one for one in Logs(paths).records() if isinstance(one, WorkerRecord)]
    assert [one.instance_id for one in read] == ["early"] * 2 + ["late"] * 2


def test_a_line_that_is_being_written_is_not_read(log: Path) -> None:
    write(log, "one", 5)
    with log.open("a") as file:
        file.write('{"event":"sta')
    assert len(list(Logs([log]).records())) == 2


def test_what_is_written_later_is_for_the_next_look(log: Path) -> None:
    write(log, "one", 5)
    logs = Logs([log])
    write(log, "one", 6)
    assert len(list(logs.records())) == 2


def test_a_torn_line_is_skipped_and_counted_with_its_place_in_time(log: Path) -> None:
    write(log, "one", 5)
    with log.open("a") as file:
        file.write('{"event":"sta\n')
    write(log, "one", 9)
    logs = Logs([log])
    torn = [one for one in logs.records() if isinstance(one, MissingRecords)]
    assert torn == [MissingRecords(5, 9, f"{log}, line 3")]
    assert logs.torn == 1


def test_a_line_of_zeros_as_a_crash_leaves_them_is_torn(log: Path) -> None:
    write(log, "one", 5)
    with log.open("ab") as file:
        file.write(bytes(100) + b"\n")
    logs = Logs([log])
    assert len(list(logs.records())) == 3
    assert logs.torn == 1


def test_a_torn_line_at_the_end_is_before_all_that_comes_later(log: Path) -> None:
    write(log, "one", 5)
    with log.open("a") as file:
        file.write("sta\n")
    *_, torn = Logs([log]).records()
    assert isinstance(torn, MissingRecords)
    assert torn.since == 5 < torn.at


def test_what_a_worker_says_to_be_missing_is_read(log: Path) -> None:
    log.write_text('{"event":"missing","count":3,"since_ns":5,"at_ns":9}\n')
    assert list(Logs([log]).records()) == [MissingRecords(5, 9, f"{log}, line 1", 3)]


@pytest.mark.parametrize("line", ['{"event":"sta', "7", '"start"', "nothing"])
def test_a_file_without_a_whole_line_is_refused_with_what_to_do(log: Path, line: str) -> None:
    log.write_text(f"{line}\n{line}\n")
    with pytest.raises(HistoryUnreadable, match=r"line 1: is not .*CALLBOARD_RECORD_PATH"):
        list(Logs([log]).records())


@pytest.mark.parametrize("line", ['{"event": "start"}', '{"event": "danced"}'])
def test_a_line_that_is_no_record_is_named(log: Path, line: str) -> None:
    write(log, "one", 5)
    with log.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(HistoryUnreadable, match=r"line 3: is not a record.*CALLBOARD_RECORD_PATH"):
        list(Logs([log]).records())


def test_a_torn_line_of_a_caller_is_skipped_and_counted(log: Path) -> None:
    log.write_text('{"dispatch_id":"AD_1"}\n{"disp\n{"dispatch_id":"AD_2"}\n')
    logs = Logs([log])
    assert [one.dispatch_id for one in logs.acknowledgements()] == ["AD_1", "AD_2"]
    assert logs.torn == 1


def test_what_callers_were_acknowledged_is_read(log: Path) -> None:
    log.write_text('{"dispatch_id":"AD_1","at_ns":7}\n\n{"dispatch_id":"AD_2"}\n')
    assert list(Logs([log]).acknowledgements()) == [
        Acknowledgement("AD_1", 7),
        Acknowledgement("AD_2", 0),
    ]


def test_a_line_that_is_no_acknowledgement_is_named(log: Path) -> None:
    log.write_text('{"dispatch_id":"AD_1"}\n{"id":"AD_2"}\n')
    with pytest.raises(HistoryUnreadable, match="line 2: is not an acknowledged dispatch"):
        list(Logs([log]).acknowledgements())


def test_what_a_server_streams_is_the_event_without_its_project() -> None:
    row = Log().move(JobTrigger.WORKER_LOST, JobPhase.ORPHANED, detail="it is gone", project="")
    assert streamed_event(row.sequence, event_data(row)) == row


def test_an_event_of_a_newer_server_is_named() -> None:
    data = {**event_data(Log().created()), "kind": "blessed"}
    with pytest.raises(HistoryUnreadable, match="event 7 has 'blessed'"):
        streamed_event(7, data)
