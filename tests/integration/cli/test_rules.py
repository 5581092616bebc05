"""`callboard rule` against a real server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.integration.cli.callboard import (
    COMMAND,
    Server,
    callboard,
    callboard_on_terminal,
    environment,
)

RULES = """\
- name: {name}-room
  match: {{room: "{name}-*"}}
  agent_name: nobody
- name: {name}-vip
  type: participant
  match:
    room: "{name}-*"
    attributes: {{tier: vip}}
    metadata: {{customer.id: 7}}
  agent_name: nobody-{name}
  metadata: 'for {{participant.identity}}'
"""


def _file(folder: Path, name: str, text: str = RULES) -> Path:
    path = folder / "rules.yaml"
    path.write_text(text.format(name=name))
    return path


def _apply(server: Server, path: Path) -> list[tuple[str, str, str]]:
    result = callboard("rule", "apply", "-f", str(path), env=server.env)
    assert result.code == 0, result
    head, *rows = [line.split("\t") for line in result.out.splitlines()]
    assert head == ["rule", "outcome", "version"]
    return [(name, outcome, version) for name, outcome, version in rows]


def test_rules_are_created_left_alone_and_changed(server: Server, tmp_path: Path) -> None:
    path = _file(tmp_path, "a")
    assert _apply(server, path) == [("a-room", "created", "1"), ("a-vip", "created", "1")]
    assert _apply(server, path) == [("a-room", "unchanged", "1"), ("a-vip", "unchanged", "1")]
    path.write_text(path.read_text().replace("customer.id: 7", "customer.id: 8"))
    assert _apply(server, path) == [("a-room", "unchanged", "1"), ("a-vip", "changed", "2")]


def test_apply_answers_in_json(server: Server, tmp_path: Path) -> None:
    path = _file(tmp_path, "b")
    result = callboard("rule", "apply", "-f", str(path), "--json", env=server.env)
    assert result.json["rules"][0] == {"name": "b-room", "outcome": "created", "version": 1}


def test_rules_come_from_stdin_and_from_several_files(server: Server, tmp_path: Path) -> None:
    path = _file(tmp_path, "c")
    done = subprocess.run(
        [*COMMAND, "rule", "apply", "-f", "-", "-f", str(path)],
        input="{name: c-stdin, agent_name: nobody, match: {room: c-stdin}}",
        env=environment(server.env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done
    assert [line.split("\t")[0] for line in done.stdout.splitlines()[1:]] == [
        "c-stdin",
        "c-room",
        "c-vip",
    ]


def test_nothing_is_applied_of_files_with_an_error(server: Server, tmp_path: Path) -> None:
    path = _file(tmp_path, "d", RULES + "- name: {name}-bad\n  agent: x\n")
    failed = callboard("rule", "apply", "-f", str(path), env=server.env)
    line = failed.failed_with(2)
    assert line == f"{path}, line 13: unknown field 'agent'; did you mean 'agent_name'?"
    assert callboard("rule", "show", "d-room", env=server.env).code == 1


@pytest.mark.parametrize("second", ["the same file", "another file"])
def test_a_rule_is_in_one_file_once(server: Server, tmp_path: Path, second: str) -> None:
    path = _file(tmp_path, "e")
    other = path if second == "the same file" else tmp_path / "other.yaml"
    other.write_text(path.read_text())
    failed = callboard("rule", "apply", "-f", str(path), "-f", str(other), env=server.env)
    assert failed.failed_with(2) == f"{other}: there is a rule 'e-room' in {path} too"


def test_what_was_applied_before_a_refusal_is_said_and_what_was_not(
    server: Server, tmp_path: Path
) -> None:
    _apply(server, _file(tmp_path, "p"))
    text = RULES.replace("agent_name: nobody-{name}", "agent_name: other\n  version: 7")
    path = _file(tmp_path, "p", text.replace("- name: {name}-room", "- name: {name}-new"))
    path.write_text(path.read_text() + "- {name: p-last, agent_name: nobody}\n")
    failed = callboard("rule", "apply", "-f", str(path), env=server.env)
    assert failed.code == 1
    assert failed.err == (
        f"callboard: {path}: p-vip: rule 'p-vip' was not changed: the rule is at version 1, not at 7;"
        " applied: p-new; not applied: p-vip, p-last\n"
    )
    assert "p-new\tcreated\t1" in failed.out


def test_a_version_of_a_rule_that_is_not_there_is_said_to_be_none(
    server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("{name: q-none, agent_name: nobody, version: 9}")
    line = callboard("rule", "apply", "-f", str(path), env=server.env).failed_with(1)
    assert "there is no such rule, so none at version 9" in line


def test_what_show_prints_can_be_changed_and_applied_once(server: Server, tmp_path: Path) -> None:
    _apply(server, _file(tmp_path, "f"))
    shown = callboard("rule", "show", "f-vip", env=server.env)
    assert shown.code == 0
    path = tmp_path / "shown.yaml"
    path.write_text(shown.out)
    assert _apply(server, path) == [("f-vip", "unchanged", "1")]
    path.write_text(shown.out + "priority: 1\n")
    assert _apply(server, path) == [("f-vip", "changed", "2")]
    path.write_text(shown.out + "priority: 2\n")
    failed = callboard("rule", "apply", "-f", str(path), env=server.env)
    line = failed.failed_with(1)
    assert line.startswith(f"{path}: f-vip: ")
    assert "version 2" in line
    assert "not at 1" in line


def test_rules_are_listed_and_shown(server: Server, tmp_path: Path) -> None:
    _apply(server, _file(tmp_path, "g"))
    listed = callboard("rule", "list", "-a", "nobody-g", "--json", env=server.env).json
    assert [rule["name"] for rule in listed["rules"]] == ["g-vip"]
    shown = callboard("rule", "show", "g-vip", "--json", env=server.env).json
    assert shown == listed["rules"][0]
    table = callboard("rule", "list", env=server.env).out
    row = next(line.split("\t") for line in table.splitlines() if line.startswith("g-vip"))
    assert row[:6] == [
        "g-vip",
        "participant",
        "nobody-g",
        "room=g-* attributes.tier=vip metadata.customer.id=7",
        "1",
        "yes",
    ]


def test_a_list_on_a_terminal_is_a_table(server: Server, tmp_path: Path) -> None:
    _apply(server, _file(tmp_path, "h"))
    result = callboard_on_terminal("rule", "list", env=server.env)
    assert result.code == 0
    assert "NAME" in result.out
    assert "h-room" in result.out


def test_a_rule_is_deleted_once(server: Server, tmp_path: Path) -> None:
    _apply(server, _file(tmp_path, "i"))
    stale = callboard("rule", "delete", "i-vip", "--version", "5", env=server.env)
    assert "version 1, not at 5" in stale.failed_with(1)
    gone = callboard("rule", "delete", "i-vip", env=server.env)
    assert (gone.code, gone.out) == (0, "i-vip deleted\n")
    again = callboard("rule", "delete", "i-vip", env=server.env)
    assert again.failed_with(1) == "there is no rule 'i-vip'"
    assert callboard("rule", "show", "i-vip", env=server.env).failed_with(1)


# ---- explain ----


def _verdicts(server: Server, *arguments: str) -> dict[str, list[str]]:
    result = callboard("rule", "explain", *arguments, env=server.env)
    assert result.code == 0, result
    rows = [line.split("\t") for line in result.out.splitlines()]
    assert rows[0] == ["rule", "participant", "verdict", "wanted", "found", "job"]
    return {row[0]: row[1:] for row in rows[1:]}


def test_an_event_is_explained_by_its_first_condition_that_fails(
    server: Server, tmp_path: Path
) -> None:
    _apply(server, _file(tmp_path, "k"))
    event = ["participant_joined", "--room", "k-1", "--identity", "ann"]
    found = _verdicts(server, *event, "--attribute", "tier=std")
    assert found["k-room"] == ["-", "matches", "-", "-", "-"]
    assert found["k-vip"] == ["ann", "match.attributes.tier", '"vip"', '"std"', "-"]
    vip = [*event, "--attribute", "tier=vip", "--metadata"]
    assert _verdicts(server, *vip, '{"customer": {"id": 7}}')["k-vip"][1] == "matches"
    found = _verdicts(server, *vip, "no json", "--rule", "k-vip")
    assert found == {"k-vip": ["ann", "match.metadata.customer.id", "7", "nothing", "-"]}


def test_a_live_room_and_a_job_are_explained(server: Server, tmp_path: Path) -> None:
    _apply(server, _file(tmp_path, "l"))
    joined = ["room", "event", "participant_joined", "--room", "l-1", "--identity", "ann"]
    vip = ["--attribute", "tier=vip", "--metadata", '{"customer": {"id": 7}}']
    assert callboard(*joined, *vip, env=server.env).code == 0
    found = _verdicts(server, "--room", "l-1")
    told = {name: found[name][-1] for name in ("l-room", "l-vip")}
    assert all(job.startswith("AJ_") and job.endswith(" (queued)") for job in told.values())
    jobs = {name: job.removesuffix(" (queued)") for name, job in told.items()}
    shown = callboard("job", "show", jobs["l-vip"], "--json", env=server.env).json
    assert shown["job"]["metadata"] == "for ann"
    for name, job in jobs.items():
        assert _verdicts(server, "--job", job)[name][1] == "matches"
    # The room is over: what the job was made for is known from the job.
    assert callboard("room", "event", "room_finished", "--room", "l-1", env=server.env).code == 0
    for name, job in jobs.items():
        assert _verdicts(server, "--job", job)[name][1] == "matches"


def test_a_job_that_is_held_back_says_by_what(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text('{name: s-lim, agent_name: nobody, match: {room: "s-*"}, concurrency_limit: 1}')
    _apply(server, path)
    for room in ("s-1", "s-2"):
        started = callboard("room", "event", "room_started", "--room", room, env=server.env)
        assert started.code == 0
    (job,) = callboard("job", "list", "--room", "s-1", "--json", env=server.env).json["jobs"]
    found = _verdicts(server, "--room", "s-2")
    job_id = job["job"]["id"]
    assert found["s-lim"] == ["-", "concurrency_limit", "fewer than 1", f"1 ({job_id})", "-"]
    assert found["(automatic)"][1:4] == ["unnamed workers", "one, now or before", "none"]


def test_a_job_that_ended_and_a_rule_that_is_deleted_are_told(
    server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text('{name: t-gone, agent_name: nobody, match: {room: "t-*"}}')
    _apply(server, path)
    assert callboard("room", "event", "room_started", "--room", "t-1", env=server.env).code == 0
    (job,) = callboard("job", "list", "--room", "t-1", "--json", env=server.env).json["jobs"]
    job_id = job["job"]["id"]
    assert callboard("job", "terminate", job_id, env=server.env).code == 0
    cancelled = f"{job_id} (cancelled)"
    assert _verdicts(server, "--room", "t-1")["t-gone"] == ["-", "matches", "-", "-", cancelled]
    assert callboard("rule", "delete", "t-gone", env=server.env).code == 0
    found = _verdicts(server, "--job", job_id)["t-gone"]
    assert found == ["-", "deleted", "the rule", "it was deleted since", cancelled]


def test_a_job_of_a_dispatch_is_not_a_rules(server: Server) -> None:
    made = callboard("dispatch", "create", "-r", "m", "-a", "nobody", "--json", env=server.env).json
    job = made["state"]["jobs"][0]["id"]
    line = callboard("rule", "explain", "--job", job, env=server.env).failed_with(1)
    assert line == f"{job} was made for the dispatch {made['id']}, not by a rule"


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        ([], 2, "give either --room or --job"),
        (["--room", "r", "--job", "j"], 2, "give either --room or --job"),
        (["room_started", "--job", "j"], 2, "give either an event or --job"),
        (["started", "--room", "r"], 2, "EVENT: must be one of room_started"),
        (["--room", "r", "--identity", "a"], 2, "--identity: belongs to an event"),
        (["room_started", "--room", "r", "--identity", "a"], 2, "room_started is about nobody"),
        (["participant_joined", "--room", "r"], 2, "missing --identity"),
        (
            ["participant_joined", "--room", "r", "--identity", "a", "--kind", "x"],
            2,
            "--kind: must be one of standard, ingress",
        ),
        (["--room", "nowhere"], 1, "the room is not there"),
        (["--job", "AJ_none"], 1, "there is no job AJ_none"),
        (["room_started", "--room", "r", "--rule", "none"], 1, "there is no rule 'none'"),
    ],
)
def test_what_cannot_be_explained_is_one_line(
    server: Server, arguments: list[str], code: int, line: str
) -> None:
    assert (
        callboard("rule", "explain", *arguments, env=server.env).failed_with(code).startswith(line)
    )


def test_the_events_of_a_job_name_its_rule(server: Server, tmp_path: Path) -> None:
    _apply(server, _file(tmp_path, "r"))
    assert callboard("room", "event", "room_started", "--room", "r-1", env=server.env).code == 0
    rows = callboard("events", env=server.env).out.splitlines()
    assert any("\tcreated\t" in row and "\tby rule r-room" in row for row in rows)
    events = [
        json.loads(line) for line in callboard("events", "--json", env=server.env).out.splitlines()
    ]
    assert [each["kind"] for each in events if each["rule"] == "r-room"] == ["created"]
