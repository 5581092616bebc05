"""Each example of docs/worker.md runs as it stands there, and prints what its comments say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.callboard import environment, served

PAGE = (Path(__file__).parents[3] / "docs" / "worker.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
# Those in rooms are run where there is an SFU: tests/integration/examples/test_worker_page.py.
ALONE = [each for each in EXAMPLES if "ctx.room()" not in each and "DispatchClient" not in each]
WITH_SERVER = [each for each in EXAMPLES if "DispatchClient" in each]
# One made-up job for all of them.
CONSOLE = ["console", "--room", "lobby", "--metadata", "de", "--participant", "ann"]
TYPE = ["--type", "participant"]
SECONDS_MAX = 60.0


def said(program: str) -> list[str]:
    """What the comments behind `print` say that it prints."""
    return re.findall(r"^ *print\(.*\)  # (.*)$", program, re.MULTILINE)


def title(program: str) -> str:
    """What a test of an example is called."""
    found = re.search(r'agent_name="(\w+)"', program)
    return found[1] if found else "load"


def run(program: str, folder: Path, env: dict[str, str], *arguments: str) -> list[str]:
    """Run a program to its end; return what it printed."""
    path = folder / "my_worker.py"
    path.write_text(program)
    done = subprocess.run(
        [sys.executable, str(path), *arguments],
        env=environment(env),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done
    return done.stdout.splitlines()


@pytest.mark.parametrize("program", ALONE, ids=title)
def test_an_example_runs_a_job_and_prints_what_it_says(program: str, tmp_path: Path) -> None:
    is_worker = "worker.run()" in program
    printed = run(program, tmp_path, {}, *([*CONSOLE, *TYPE] if is_worker else []))
    if is_worker:
        assert printed.pop().startswith("job AJ_console in room 'lobby': success")
    assert printed == said(program)


@pytest.mark.parametrize("program", WITH_SERVER, ids=title)
def test_an_example_that_makes_dispatches_runs_against_a_server(
    program: str, tmp_path: Path
) -> None:
    with served(tmp_path) as server:
        written = run(program, tmp_path, server.env)
    # A program that sets up no logs has them on standard output, each line with its time.
    printed = [line for line in written if not re.match(r"\d{4}-", line)]
    assert sorted(printed) == sorted(said(program))
