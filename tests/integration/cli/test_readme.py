"""What the README tells a newcomer to do works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.integration.cli.callboard import Server, callboard, environment, eventually

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()


def test_the_worker_of_the_readme_runs_a_job(server: Server, tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "greeter.py"
    path.write_text(program.replace("sleep(5)", "sleep(0.05)"))
    worker = subprocess.Popen(
        [sys.executable, str(path)],
        env=environment(server.env),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        made = callboard(
            "dispatch", "create", "--room", "lobby", "--agent-name", "greeter", env=server.env
        )
        assert made.code == 0
        eventually(
            ["job", "list", "-a", "greeter", "--phase", "succeeded", "--json"],
            server.env,
            lambda result: result.json["jobs"],
        )
    finally:
        worker.kill()
        worker.wait()


def test_every_command_of_the_readme_exists() -> None:
    commands = re.findall(r"callboard ((?:[a-z]+ ?)+)", README)
    shown = {tuple(command.split()[:2]) for command in commands if command.strip()}
    known = [words for words in shown if words[0] in {"job", "worker", "dispatch", "token"}]
    assert len(known) >= 6
    for words in known:
        assert callboard(*words, "--help").code == 0, words


def test_every_page_that_the_readme_points_to_exists() -> None:
    for target in re.findall(r"\]\((docs/[^)]+)\)", README):
        assert (ROOT / target).exists(), target
