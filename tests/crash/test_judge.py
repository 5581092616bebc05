"""The judge finds each kind of harm: one that cannot condemn would prove nothing."""

from tests.crash.judge import Line, Row, judge

CREATED = Row(1, "AJ_1", "created", "queued", 1)
ASSIGNED = Row(2, "AJ_1", "assigned", "assigned", 1)
SUCCEEDED = Row(3, "AJ_1", "succeeded", "succeeded", 1)
START = Line("start", "AJ_1", 1, "one", "")
END = Line("end", "AJ_1", 1, "one", "success")


def test_a_job_that_ran_once_and_succeeded_is_good() -> None:
    assert judge({"AD_1": "AJ_1"}, [CREATED, ASSIGNED, SUCCEEDED], [START, END]).is_good


def test_an_acknowledged_job_without_a_row_is_lost() -> None:
    assert judge({"AD_1": "AJ_1"}, [], []).lost


def test_an_acknowledged_job_that_never_succeeded_is_lost() -> None:
    assert judge({"AD_1": "AJ_1"}, [CREATED, ASSIGNED], [START]).lost


def test_an_epoch_that_two_workers_started_is_doubled() -> None:
    other = Line("start", "AJ_1", 1, "two", "")
    assert judge({}, [CREATED, ASSIGNED, SUCCEEDED], [START, other, END]).doubled


def test_two_epochs_on_two_workers_are_not_doubled() -> None:
    again = Row(3, "AJ_1", "grace_expired", "queued", 2)
    ended = Row(4, "AJ_1", "succeeded", "succeeded", 2)
    records = [START, Line("start", "AJ_1", 2, "two", ""), Line("end", "AJ_1", 2, "two", "success")]
    verdict = judge({"AD_1": "AJ_1"}, [CREATED, ASSIGNED, again, ended], records)
    assert verdict.is_good
    assert verdict.attempts_beyond_first == 1


def test_a_result_of_an_older_epoch_that_counted_is_stale() -> None:
    again = Row(3, "AJ_1", "grace_expired", "queued", 2)
    ended = Row(4, "AJ_1", "succeeded", "succeeded", 2)
    assert judge({}, [CREATED, ASSIGNED, again, ended], [START, END]).stale


def test_a_job_that_moves_after_its_end_is_broken() -> None:
    assert judge({}, [CREATED, SUCCEEDED, ASSIGNED], [START, END]).broken


def test_epochs_that_go_back_are_broken() -> None:
    later = Row(2, "AJ_1", "grace_expired", "queued", 2)
    assert judge({}, [CREATED, later, SUCCEEDED], [START, END]).broken
