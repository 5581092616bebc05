"""`callboard serve` as a process: what it makes, how it ends, and what it says when it cannot."""

from __future__ import annotations

import signal
import socket
import stat
from pathlib import Path

import pytest

from tests.integration.cli.callboard import KEY, SECRET, callboard, served

KEYS = ["--keys", f"{KEY}: {SECRET}"]


def test_the_data_folder_is_made_for_this_user_alone(tmp_path: Path) -> None:
    with served(tmp_path):
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_sigterm_drains_and_ends_with_0(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
    names = [line["event"] for line in server.lines()]
    assert names[-2:] == ["server_draining", "server_stopped"]


def test_logs_in_a_pipe_are_json_without_secrets(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        assert callboard("worker", "list", env=server.env).code == 0
    assert all({"event", "level", "timestamp"} <= set(line) for line in server.lines())
    assert SECRET not in server.log.read_text()


def test_a_short_secret_is_warned_of_and_not_shown(tmp_path: Path) -> None:
    with served(tmp_path, "--keys", "short: hushhush") as server:
        warnings = [line for line in server.lines() if line["event"] == "api_secret_short"]
        assert [line["api_key"] for line in warnings] == ["short"]
        assert "hushhush" not in server.log.read_text()


def test_options_come_from_a_file(tmp_path: Path) -> None:
    data = tmp_path / "elsewhere"
    file = tmp_path / "callboard.yaml"
    file.write_text(f"log_level: debug\nroom_url: ws://sfu:7880\ndata_dir: {data}\n")
    with served(tmp_path, "--config", str(file)):
        # The flag that `served` gives wins over the file.
        assert (tmp_path / "data").exists()
        assert not data.exists()


def test_a_server_without_keys_does_not_start(tmp_path: Path) -> None:
    refused = callboard("serve", "--data-dir", str(tmp_path / "data"))
    assert refused.failed_with(2).startswith("no API key")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--port", "abc"], "--port: must be a whole number"),
        (["--bind", "256.1.1.1"], "256.1.1.1"),
        (["--room-url", "nowhere"], "--room-url: must be an address"),
        (["--log-level", "loud"], "--log-level: must be one of"),
        (["--config", "/nowhere/callboard.yaml"], "no such file"),
        (["--keys", "k:hushhush"], "--keys: must be 'KEY: SECRET'"),
    ],
    ids=str,
)
def test_a_wrong_option_is_one_line(tmp_path: Path, arguments: list[str], wanted: str) -> None:
    line = callboard("serve", *KEYS, "--data-dir", str(tmp_path / "data"), *arguments).failed_with(
        2
    )
    assert wanted in line
    assert "hushhush" not in line


def test_an_unknown_key_of_the_file_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "callboard.yaml"
    file.write_text("port: 0\nprot: 1\n")
    line = callboard("serve", *KEYS, "--config", str(file)).failed_with(2)
    assert f"{file}, line 2: unknown option 'prot'; did you mean 'port'?" in line


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = callboard("serve", *KEYS, "--port", port, "--data-dir", str(tmp_path / "data"))
    assert port in refused.failed_with(refused.code)
    assert refused.code in (1, 2)


def test_a_data_folder_of_another_server_is_one_line(tmp_path: Path) -> None:
    with served(tmp_path):
        data = str(tmp_path / "data")
        refused = callboard("serve", *KEYS, "--port", "0", "--data-dir", data)
    assert data in refused.failed_with(1)


def test_a_data_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text("not a folder")
    callboard("serve", *KEYS, "--port", "0", "--data-dir", str(path)).failed_with(1)
