"""What docs/client.md shows runs as it stands there, and prints what its comments say."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import re
import subprocess
import sys
from pathlib import Path
from types import CodeType
from typing import Any

import anyio
import pytest

from tests.integration.cli.callboard import Server, environment, served
from worker_sdk import DispatchClient, errors

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "client.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
# Whole programs come first, then the lines of one.
PROGRAMS, LINES = BLOCKS[:2], BLOCKS[2:]
CALLS = {
    name
    for name, _ in inspect.getmembers(DispatchClient, inspect.isfunction)
    if not name.startswith("_") and name != "close"
}
SECONDS_MAX = 60.0


def said(text: str) -> list[str]:
    """What the comments behind `print` say that it prints."""
    return re.findall(r"^ *print\(.*\)  # (.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("program", PROGRAMS, ids=["awaiting", "blocking"])
def test_the_first_programs_run(tmp_path: Path, program: str) -> None:
    with served(tmp_path) as server:
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment(server.env),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == said(program)


def test_all_that_follows_runs_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(tmp_path) as server:
        assert run_lines(server, monkeypatch) == said("\n".join(LINES))


def run_lines(server: Server, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    names: dict[str, Any] = {"DispatchClient": DispatchClient}
    printed = io.StringIO()

    async def run() -> None:
        with anyio.fail_after(SECONDS_MAX), contextlib.redirect_stdout(printed):
            for block in LINES:
                code: CodeType = compile(
                    block, "docs/client.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
                )
                waiting = eval(code, names)
                if waiting is not None:
                    await waiting
            for client in {each for each in names.values() if isinstance(each, DispatchClient)}:
                await client.close()

    anyio.run(run)
    return printed.getvalue().splitlines()


def test_the_table_has_every_call() -> None:
    table = PAGE.partition("## Calls")[2].partition("\n## ")[0].partition("```python")[0]
    shown = set(re.findall(r"`([a-z_]+)`", table))
    assert shown == CALLS


def test_every_error_has_its_row() -> None:
    table = PAGE.partition("## Errors")[2].partition("```python")[0]
    raised = {name for name in errors.__all__ if not name.isupper()}
    assert raised <= set(re.findall(r"`([A-Za-z]+)`", table))


@pytest.mark.parametrize("name", sorted(CALLS))
def test_every_call_says_what_it_does(name: str) -> None:
    text = inspect.getdoc(getattr(DispatchClient, name)) or ""
    assert text.partition("\n")[0].endswith("."), name
