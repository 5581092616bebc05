"""The judge: what counts as lost, what as doubled, and that nobody is believed alone."""

from dataclasses import replace
from pathlib import Path

from dispatcher.cli.demo.verdict import RecordLine, ServerJob, Verdict, judge, read_records

REPORTED = frozenset({"one", "two"})
JOBS = (
    ServerJob("AJ_1", "one", "succeeded", epoch=1, ends=1),
    ServerJob("AJ_2", "two", "succeeded", epoch=2, ends=1),
)


def ran(job_id: str, epoch: int, worker: str, outcome: str = "success") -> list[RecordLine]:
    return [
        RecordLine("start", job_id, epoch, worker),
        RecordLine("end", job_id, epoch, worker, outcome),
    ]


# The second job was started first by a worker that was killed.
RECORDS = [*ran("AJ_1", 1, "w1"), RecordLine("start", "AJ_2", 1, "w2"), *ran("AJ_2", 2, "w1")]


def verdict(
    jobs: tuple[ServerJob, ...] = JOBS,
    records: list[RecordLine] = RECORDS,
    reported: frozenset[str] = REPORTED,
) -> Verdict:
    return judge(2, reported, jobs, records)


def test_a_job_taken_over_from_a_dead_worker_is_neither_lost_nor_doubled() -> None:
    assert verdict().is_good
    assert str(verdict()) == "2 rooms, 2 jobs, 0 lost, 0 doubled"


def test_a_room_without_a_job_is_lost() -> None:
    assert verdict(jobs=JOBS[:1]).lost == ("two",)


def test_a_rule_that_never_matched_is_no_good_verdict() -> None:
    unserved = verdict(jobs=(), records=[])
    assert (unserved.lost, unserved.is_good) == (("one", "two"), False)


def test_a_job_in_a_room_that_nobody_told_of_is_no_good_verdict() -> None:
    stray = ServerJob("AJ_3", "three", "succeeded", epoch=1, ends=1)
    assert not verdict(jobs=(*JOBS, stray), records=[*RECORDS, *ran("AJ_3", 1, "w1")]).is_good


def test_a_job_that_did_not_succeed_is_lost() -> None:
    assert verdict(jobs=(JOBS[0], replace(JOBS[1], phase="failed"))).lost == ("two",)


def test_a_success_that_no_worker_recorded_is_lost() -> None:
    assert verdict(records=RECORDS[:-1]).lost == ("two",)


def test_a_success_that_a_worker_recorded_for_another_epoch_is_lost() -> None:
    assert verdict(jobs=(JOBS[0], replace(JOBS[1], epoch=3))).lost == ("two",)


def test_an_epoch_that_two_workers_started_is_doubled() -> None:
    assert verdict(records=[*RECORDS, RecordLine("start", "AJ_1", 1, "w3")]).doubled == ("AJ_1",)


def test_an_epoch_that_one_worker_started_twice_is_doubled() -> None:
    assert verdict(records=[*RECORDS, RecordLine("start", "AJ_1", 1, "w1")]).doubled == ("AJ_1",)


def test_a_job_that_was_finished_twice_is_doubled() -> None:
    assert verdict(records=[*RECORDS, *ran("AJ_2", 3, "w3")]).doubled == ("AJ_2",)


def test_a_job_whose_end_the_server_took_twice_is_doubled() -> None:
    assert verdict(jobs=(JOBS[0], replace(JOBS[1], ends=2))).doubled == ("AJ_2",)


def test_a_room_with_two_jobs_is_doubled() -> None:
    more = ServerJob("AJ_3", "one", "queued", epoch=1, ends=0)
    assert verdict(jobs=(*JOBS, more)).doubled == ("one",)


def test_a_room_that_was_never_acknowledged_is_no_good_verdict() -> None:
    served = verdict(jobs=JOBS[:1], reported=frozenset({"one"}))
    assert (served.lost, served.doubled, served.is_good) == ((), (), False)


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "w1.jsonl"
    line = '{"event":"start","job_id":"AJ_1","epoch":1,"instance_id":"w1"}\n'
    path.write_text(line + line[:20])
    assert read_records([path, tmp_path / "none"]) == [RecordLine("start", "AJ_1", 1, "w1")]
