"""`callboard room-config` against a real server: files applied, listed and deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.callboard import Result, Server, callboard, callboard_on_terminal, served

FILE = """\
big:
  empty_timeout: 60
  metadata: words
  agents:
    - {agent_name: usher, restart_policy: never}
    - {agent_name: ""}
small: {max_participants: 2}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a configuration in its own file."""
    folder = tmp_path_factory.mktemp("serve")
    config = folder / "callboard.yaml"
    config.write_text("room_configurations:\n  of-file: {agents: [{agent_name: greeter}]}\n")
    with served(folder, "--config", str(config)) as running:
        yield running


def room_config(server: Server, *arguments: str) -> Result:
    """Run a `room-config` command that must succeed."""
    result = callboard("room-config", *arguments, env=server.env)
    assert (result.code, result.err) == (0, "")
    return result


def names(server: Server) -> list[str]:
    """The names that are listed."""
    return [each["name"] for each in room_config(server, "list", "--json").json["configurations"]]


def outcomes(result: Result) -> dict[str, str]:
    """What an apply has done, by name."""
    return {each["name"]: each["outcome"] for each in result.json["configurations"]}


def test_a_files_configurations_are_created_changed_listed_and_deleted(
    server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "rooms.yaml"
    file.write_text(FILE)
    first = room_config(server, "apply", "-f", str(file), "--json")
    assert outcomes(first) == {"big": "created", "small": "created"}
    assert names(server) == ["big", "of-file", "small"]

    file.write_text(FILE.replace("words", "other"))
    again = room_config(server, "apply", "-f", str(file), "--json")
    assert outcomes(again) == {"big": "changed", "small": "unchanged"}
    rows = [line.split("\t") for line in room_config(server, "list").out.splitlines()]
    assert rows[1] == ["big", "usher,(unnamed)", "60 s", "-", "-", "other"]
    assert rows[3][4] == "2"

    assert room_config(server, "delete", "big").out == "big deleted\n"
    assert names(server) == ["of-file", "small"]
    room_config(server, "delete", "small")


def test_configurations_are_a_table_on_a_terminal(server: Server) -> None:
    shown = callboard_on_terminal("room-config", "list", env=server.env)
    assert shown.code == 0
    assert "AGENTS" in shown.out
    assert "of-file" in shown.out


@pytest.mark.parametrize("command", ["apply", "delete"])
def test_one_of_the_servers_file_is_not_changed(
    server: Server, tmp_path: Path, command: str
) -> None:
    file = tmp_path / "rooms.yaml"
    file.write_text("of-file: {}")
    arguments = ("delete", "of-file") if command == "delete" else ("apply", "-f", str(file))
    line = callboard("room-config", *arguments, env=server.env).failed_with(1)
    assert "'of-file' is in the server's configuration file" in line


def test_one_that_is_not_there_is_one_line(server: Server) -> None:
    line = callboard("room-config", "delete", "nothing", env=server.env).failed_with(1)
    assert line == "there is no room configuration 'nothing'"


def test_a_wrong_file_is_wrong_usage_and_nothing_is_sent(server: Server, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("fine: {}")
    bad.write_text("big:\n  agnets: []\n")
    line = callboard(
        "room-config", "apply", "-f", str(good), "-f", str(bad), env=server.env
    ).failed_with(2)
    assert line == f"{bad}, line 2: unknown field 'agnets'; did you mean 'agents'?"
    assert "fine" not in names(server)
