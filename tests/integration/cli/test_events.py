"""`callboard events`: what happened, what happens, over a restart, for people and programs."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from tests.integration.cli.callboard import (
    COMMAND,
    Server,
    callboard,
    callboard_on_terminal,
    environment,
    served,
)

WAIT_SECONDS = 60.0


def create(server: Server, room: str) -> None:
    result = callboard("dispatch", "create", "-r", room, "-a", "nobody", env=server.env)
    assert result.code == 0, result


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@contextmanager
def following(server: Server, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run `events --follow --json`; it is ended afterwards."""
    process = subprocess.Popen(
        [*COMMAND, "events", "--follow", "--json", *arguments],
        env=environment(server.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # Who waits for a line in vain gets the end of the output.
    deadline = threading.Timer(WAIT_SECONDS, process.kill)
    deadline.start()
    try:
        yield process
    finally:
        deadline.cancel()
        process.kill()
        process.communicate()


def next_event(stream: IO[str]) -> dict[str, Any]:
    """Return the event of the next line."""
    line = stream.readline()
    assert line
    event: dict[str, Any] = json.loads(line)
    return event


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """A server whose log is the test's own."""
    with served(tmp_path) as server:
        yield server


def test_all_that_is_kept_is_shown_as_json_lines(own: Server) -> None:
    create(own, "one")
    create(own, "two")
    result = callboard("events", "--json", env=own.env)
    assert (result.code, result.err) == (0, "")
    assert [(event["seq"], event["kind"]) for event in lines(result.out)] == [
        ("1", "created"),
        ("2", "created"),
    ]


def test_only_what_is_after_a_number_is_shown(own: Server) -> None:
    create(own, "one")
    create(own, "two")
    result = callboard("events", "--after", "1", "--json", env=own.env)
    assert [event["seq"] for event in lines(result.out)] == ["2"]


def test_in_a_pipe_there_are_cells_with_tabs(own: Server) -> None:
    create(own, "one")
    head, row = callboard("events", env=own.env).out.splitlines()
    assert head.split("\t") == ["at", "seq", "event", "phase", "job", "worker", "note"]
    assert row.split("\t")[1:4] == ["1", "created", "queued"]


def test_on_a_terminal_there_are_rows_in_colour(own: Server) -> None:
    create(own, "one")
    out = callboard_on_terminal("events", env=own.env).out
    assert "SEQ" in out
    assert "created" in out
    assert "\x1b[33m" in out  # queued is yellow


def test_an_empty_log_has_no_events(own: Server) -> None:
    result = callboard("events", env=own.env)
    assert (result.code, result.err) == (0, "no events\n")


def test_a_place_that_the_log_has_not_reached_is_said_on_stderr(own: Server) -> None:
    create(own, "one")
    result = callboard("events", "--after", "9", "--json", env=own.env)
    assert (result.code, result.out) == (0, "")
    assert result.err == "callboard: there is no event 9 yet: this log goes on at 2\n"


def test_who_follows_sees_what_happens_as_it_happens(own: Server) -> None:
    create(own, "one")
    with following(own, "--after", "0") as process:
        assert process.stdout is not None
        assert next_event(process.stdout)["seq"] == "1"
        create(own, "two")
        assert next_event(process.stdout)["seq"] == "2"


def test_who_follows_ends_it_with_ctrl_c_and_without_a_word(own: Server) -> None:
    create(own, "followed-to-the-end")
    with following(own, "--after", "0") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        next_event(process.stdout)
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_SECONDS) == 128 + signal.SIGINT
        assert process.stderr.read() == ""


def test_who_follows_is_held_through_a_restart_of_the_server(tmp_path: Path) -> None:
    with served(tmp_path) as first:
        create(first, "one")
        port = str(first.port)
        with following(first, "--after", "0") as process:
            assert process.stdout is not None
            assert next_event(process.stdout)["seq"] == "1"
            first.process.send_signal(signal.SIGKILL)
            first.process.wait(WAIT_SECONDS)
            with served(tmp_path, "--port", port) as second:
                create(second, "two")
                assert next_event(process.stdout)["seq"] == "2"


def test_a_server_that_is_not_there_is_one_line(own: Server) -> None:
    env = {**own.env, "LIVEKIT_URL": "ws://127.0.0.1:9"}
    said = callboard("events", env=env).failed_with(1)
    assert "no answer from http://127.0.0.1:9" in said


def test_a_key_that_the_server_does_not_know_is_one_line(own: Server) -> None:
    env = {**own.env, "LIVEKIT_API_SECRET": "another"}
    assert "the server does not take this key" in callboard("events", env=env).failed_with(1)


def test_a_number_that_is_none_is_wrong_usage(own: Server) -> None:
    assert callboard("events", "--after", "-1", env=own.env).code == 2
