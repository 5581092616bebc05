"""What is missing in a data folder, or was changed: planted in one that the real store wrote."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatcher.core.jobs import SECOND
from dispatcher.history import Gone, Verdict, check
from dispatcher.history.comparison import EVENT_PRUNED, JOB_PRUNED
from dispatcher.history.folder import FolderHistory
from dispatcher.store.contract import EventRow, Retention
from dispatcher.store.sqlite.database import SqliteDatabase
from protocol import wire_pb2
from tests.conformance.store.builders import NOW, assign
from tests.unit.dispatcher.history.builders import broken
from tests.unit.dispatcher.history.folders import change, end, fill, judged, opened

# Jobs 1 to 4 end, a minute after one another; 5 and 6 wait.
JOBS, ENDED = 6, 4
EVENTS = JOBS + 2 * ENDED
AGES = 10**18
UNGUARDED = "DROP TRIGGER dispatch_is_written_once; DROP TRIGGER job_is_written_once; "


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    """A store in use."""
    database = opened(tmp_path)
    fill(database, JOBS)
    for number in range(ENDED):
        end(database, [f"job-{number}"], NOW + (number + 1) * 60 * SECOND)
    yield database
    database.close()


def prune(database: SqliteDatabase, *, events: int = 10**6, ended_jobs: int = 10**6) -> None:
    """Keep so many."""
    while database.prune(Retention(AGES, ended_jobs, AGES, events), NOW + 3600 * SECOND, 100):
        pass


def whats(verdict: Verdict, invariant: str) -> str:
    """Return what is said of its violations."""
    return "\n".join(f"{one.job_id} {one.what}" for one in verdict.of(invariant))


def not_judged(verdict: Verdict) -> dict[str, int]:
    return dict(verdict.finding("kept").unjudged)


# --- nothing is missing ---


def test_a_folder_in_use_is_clean(database: SqliteDatabase, tmp_path: Path) -> None:
    verdict = judged(tmp_path)
    assert verdict.is_clean
    assert verdict.finding("kept").judged == JOBS
    assert not_judged(verdict) == {}


def test_a_folder_after_a_kill_is_clean(database: SqliteDatabase, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    shutil.copytree(tmp_path, killed, ignore=lambda *_: ["killed"])
    assert judged(killed).is_clean
    database = opened(killed)
    fill(database, 1, "next")
    database.close()
    assert judged(killed).is_clean


def test_jobs_that_move_while_it_is_read_are_clean(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    with FolderHistory(tmp_path) as folder:
        next(folder.events())
        end(database, ["job-4"], NOW + 600 * SECOND)
        fill(database, 2, "later")
        comparison, numbers = folder.comparison(), folder.numbers()
    assert (comparison.compared, comparison.found) == (JOBS + 2, ())
    assert numbers.last == numbers.mentioned == EVENTS + 4


def test_a_job_that_ends_and_is_pruned_while_it_is_read_is_clean(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    def events_and_then(folder: FolderHistory) -> Iterator[EventRow | Gone]:
        yield from folder.events()
        end(database, ["job-4"], NOW + 600 * SECOND)
        prune(database, events=0, ended_jobs=0)

    with FolderHistory(tmp_path) as folder:
        assert check(events_and_then(folder), store=folder).is_clean


def test_pruned_events_are_not_judged_and_no_violation(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    prune(database, events=3)
    verdict = judged(tmp_path)
    assert verdict.is_clean
    # two that wait, and the two first to end
    assert not_judged(verdict) == {EVENT_PRUNED: 4}
    assert verdict.finding("kept").judged == 2


def test_pruned_jobs_are_not_judged_and_no_violation(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    prune(database, ended_jobs=1)
    verdict = judged(tmp_path)
    assert verdict.is_clean
    assert not_judged(verdict) == {JOB_PRUNED: ENDED - 1}
    assert verdict.finding("kept").judged == JOBS - ENDED + 1


def test_a_log_that_was_pruned_altogether_is_not_judged_and_no_violation(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    prune(database, events=0)
    verdict = judged(tmp_path)
    assert verdict.is_clean
    assert not_judged(verdict) == {EVENT_PRUNED: JOBS}


def test_a_store_that_goes_on_after_it_was_pruned_is_clean(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    prune(database, events=0, ended_jobs=0)
    fill(database, 3, "later")
    end(database, ["later-0", "later-1"], NOW + 7200 * SECOND)
    verdict = judged(tmp_path)
    assert verdict.is_clean
    assert verdict.finding("kept").judged == 3


# --- events are missing ---


def test_a_log_without_its_tail_is_found(database: SqliteDatabase, tmp_path: Path) -> None:
    database.close()
    change(tmp_path, f"DELETE FROM event WHERE sequence > {JOBS}")
    verdict = judged(tmp_path)
    assert broken(verdict) == {"sequence", "kept"}
    assert f"the log lacks {EVENTS - JOBS} events at its end" in whats(verdict, "sequence")
    assert whats(verdict, "kept").count("and the log has no such event") == ENDED
    assert verdict.finding("kept").judged == JOBS


def test_a_pruned_log_without_its_tail_is_found(database: SqliteDatabase, tmp_path: Path) -> None:
    prune(database, events=4)
    database.close()
    change(tmp_path, f"DELETE FROM event WHERE sequence >= {EVENTS}")
    assert broken(judged(tmp_path)) == {"sequence", "kept"}


def test_a_log_without_any_row_is_found(database: SqliteDatabase, tmp_path: Path) -> None:
    database.close()
    change(tmp_path, "DELETE FROM event")
    verdict = judged(tmp_path)
    assert broken(verdict) == {"sequence", "kept"}
    assert whats(verdict, "kept").count("and the log has no such event") == JOBS


def test_rows_that_came_after_the_last_pruning_are_missed(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    prune(database, events=4)
    fill(database, 2, "later")
    database.close()
    change(tmp_path, "DELETE FROM event")
    verdict = judged(tmp_path)
    assert whats(verdict, "kept").count("and the log has no such event") == 2
    assert not_judged(verdict) == {EVENT_PRUNED: JOBS}


def test_a_log_without_its_beginning_that_was_not_pruned_is_found(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    database.close()
    change(tmp_path, "DELETE FROM event WHERE sequence < 5")
    verdict = judged(tmp_path)
    assert "the log begins with number 5" in whats(verdict, "sequence")


# --- jobs are missing ---


@pytest.mark.parametrize("state_too", [True, False])
def test_an_ended_job_that_is_missing_and_was_not_pruned_is_found(
    database: SqliteDatabase, tmp_path: Path, state_too: bool
) -> None:
    database.close()
    change(tmp_path, "DELETE FROM job WHERE number = 1")
    if state_too:
        change(tmp_path, "DELETE FROM job_state WHERE job = 1")
    verdict = judged(tmp_path)
    assert broken(verdict) == {"kept"}
    assert "AJ_job-0 ended as succeeded by event 8" in whats(verdict, "kept")


def test_an_ended_job_that_is_missing_while_an_earlier_one_is_kept_is_found(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    prune(database, ended_jobs=3)
    database.close()
    change(tmp_path, "DELETE FROM job WHERE number = 4; DELETE FROM job_state WHERE job = 4")
    verdict = judged(tmp_path)
    assert "it was not pruned, for that of event 10, which ended before it" in whats(
        verdict, "kept"
    )
    assert not_judged(verdict) == {JOB_PRUNED: 1}


def test_an_ended_job_that_pruning_would_have_taken_next_is_not_judged(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    prune(database, ended_jobs=3)
    database.close()
    change(tmp_path, "DELETE FROM job WHERE number = 2; DELETE FROM job_state WHERE job = 2")
    verdict = judged(tmp_path)
    assert verdict.is_clean
    assert not_judged(verdict) == {JOB_PRUNED: 2}


def test_an_ended_job_that_is_missing_beside_one_that_ended_just_before_is_not_judged(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    end(database, ["job-4"], NOW + 600 * SECOND)
    end(database, ["job-5"], NOW + 605 * SECOND)
    prune(database, ended_jobs=2)
    database.close()
    change(tmp_path, "DELETE FROM job WHERE number = 6; DELETE FROM job_state WHERE job = 6")
    verdict = judged(tmp_path)
    assert verdict.is_clean
    assert not_judged(verdict) == {JOB_PRUNED: ENDED + 1}


def test_a_state_whose_job_is_missing_is_found_also_where_jobs_were_pruned(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    prune(database, ended_jobs=3)
    database.close()
    change(tmp_path, "DELETE FROM job WHERE number = 2")
    assert "the state of job number 2, succeeded" in whats(judged(tmp_path), "kept")


def test_a_job_of_which_no_trace_is_left_but_its_number_is_found(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    prune(database, events=1)
    fill(database, 3, "later")
    database.close()
    change(
        tmp_path,
        "DELETE FROM job WHERE number = 8; DELETE FROM job_state WHERE job = 8;"
        " DELETE FROM event WHERE job_id = 'AJ_later-1'",
    )
    assert "of jobs number 7 to 9 the store lacks 1: nothing was pruned after number 6" in whats(
        judged(tmp_path), "kept"
    )


# --- dispatches ---


def test_a_live_job_whose_dispatch_is_missing_is_found(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    database.close()
    change(tmp_path, "DELETE FROM dispatch WHERE number = 5")
    verdict = judged(tmp_path)
    assert "AJ_job-4 its dispatch, number 5, is not in the store" in whats(verdict, "kept")


def test_a_dispatch_that_is_missing_is_found_without_a_job_too(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    prune(database, events=1)
    fill(database, 2, "later")
    database.close()
    change(tmp_path, "DELETE FROM dispatch WHERE number = 7")
    change(tmp_path, "DELETE FROM job WHERE number = 7; DELETE FROM job_state WHERE job = 7")
    assert "of dispatches number 7 to 8 the store lacks 1" in whats(judged(tmp_path), "kept")


def _sent(**changes: str) -> str:
    """Return another config of the first dispatch, as SQL has bytes."""
    message = wire_pb2.AgentDispatch(
        id="AD_job-0",
        agent_name="agent",
        room=changes.get("room", "room"),
        metadata=changes.get("metadata", "for job-0"),
        attributes={"of": "job-0"},
    )
    return f"x'{message.SerializeToString().hex()}'"


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("x'ff'", "the config of dispatch AD_job-0 cannot be read"),
        ("7", "the config of dispatch AD_job-0 cannot be read"),
        ("x''", "dispatch AD_job-0 is for ['agent', 'room', '']"),
        (_sent(room="elsewhere"), "and its config ['AD_job-0', 'agent', 'elsewhere', '']"),
        (_sent(metadata="other"), "AJ_job-0 its metadata is not what dispatch AD_job-0 asked"),
    ],
)
def test_a_dispatch_whose_config_was_overwritten_is_found(
    database: SqliteDatabase, tmp_path: Path, config: str, told: str
) -> None:
    database.close()
    change(tmp_path, f"{UNGUARDED}UPDATE dispatch SET config = {config} WHERE number = 1")
    assert told in whats(judged(tmp_path), "kept")


def test_a_dispatch_whose_config_is_written_anew_as_it_was_is_clean(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    database.close()
    change(tmp_path, f"{UNGUARDED}UPDATE dispatch SET config = {_sent()} WHERE number = 1")
    assert judged(tmp_path).is_clean


def test_a_job_that_was_given_to_another_dispatch_is_found(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    database.close()
    change(tmp_path, f"{UNGUARDED}UPDATE job SET dispatch = 2 WHERE number = 1")
    assert "AJ_job-0 it is of dispatch AD_job-1" in whats(judged(tmp_path), "kept")


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("worker_id = 'AW_other'", "the store says worker_id 'AW_other', and its last event"),
        ("attempt = 4", "the store says attempt 4, and its last event"),
        ("error = 'it broke'", "the store says error 'it broke', and its last event"),
        ("reason = 2", "the store says reason 2, and its last event"),
        ("ended = 1 - ended", "and the store counts it as"),
    ],
)
def test_a_state_that_says_another_thing_than_its_last_event_is_found(
    database: SqliteDatabase, tmp_path: Path, column: str, told: str
) -> None:
    database.close()
    change(tmp_path, f"UPDATE job_state SET {column} WHERE job = 1")
    assert told in whats(judged(tmp_path), "kept")


def test_a_job_of_another_project_than_its_dispatch_is_found(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    database.close()
    change(tmp_path, f"{UNGUARDED}UPDATE dispatch SET project = 'another' WHERE number = 1")
    assert "and its dispatch of 'another'" in whats(judged(tmp_path), "kept")


def test_a_job_that_runs_without_an_identity_is_found(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    fill(database, 1, "held")
    database.apply([assign("held-0")], NOW + SECOND)
    database.close()
    assert judged(tmp_path).is_clean
    change(tmp_path, "UPDATE job_state SET participant_identity = ''")
    assert "AJ_held-0 it is assigned, and its participant has no" in whats(judged(tmp_path), "kept")


def test_a_state_of_another_project_than_its_last_event_is_found(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    database.close()
    change(tmp_path, "UPDATE event SET project = 'another'")
    assert "AJ_job-5 it is of project" in whats(judged(tmp_path), "kept")


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (
            "UPDATE dispatch SET restart_policy = 1 WHERE number = 1",
            "dispatch AD_job-0 has restart policy NEVER, and its config ON_FAILURE",
        ),
        (
            "UPDATE job SET restart_policy = 1 WHERE number = 1",
            "its restart policy is NEVER, and that of its dispatch ON_FAILURE",
        ),
    ],
)
def test_a_restart_policy_that_was_overwritten_is_found(
    database: SqliteDatabase, tmp_path: Path, sql: str, told: str
) -> None:
    database.close()
    change(tmp_path, UNGUARDED + sql)
    assert told in whats(judged(tmp_path), "kept")


def test_the_grace_time_of_a_worker_is_read_from_what_became_of_its_jobs(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    fill(database, 1, "held")
    database.apply([assign("held-0")], NOW + SECOND)
    database.close()
    with FolderHistory(tmp_path) as history:
        assert history.graces() == {"AW_1": 20 * SECOND}
