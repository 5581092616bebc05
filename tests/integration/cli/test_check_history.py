"""`callboard check-history` on a real run: a folder in use, one after a crash, a server, and harm."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dispatcher.store.sqlite.folder import DATABASE_NAME
from tests.integration.cli.callboard import (
    Result,
    Server,
    callboard,
    callboard_on_terminal,
    environment,
    eventually,
    served,
)

JOBS = 4
LOG_NAME = f"{DATABASE_NAME}-wal"
UNGUARDED = "DROP TRIGGER dispatch_is_written_once"


@dataclass(frozen=True, slots=True)
class Run:
    """A server that still runs, whose jobs have ended, and what was written down of them."""

    server: Server
    data: Path
    worker_log: Path
    caller_log: Path

    @property
    def logs(self) -> list[str]:
        """The options that name all logs."""
        return ["--worker-log", str(self.worker_log), "--caller-log", str(self.caller_log)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run with a worker that keeps records and a caller that does."""
    folder = tmp_path_factory.mktemp("history")
    worker_log, caller_log = folder / "worker.jsonl", folder / "callers.jsonl"
    with served(folder) as server:
        worker = subprocess.Popen(
            [sys.executable, "-m", "dispatcher.cli.demo.worker", "w1"],
            env=environment({**server.env, "CALLBOARD_RECORD_PATH": str(worker_log)}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with caller_log.open("w") as log:
                for number in range(JOBS):
                    create = ["dispatch", "create", "-r", f"room-{number}", "-a", "demo", "--json"]
                    made = callboard(*create, "--metadata", '{"seconds": 0.1}', env=server.env)
                    assert made.code == 0, made
                    dispatch_id = made.json["id"]
                    log.write(json.dumps({"dispatch_id": dispatch_id, "at_ns": time.time_ns()}))
                    log.write("\n")
            eventually(["job", "list", "--json"], server.env, _have_succeeded)
            yield Run(server, folder / "data", worker_log, caller_log)
        finally:
            worker.kill()
            worker.wait()


def _have_succeeded(jobs: Result) -> bool:
    listed: list[dict[str, str]] = jobs.json["jobs"]
    return sum(job["phase"] == "SUCCEEDED" for job in listed) == JOBS


def content_of(folder: Path) -> dict[str, bytes]:
    """Return what every file has."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def crashed(run: Run, tmp_path: Path) -> Path:
    """The folder as it would be had the server been killed: it is idle, and all is on disk."""
    shutil.copytree(run.data, tmp_path / "crashed")
    return tmp_path / "crashed"


def tamper(folder: Path, sql: str) -> None:
    """Change what a folder has, and leave its log as it would be after a crash."""
    connection = sqlite3.connect(folder / DATABASE_NAME)
    connection.executescript(sql)
    connection.commit()
    connection.close()


def test_a_folder_in_use_is_clean_and_left_as_it_was(run: Run) -> None:
    before = content_of(run.data)
    done = callboard(
        "check-history", "--data-dir", str(run.data), "--ended", "--all-workers", *run.logs
    )
    assert done.code == 0, done
    assert done.out.endswith("\nno violation\n")
    assert f"{JOBS} acknowledged dispatches" in done.out
    assert content_of(run.data) == before
    assert callboard("job", "list", env=run.server.env).code == 0


def test_a_folder_in_use_is_read_with_what_is_in_its_log_alone(run: Run) -> None:
    assert (run.data / LOG_NAME).stat().st_size > 0
    done = callboard("check-history", "--data-dir", str(run.data), "--json")
    assert done.json["ended_jobs"] == JOBS
    assert done.json["clean"] is True


def test_a_folder_after_a_crash_is_clean_and_left_as_it_was(run: Run, crashed: Path) -> None:
    before = content_of(crashed)
    done = callboard("check-history", "--data-dir", str(crashed), *run.logs, "--json")
    assert done.code == 0, done
    assert done.json["acknowledged"] == JOBS
    assert content_of(crashed) == before


def test_a_folder_of_a_server_that_ended_in_peace_is_left_as_it_was(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        assert callboard("dispatch", "create", "-r", "r", "-a", "nobody", env=server.env).code == 0
    before = content_of(tmp_path / "data")
    done = callboard("check-history", "--data-dir", str(tmp_path / "data"), "--json")
    assert done.code == 0, done
    assert done.json["jobs"] == 1
    assert content_of(tmp_path / "data") == before


def test_a_copy_without_the_index_of_its_log_is_read(crashed: Path) -> None:
    (crashed / f"{DATABASE_NAME}-shm").unlink()
    done = callboard("check-history", "--data-dir", str(crashed), "--json")
    assert done.json["ended_jobs"] == JOBS, done


def test_a_running_server_is_checked_by_its_stream(run: Run) -> None:
    done = callboard(
        "check-history", "--url", run.server.env["LIVEKIT_URL"], *run.logs, env=run.server.env
    )
    assert done.code == 0, done
    assert f"{JOBS} jobs, 0 of them not ended" in done.out


def test_two_holders_of_an_epoch_are_told_with_what_shows_it(run: Run, tmp_path: Path) -> None:
    lines = run.worker_log.read_text().splitlines()
    start = next(line for line in map(json.loads, lines) if line["event"] == "start")
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({**start, "instance_id": "w2"}) + "\n")
    done = callboard(
        *("check-history", "--data-dir", str(run.data)), *run.logs, "--worker-log", str(other)
    )
    assert done.code == 1
    assert f"holders: {start['job_id']}: epoch 1 was started by" in done.out
    marked = [line for line in done.out.splitlines() if line.startswith("  > ")]
    assert ["w1 started it" in line for line in marked] == [True, False]
    assert "w2 started it" in marked[1]
    assert done.out.endswith("\n1 violation: 1 of holders\n")


def test_a_log_that_was_changed_is_found_out(crashed: Path) -> None:
    tamper(crashed, "DELETE FROM event WHERE trigger = 'assigned'")
    done = callboard("check-history", "--data-dir", str(crashed), "--json")
    assert done.code == 1
    broken = {one["name"] for one in done.json["invariants"] if one["violations"]}
    assert broken >= {"sequence", "lifecycle"}


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("DELETE FROM event WHERE sequence > 6", "and the log has no such event"),
        ("DELETE FROM event", "the log ends with 0, and nothing was ever pruned"),
        ("DELETE FROM event WHERE sequence < 6", "the log begins with number 6, not with 1"),
        (
            "DELETE FROM job WHERE number = 2; DELETE FROM job_state WHERE job = 2",
            "and the store does not have it: nothing was ever pruned",
        ),
        ("DELETE FROM dispatch WHERE number = 2", "its dispatch, number 2, is not in the store"),
        (
            f"{UNGUARDED}; UPDATE dispatch SET config = x'00' WHERE number = 2",
            "cannot be read",
        ),
    ],
)
def test_what_is_missing_or_overwritten_in_a_folder_is_found_out(
    crashed: Path, harm: str, told: str
) -> None:
    tamper(crashed, harm)
    done = callboard("check-history", "--data-dir", str(crashed))
    assert done.code == 1
    assert told in done.out


def test_a_dispatch_in_a_folder_cannot_be_overwritten(crashed: Path) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="a dispatch is written once"):
        tamper(crashed, "UPDATE dispatch SET config = x'00'")


def test_a_store_that_lacks_a_live_job_is_found_out(run: Run, crashed: Path) -> None:
    tamper(crashed, "DELETE FROM event WHERE phase = 'succeeded'")
    tamper(crashed, "DELETE FROM job_state")
    tamper(crashed, "DELETE FROM job")
    done = callboard("check-history", "--data-dir", str(crashed), "--json")
    kept = next(one for one in done.json["invariants"] if one["name"] == "kept")
    assert kept["violations"] == JOBS


def test_an_acknowledged_dispatch_that_is_nowhere_is_lost(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "caller.jsonl"
    log.write_text('{"dispatch_id": "AD_lost", "at_ns": 1790000000000000000}\n')
    done = callboard("check-history", "--data-dir", str(run.data), "--caller-log", str(log))
    assert done.code == 1
    assert "AD_lost was acknowledged" in done.out


def test_on_a_terminal_it_is_a_table(run: Run) -> None:
    done = callboard_on_terminal("check-history", "--data-dir", str(run.data))
    assert done.code == 0, done
    assert "INVARIANT" in done.out


def test_a_folder_without_a_store_is_wrong_usage(tmp_path: Path) -> None:
    failed = callboard("check-history", "--data-dir", str(tmp_path))
    assert failed.failed_with(2) == f"--data-dir: there is no store in {tmp_path}"


def test_a_folder_and_a_server_at_once_are_wrong_usage(tmp_path: Path) -> None:
    failed = callboard("check-history", "--data-dir", str(tmp_path), "--url", "ws://127.0.0.1:1")
    assert failed.failed_with(2) == "--data-dir and --url: give one of them"


def test_a_log_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    failed = callboard("check-history", "--worker-log", str(tmp_path / "none"))
    assert "--worker-log" in failed.failed_with(2)


def test_a_log_that_is_none_is_refused_with_what_to_do(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "worker.jsonl"
    log.write_text("nothing\nnothing\n")
    failed = callboard("check-history", "--data-dir", str(run.data), "--worker-log", str(log))
    told = failed.failed_with(3)
    assert told == f"{log}, line 1: is not JSON; give the file that CALLBOARD_RECORD_PATH named"


def test_a_torn_line_is_skipped_and_said(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "worker.jsonl"
    first, *others = run.worker_log.read_text().splitlines(keepends=True)
    log.write_text(f"{first[:20]}\n{''.join(others)}")
    arguments = ["check-history", "--data-dir", str(run.data), "--worker-log", str(log)]
    done = callboard(*arguments, "--ended", "--all-workers")
    assert done.code == 0, done
    assert "1 torn line of the logs skipped, and not judged" in done.out
    assert "records of workers are missing there" in done.out
    assert callboard(*arguments, "--json").json["torn_lines"] == 1


def test_a_worker_that_ran_more_at_once_than_the_limit_is_found(run: Run) -> None:
    done = callboard("check-history", "--data-dir", str(run.data), *run.logs, "--json")
    capacity = next(one for one in done.json["invariants"] if one["name"] == "capacity")
    assert capacity["verdict"] == "holds"
    assert capacity["judged"] == JOBS


def test_what_is_not_judged_is_named(run: Run) -> None:
    done = callboard("check-history", "--data-dir", str(run.data))
    assert "\nnothing to judge of offers: a queued job" in done.out
    assert "\nnothing to judge of acknowledged: a dispatch" in done.out
    assert "\nstops\t-\t-\tnothing to judge\n" in done.out


def test_a_history_with_nothing_in_it_is_no_verdict(tmp_path: Path) -> None:
    with served(tmp_path):
        pass
    done = callboard("check-history", "--data-dir", str(tmp_path / "data"))
    assert done.code == 3, done
    assert done.out.endswith("\nnothing to judge\n")


def test_a_server_that_refuses_the_key_is_one_line(run: Run) -> None:
    env = {**run.server.env, "LIVEKIT_API_SECRET": "another-secret-that-is-long-enough-too"}
    failed = callboard("check-history", "--url", env["LIVEKIT_URL"], env=env)
    assert "does not take this key" in failed.failed_with(3)
