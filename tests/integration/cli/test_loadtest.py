"""`callboard loadtest` through the command line, against the server that these tests share.

No test asks how fast anything was: this machine may be busy. A harness that was too slow says so with
exit code 3, which is right too; `judged` takes that into account.
"""

from __future__ import annotations

import json
import os
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
    COMMAND_SECONDS_MAX,
    Result,
    Server,
    callboard,
    callboard_on_terminal,
    environment,
)

# A second, and as long a drain as a busy machine may take.
SHORT = [
    *("--duration-seconds", "1", "--warm-up-seconds", "0", "--drain-seconds", "45"),
    *("--workers", "4", "--rate", "20"),
]


def loadtest(server: Server, *arguments: str) -> Result:
    """Run a short one, with its result as JSON."""
    return callboard("loadtest", *SHORT, "--json", *arguments, env=server.env)


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
    result = loadtest(server, "--duration-seconds", "2.5", "--report", str(tmp_path / "out"))
    told = judged(result)
    figures = told["figures"]
    assert_well(figures)
    assert figures["calls"] == figures["acknowledged"] == 50
    for name in ("p50_ms", "p99_ms", "ack_p99_ms", "running_p99_ms", "end_p99_ms"):
        assert figures[name] > 0
    # The server is a process of this machine.
    assert f"(pid {server.process.pid})" in told["server_process"]
    assert figures["server_rss_mib"] > 1
    assert told["server"].startswith("Callboard ")
    assert any("wanted 20/s" in line for line in result.err.splitlines()), result.err
    written = {path.suffix: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert json.loads(written[".json"]) == told
    assert "call to assignment" in written[".txt"]
    assert "<svg" in written[".html"]
    assert server.env["LIVEKIT_API_SECRET"] not in "".join(written.values())


@pytest.mark.parametrize(
    "shape",
    [
        ["--shape", "rate", "--arrivals", "poisson", "--caller-processes", "2"],
        ["--shape", "burst", "--burst-jobs", "60", "--burst-every-seconds", "0.6"],
        ["--shape", "closed", "--callers", "3", "--worker-processes", "2"],
        ["--shape", "ramp", "--ramp-step-seconds", "2", "--ramp-p99-ms-max", "600000"],
    ],
    ids=lambda shape: shape[1],
)
def test_every_shape_has_jobs_run_and_ended_once(server: Server, shape: list[str]) -> None:
    figures = judged(loadtest(server, *shape))["figures"]
    assert_well(figures)
    assert figures["rate_wanted"] > 0


def test_workers_that_are_killed_lose_no_job(server: Server) -> None:
    told = judged(
        loadtest(
            server,
            *("--worker-processes", "2", "--kill-every-seconds", "0.9", "--job-seconds", "0.5"),
            *("--grace-seconds", "1", "--rate", "30", "--duration-seconds", "2"),
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
            *("--churn-per-second", "4", "--storm-every-seconds", "0.8", "--job-seconds", "1"),
            *("--slow-workers", "2", "--slow-answer-seconds", "0.3", "--declining-workers", "2"),
            *("--workers", "10", "--duration-seconds", "2"),
        )
    )
    figures = told["figures"]
    assert (figures["lost"], figures["doubled"], figures["errors"]) == (0, 0, 0), told
    assert figures["declined"] > 0
    assert figures["reconnect_max_ms"] > 0
    assert figures["claim_max_ms"] > 0


# ---- targets that cannot be measured ----


def test_a_wrong_key_is_one_line(server: Server) -> None:
    line = callboard("loadtest", "--api-secret", "wrong", env=server.env).failed_with(1)
    assert "does not take this key: check --api-key and --api-secret" in line


def test_nothing_that_listens_is_one_line(server: Server) -> None:
    line = callboard("loadtest", "--url", "ws://127.0.0.1:1", env=server.env).failed_with(1)
    assert line == "no server answers at http://127.0.0.1:1: Connection refused"


def test_a_wrong_line_of_a_profile_is_named(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("rate: 5\nworkrs: 3\n")
    line = callboard("loadtest", "-p", str(file), env=server.env).failed_with(2)
    assert line == f"{file}, line 2: unknown field 'workrs'; did you mean 'workers'?"


# ---- screens and endings ----


def test_on_a_terminal_there_is_a_screen_and_then_the_report_with_what_was_broken(
    server: Server,
) -> None:
    limits = ["--fail-if", "ended>=1", "--fail-if", "lost>5"]
    result = callboard_on_terminal("loadtest", *SHORT, *limits, env=server.env)
    assert result.code == 1, result.out
    screen, _, report = result.out.rpartition("call to assignment")
    assert "busiest process" in screen
    assert "FAILED: ended is 20: limit ended>=1 is broken" in report
    assert "ok: lost is 0: limit lost>5 is kept" in report


def started(server: Server) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "loadtest", *SHORT, "--duration-seconds", "60", "--json"],
        env=environment(server.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def children_that_measure(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return its processes, when it says that it measures."""
    assert process.stderr is not None
    while "measuring" not in (line := process.stderr.readline()):
        assert line, "it ended"
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == 2
    return children


def until(condition: Callable[[], bool]) -> None:
    """Wait for something, within a bound."""
    deadline = time.monotonic() + COMMAND_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_interrupt_gives_the_report_of_what_was_measured_until_then(server: Server) -> None:
    with started(server) as process:
        children = children_that_measure(process)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=COMMAND_SECONDS_MAX)
    assert process.returncode == 130
    told = json.loads(out)
    assert told["is_interrupted"]
    assert 0 < told["seconds"] < 60
    assert told["figures"]["lost"] == 0
    assert not any(child.is_running() for child in children)


def test_when_the_command_is_killed_its_processes_end(server: Server) -> None:
    with started(server) as process:
        children = children_that_measure(process)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=COMMAND_SECONDS_MAX)
    until(lambda: not any(child.is_running() for child in children))
