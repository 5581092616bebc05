"""The commands as a whole: short helps, quick to start, completed by the shell, and a page that is true."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dispatcher.cli import page
from dispatcher.cli.commands import command, commands_of

# What fits beside the longest name in `callboard --help` on 80 columns.
HELP_WIDTH_MAX = 61
DOCS = Path(__file__).parents[4] / "docs"
COMMANDS: Mapping[str, Any] = dict(commands_of(command(), "callboard"))


def run(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end, on 80 columns."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIVEKIT_")}
    return subprocess.run(
        [sys.executable, "-m", "dispatcher.cli", *arguments],
        env={**kept, "COLUMNS": "80", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_a_help_that_fits_one_line(name: str) -> None:
    first = COMMANDS[name].help.partition("\n\n")[0].replace("\n", " ")
    assert 0 < len(first) <= HELP_WIDTH_MAX or name == "callboard"
    assert first.endswith(".")


def test_a_help_ends_its_lines_where_the_terminal_does() -> None:
    out = run("worker", "drain", "--help").stdout
    assert " ".join(out.split()).count("until it is started anew.") == 1
    assert not any(line.strip() == "anew." for line in out.splitlines())


def test_the_whole_help_is_grouped_and_keeps_to_80_columns() -> None:
    out = run("--help").stdout
    assert max(map(len, out.splitlines())) <= 80
    assert re.findall(r"─ (What happens|What is to happen|Run and try|Beside it) ─", out)
    assert "<bool>" not in out


def test_the_page_of_the_command_line_is_what_the_commands_say() -> None:
    told = (DOCS / "command-line.md").read_text()
    assert told == page.command_line_page(), (
        "stale: python -m dispatcher.cli.page > docs/command-line.md"
    )


@pytest.mark.parametrize("arguments", [["--help"], ["worker", "list", "--dev"]])
def test_a_client_command_imports_nothing_of_the_server(arguments: list[str]) -> None:
    code = f"""
import json, sys
from dispatcher.cli import main
try:
    main({arguments!r})
except SystemExit:
    print(json.dumps([name for name in sys.modules if name.startswith(
        ("dispatcher.server", "dispatcher.app", "dispatcher.store", "dispatcher.runtime",
         "dispatcher.core.engine", "uvicorn", "starlette", "apsw"))]), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "LIVEKIT_URL": "ws://127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert json.loads(done.stderr.splitlines()[-1]) == []


# What each shell's script sends, and a part of what it is to get.
SHELLS = {
    "bash": ({"COMP_WORDS": "callboard job list --phase or", "COMP_CWORD": "4"}, "orphaned"),
    "zsh": ({"_TYPER_COMPLETE_ARGS": "callboard job list --phase or"}, "orphaned"),
    "fish": (
        {
            "_TYPER_COMPLETE_ARGS": "callboard job list --phase or",
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        },
        "orphaned",
    ),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_is_offered_the_phases(shell: str) -> None:
    asked, wanted = SHELLS[shell]
    done = run(environment={**asked, "_CALLBOARD_COMPLETE": f"complete_{shell}"})
    assert wanted in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("callboard rule explain participant_joined --kind si", ["sip"]),
        ("callboard room event participant_joined --kind si", ["sip"]),
        ("callboard dispatch create --restart n", ["never"]),
        ("callboard serve --log-level w", ["warning"]),
        ("callboard serve --log-format ", ["auto", "human", "json"]),
        ("callboard loadtest --profile st", ["steady", "storm"]),
        ("callboard loadtest -p q", ["quick"]),
        ("callboard loadtest -p ./mine.y", []),
        ("callboard loadtest --shape ", ["rate", "burst", "closed", "ramp"]),
        ("callboard loadtest --arrivals p", ["poisson"]),
    ],
)
def test_what_an_option_may_be_is_offered(line: str, offered: list[str]) -> None:
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    done = run(environment={**asked, "_CALLBOARD_COMPLETE": "complete_bash"})
    assert (done.stdout.split(), done.stderr) == (offered, "")


def test_ids_are_offered_by_nobody_where_no_server_answers() -> None:
    asked = {"COMP_WORDS": "callboard job show AJ_", "COMP_CWORD": "3"}
    done = run(environment={**asked, "_CALLBOARD_COMPLETE": "complete_bash"})
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_ctrl_c_is_one_line_also_while_the_program_is_read() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED_WHILE_READ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "callboard: interrupted\n")


# Ctrl-C comes when the commands are looked for.
_INTERRUPTED_WHILE_READ = """
import sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "dispatcher.cli.commands":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
from dispatcher.cli import main
main(["--version"])
"""
