"""The demo: green when nothing is broken, red when something is."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.integration.cli.callboard import (
    COMMAND,
    callboard,
    callboard_on_terminal,
    environment,
)

# A busy machine is slow, and that is no failure.
DEMO = ["demo", "--patience", "6"]
DEMO_SECONDS_MAX = 180.0
GOOD = "24 rooms, 24 jobs, 0 lost, 0 doubled"


def test_the_demo_kills_worker_and_server_and_loses_nothing(tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    played = callboard(*DEMO, "--svg", str(picture), seconds_max=DEMO_SECONDS_MAX)
    assert (played.code, played.err) == (0, "")
    lines = played.out.splitlines()
    assert lines[-1] == GOOD
    assert sum("SIGKILL" in line for line in lines) == 2
    assert len(lines) < 12
    assert any("every room call-* gets agent 'demo'" in line for line in lines)
    drawn = picture.read_text()
    assert "SIGKILL" in drawn
    assert str(Path.home()) not in drawn
    assert "http://" not in drawn.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(
    ("sabotages", "verdict", "named"),
    [
        # A server that does not answer in the end has lost them all.
        (
            ["server-stays-down"],
            r"\d+ rooms, 0 jobs, [1-9]\d* lost, 0 doubled",
            ["lost: call-01, "],
        ),
        (["old-data"], r"2\d rooms, \d+ jobs, \d+ lost, [1-9]\d* doubled", ["doubled: AJ_"]),
        # A room that no rule matches, and one that two rules match.
        (
            ["room-elsewhere", "second-rule"],
            "24 rooms, 24 jobs, 1 lost, 1 doubled",
            ["lost: lobby-6\n", "doubled: call-05\n"],
        ),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else "",
)
def test_a_sabotaged_demo_is_red(
    sabotages: list[str], verdict: str, named: list[str], tmp_path: Path
) -> None:
    options = [option for sabotage in sabotages for option in ("--sabotage", sabotage)]
    played = callboard(*DEMO, *options, env={"TMPDIR": str(tmp_path)}, seconds_max=DEMO_SECONDS_MAX)
    assert played.code == 1
    assert re.fullmatch(verdict, played.out.splitlines()[-1])
    for name in named:
        assert name in played.err
    assert list(tmp_path.glob("callboard-demo-*/server.log"))


def test_on_a_terminal_the_demo_moves() -> None:
    played = callboard_on_terminal(*DEMO)
    assert played.code == 0
    assert GOOD in played.out
    assert played.out.count("\x1b[2K") > 100  # lines painted over lines


def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, *DEMO],
        env=environment({"TMPDIR": str(tmp_path)}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while "SIGKILL" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "callboard: interrupted\n")
    assert list(tmp_path.iterdir()) == []
