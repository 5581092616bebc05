"""What the README tells a newcomer to do works as it stands there."""

from __future__ import annotations

import re
import shlex
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


def test_the_rules_and_rooms_of_the_readme_do_what_it_says(server: Server, tmp_path: Path) -> None:
    section = README.partition("## Rules, rooms and webhooks")[2].partition("\n## ")[0]
    files = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    (tmp_path / "rules.yaml").write_text(files[0])
    (tmp_path / "rooms.yaml").write_text(files[1])
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL)).splitlines()
    said: dict[str, str] = {}
    for line in filter(None, lines):
        words = shlex.split(line, comments=True)[1:]
        result = callboard(
            *[
                word.replace("rules.yaml", str(tmp_path / "rules.yaml")).replace(
                    "rooms.yaml", str(tmp_path / "rooms.yaml")
                )
                for word in words
            ],
            env=server.env,
        )
        assert (result.code, result.err) == (0, ""), (line, result)
        said[" ".join(words[:2])] = result.out

    assert "\tcall-7\tconcierge\tqueued" in said["job list"]
    assert "\tcall-7\tgreeter\tqueued" in said["job list"]
    assert said["rule explain"].count("\tmatches\t") == 2
    assert "support\tgreeter,scribe" in said["room-config list"]
    callboard("rule", "delete", "greeter", env=server.env)
    callboard("rule", "delete", "vip", env=server.env)


def test_every_command_of_the_readme_exists() -> None:
    commands = re.findall(r"callboard ((?:[a-z-]+ ?)+)", README)
    shown = {tuple(command.split()[:2]) for command in commands if command.strip()}
    groups = {"job", "worker", "dispatch", "token", "rule", "room", "room-config"}
    known = [words for words in shown if words[0] in groups]
    assert {words[0] for words in known} == groups
    for words in known:
        assert callboard(*words, "--help").code == 0, words


def test_every_page_that_the_readme_points_to_exists() -> None:
    for target in re.findall(r"\]\((docs/[^)]+)\)", README):
        assert (ROOT / target).exists(), target
