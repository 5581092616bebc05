"""The files that docs/testing-agents.md shows pass as they stand there, and its tables have all names."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import worker_sdk.testing
from worker_sdk.testing import (
    FakeLocalParticipant,
    FakeRoom,
    InProcessDispatcher,
    InProcessJob,
    JobRun,
    JobView,
    RunOutcome,
    SentData,
    run_job,
)

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "testing-agents.md").read_text()
BLOCKS = re.findall(r"```python\n# (\w+\.py)(?:, continued)?\n(.*?)```", PAGE, re.DOTALL)
FILES = sorted({name for name, _ in BLOCKS})


def test_every_example_is_of_a_file() -> None:
    assert len(BLOCKS) == PAGE.count("```python")
    assert FILES == ["conftest.py", "my_agent.py", "test_interpret.py", "test_life.py"]


def test_the_files_pass(tmp_path: Path) -> None:
    for name in FILES:
        parts = [text for each, text in BLOCKS if each == name]
        (tmp_path / name).write_text("\n\n".join(parts))
    shown = len(re.findall(r"^async def test_", PAGE, re.MULTILINE))
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("LIVEKIT_")
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "."],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{shown} passed" in done.stdout


def tabled() -> set[str]:
    rows = "\n".join(line for line in PAGE.splitlines() if line.startswith("| "))
    return set(re.findall(r"`(\w+)", rows))


@pytest.mark.parametrize(
    ("of", "left_out"),
    [
        (InProcessDispatcher, {"changes", "room_of"}),
        (InProcessJob, set()),
        (FakeRoom, set()),
        (FakeLocalParticipant, {"sent"}),
        (JobRun, set()),
        (JobView, {"of"}),
        (SentData, set()),
    ],
)
def test_the_tables_have_every_name(of: type, left_out: set[str]) -> None:
    names = {name for name, _ in inspect.getmembers(of) if not name.startswith("_")}
    assert names - left_out <= tabled()


def test_the_page_names_all_that_is_exported() -> None:
    assert set(worker_sdk.testing.__all__) - {"InProcessDispatcher", "FakeRoom"} <= tabled()


def test_the_page_names_every_argument_and_outcome_of_a_run() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE))
    arguments = set(inspect.signature(run_job).parameters) - {"worker", "prewarm_first"}
    assert arguments <= named
    assert {outcome.value for outcome in RunOutcome} <= named
