"""`callboard loadtest` through the command line, against the server that these tests share.

No test asks how fast anything was: this machine may be busy. A harness that was too slow says so with
exit code 3, which is right too; `judged` takes that into account.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.integration.cli.callboard import (
    COMMAND,
    Result,
    Server,
    callboard,
    callboard_on_terminal,
    environment,
)
from worker_sdk import SyncDispatchClient
from worker_sdk.credentials import Credentials
from worker_sdk.loadtest.target import TargetUnusable, look

# A second, and as long a drain as a busy machine may take.
SHORT = [
    *("--duration-seconds", "1", "--warm-up-seconds", "0", "--drain-seconds", "45"),
    *("--workers", "4", "--rate", "20"),
]
# All of that, and processes that start, on a disk that may stand for a while.
SECONDS_MAX = 180.0


def credentials(server: Server) -> tuple[str, str, str]:
    """Return where it is, the key and its secret."""
    env = server.env
    return env["LIVEKIT_URL"], env["LIVEKIT_API_KEY"], env["LIVEKIT_API_SECRET"]


def loadtest(server: Server, *arguments: str) -> Result:
    """Run a short one, with its result as JSON."""
    return callboard(
        "loadtest", *SHORT, "--json", *arguments, env=server.env, seconds_max=SECONDS_MAX
    )


def judged(result: Result) -> dict[str, Any]:
    """Return the result of a run that broke no limit."""
    told: dict[str, Any] = result.json
    assert result.code == told["exit_code"] == (3 if told["is_harness_saturated"] else 0), result
    return told


def assert_well(figures: dict[str, Any]) -> None:
    """Every call was acknowledged, and every job was run and ended once."""
    assert figures["acknowledged"] == figures["ended"] > 0, figures
    for name in ("lost", "doubled", "errors", "not_made"):
        assert figures[name] == 0, figures


def test_a_run_is_told_in_lines_and_reported_in_all_forms(server: Server, tmp_path: Path) -> None:
    result = loadtest(server, "--caller-processes", "2", "--report", str(tmp_path / "out"))
    told = judged(result)
    figures = told["figures"]
    assert_well(figures)
    assert figures["calls"] == figures["acknowledged"] == 20
    for name in ("p50_ms", "p99_ms", "ack_p99_ms", "running_p99_ms", "end_p99_ms"):
        assert figures[name] > 0
    # How late the harness itself was is measured too.
    assert figures["harness_late_p99_ms"] is not None
    assert figures["harness_lag_p99_ms"] is not None
    # The server is a process of this machine.
    assert f"(pid {server.process.pid})" in told["server_process"]
    assert figures["server_rss_mib"] > 1
    assert told["server"].startswith("Callboard ")
    # However soon it is over, it is told of.
    assert "over  wanted 20/s" in result.err.splitlines()[-4], result.err
    written = {path.suffix: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert json.loads(written[".json"]) == told
    assert "call to assignment" in written[".txt"]
    assert "<svg" in written[".html"]
    assert server.env["LIVEKIT_API_SECRET"] not in "".join(written.values())


def test_a_ramp_holds_its_first_rate(server: Server) -> None:
    ramp = ["--shape", "ramp", "--arrivals", "poisson", "--ramp-step-seconds", "2"]
    told = judged(loadtest(server, *ramp, "--ramp-p99-ms-max", "600000"))
    assert_well(told["figures"])
    (step,) = told["steps"]
    assert step["rate"] == 20


def test_workers_that_are_killed_lose_no_job(server: Server) -> None:
    told = judged(
        loadtest(
            server,
            *("--worker-processes", "2", "--kill-every-seconds", "1", "--job-seconds", "2"),
            *("--grace-seconds", "1", "--rate", "30", "--duration-seconds", "2.5"),
        )
    )
    assert sum("SIGKILL" in event["what"] for event in told["events"]) >= 1
    figures = told["figures"]
    assert (figures["lost"], figures["doubled"], figures["errors"]) == (0, 0, 0), told
    assert figures["reruns"] > 0


def test_workers_that_come_and_go_decline_are_late_and_cut_off_lose_no_job(server: Server) -> None:
    told = judged(
        loadtest(
            server,
            *("--churn-per-second", "4", "--storm-every-seconds", "0.8", "--job-seconds", "2"),
            *("--slow-workers", "2", "--slow-answer-seconds", "0.3", "--declining-workers", "6"),
            *("--workers", "10", "--duration-seconds", "2"),
        )
    )
    figures = told["figures"]
    assert (figures["lost"], figures["doubled"], figures["errors"]) == (0, 0, 0), told
    assert figures["declined"] > 0
    assert figures["reconnect_max_ms"] > 0
    assert figures["claim_max_ms"] > 0


def test_what_waits_still_when_the_drain_is_over_is_overdue_and_not_lost(server: Server) -> None:
    """One job runs; the server says of the others that they are queued."""
    at_once = ["--shape", "burst", "--burst-jobs", "20", "--burst-every-seconds", "9"]
    busy = ["--workers", "1", "--capacity", "1", "--job-seconds", "60", "--drain-seconds", "4"]
    result = loadtest(server, *at_once, *busy, "--agent-name", "never-enough")
    figures = result.json["figures"]
    assert (figures["acknowledged"], figures["lost"], figures["failed"]) == (20, 0, 0), result
    assert figures["overdue"] + figures["unfinished"] == 20
    assert figures["unfinished"] <= 1
    assert result.code == 1
    with SyncDispatchClient(*credentials(server)) as client:  # nothing is left to other tests
        for job in client.iterate_jobs(agent_name="never-enough"):
            client.terminate_job(job.job.id)


# ---- targets that cannot be measured ----


@pytest.mark.anyio
async def test_a_wrong_key_is_a_sentence(server: Server) -> None:
    url, key, _ = credentials(server)
    with pytest.raises(TargetUnusable, match="does not take this key: check --api-key and --api-s"):
        await look(Credentials(url, key, "wrong"), "loadtest")


def test_nothing_that_listens_is_one_line(server: Server) -> None:
    line = callboard("loadtest", "--url", "ws://127.0.0.1:1", env=server.env).failed_with(1)
    assert line == "no server answers at http://127.0.0.1:1: Connection refused"


def test_a_wrong_line_of_a_profile_is_named(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("rate: 5\nworkrs: 3\n")
    line = callboard("loadtest", "-p", str(file), env=server.env).failed_with(2)
    assert line == f"{file}, line 2: unknown field 'workrs'; did you mean 'workers'?"


# ---- screens and endings ----


def test_on_a_terminal_a_burst_has_a_screen_and_then_the_report_with_what_was_broken(
    server: Server,
) -> None:
    burst = ["--shape", "burst", "--burst-jobs", "30", "--burst-every-seconds", "0.6"]
    limits = ["--fail-if", "ended>=1", "--fail-if", "lost>5"]
    result = callboard_on_terminal("loadtest", *SHORT, *burst, *limits, env=server.env)
    assert result.code == 1, result.out
    screen, _, report = result.out.rpartition("call to assignment")
    assert "busiest process" in screen
    assert "60 acknowledged, 60 ended, 0 lost, 0 overdue, 0 failed, 0 doubled" in report
    assert "FAILED: ended is 60: limit ended>=1 is broken" in report
    assert "ok: lost is 0: limit lost>5 is kept" in report


def started(server: Server, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "loadtest", *SHORT, "--duration-seconds", "60", "--json", *arguments],
        env=environment(server.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition: Callable[[], bool]) -> None:
    """Wait for something, within a bound."""
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_interrupted_closed_loop_ends_its_jobs_and_gives_the_report(server: Server) -> None:
    closed = ["--shape", "closed", "--callers", "3", "--worker-processes", "2"]
    with started(server, *closed) as process:
        assert process.stderr is not None
        # By then each caller has called again when its job was over.
        while not re.search(
            r"measuring .*acknowledged ([4-9]|\d\d)", line := process.stderr.readline()
        ):
            assert line, "it ended"
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) == 3
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == 130
    told = json.loads(out)
    assert told["is_interrupted"]
    assert 0 < told["seconds"] < 60
    assert_well(told["figures"])
    assert told["figures"]["acknowledged"] > 3
    assert not any(child.is_running() for child in children)


def test_when_the_command_is_killed_its_processes_end(server: Server) -> None:
    with started(server) as process:
        command = psutil.Process(process.pid)
        until(lambda: len(command.children()) == 2)
        children = command.children()
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=SECONDS_MAX)
    until(lambda: not any(child.is_running() for child in children))
