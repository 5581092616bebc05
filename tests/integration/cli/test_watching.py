"""`--watch` on a terminal and in a pipe: in place, through a restart of the server, to a clean end."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.cli.callboard import (
    COMMAND,
    Server,
    callboard,
    environment,
    eventually,
    served,
)

WAIT_SECONDS = 60.0
OTHER_SCREEN, OWN_SCREEN = "\x1b[?1049h", "\x1b[?1049l"


@dataclass
class Watched:
    """A command that watches, and what it has written so far."""

    process: subprocess.Popen[bytes]
    read_from: int
    written: str = field(default="")

    def until(self, text: str) -> None:
        """Read on until it has written this."""
        while text not in self.written:
            try:
                piece = os.read(self.read_from, 65536)
            except OSError:  # the terminal's last writer has gone
                piece = b""
            assert piece, f"ended without {text!r}: {self.written!r}"
            self.written += piece.decode(errors="replace")


@contextmanager
def watched(*arguments: str, env: Mapping[str, str], terminal: bool = False) -> Iterator[Watched]:
    """Run a command on a terminal, or with both outputs in one pipe."""
    read_from, write_to = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--watch", "--interval", "0.1"],
        env={**environment(env), "TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
        stdin=subprocess.DEVNULL,
        stdout=write_to,
        stderr=write_to,
    )
    os.close(write_to)
    # Who waits in vain gets the end of the output.
    deadline = threading.Timer(WAIT_SECONDS, process.kill)
    deadline.start()
    try:
        yield Watched(process, read_from)
    finally:
        deadline.cancel()
        process.kill()
        process.wait()
        os.close(read_from)


def job_of(server: Server, room: str) -> str:
    """Create a dispatch that nobody takes; return its job's id."""
    made = callboard("dispatch", "create", "-r", room, "-a", "nobody", "--json", env=server.env)
    job_id: str = made.json["state"]["jobs"][0]["id"]
    return job_id


def test_a_watched_list_is_drawn_in_place_and_its_last_look_stays(server: Server) -> None:
    job_id = job_of(server, "watched")
    with watched("job", "list", "-r", "watched", env=server.env, terminal=True) as one:
        one.until("Ctrl-C ends it")
        one.until(job_id)
        one.process.send_signal(signal.SIGINT)
        one.until(OWN_SCREEN)
        one.until("queued")
        assert one.process.wait(WAIT_SECONDS) == 128 + signal.SIGINT
    _, _, shown = one.written.partition(OTHER_SCREEN)
    _, _, stays = shown.partition(OWN_SCREEN)
    assert "interrupted" not in stays
    assert job_id in shown.partition(OWN_SCREEN)[0]


def test_a_watched_job_ends_the_command_when_it_has_ended(server: Server) -> None:
    job_id = job_of(server, "ends")
    with watched("job", "why", job_id, "--json", env=server.env) as one:
        one.until("\n")
        callboard("job", "terminate", job_id, env=server.env)
        one.until('"phase": "CANCELLED"')
        assert one.process.wait(WAIT_SECONDS) == 0
    first = json.loads(one.written.splitlines()[0])
    assert first["job"]["phase"] == "QUEUED"


def test_a_server_that_goes_away_is_waited_for_and_that_is_said(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        port = str(server.port)
        with watched("worker", "list", env=server.env) as one:
            one.until("no workers are connected")
            server.process.send_signal(signal.SIGKILL)
            server.process.wait(WAIT_SECONDS)
            one.until("waiting for it")
            with served(tmp_path, "--port", port):
                one.until("the server answers again")
                assert one.process.poll() is None


def test_a_server_that_was_never_there_is_a_failure_and_no_wait() -> None:
    env = {"LIVEKIT_URL": "ws://127.0.0.1:1", "LIVEKIT_API_KEY": "k", "LIVEKIT_API_SECRET": "s"}
    assert "no answer" in callboard("room", "list", "--watch", env=env).failed_with(1)


def offered(server: Server, line: str) -> list[str]:
    """Return what bash is offered for the last word of a line, where the server has something.

    Who types waits no longer than a second for it, which may be too short for a busy machine: then they
    press the key again.
    """
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    env = {**server.env, **asked, "_CALLBOARD_COMPLETE": "complete_bash"}
    return eventually([], env, lambda result: result.out).out.split()


def test_a_shell_is_offered_the_ids_that_the_server_knows(server: Server) -> None:
    job_id = job_of(server, "completed")
    for command in ("job show", "rule explain --job"):
        assert job_id in offered(server, f"callboard {command} {job_id[:20]}")


def test_a_shell_is_offered_dispatches_and_the_rooms_that_they_are_for(server: Server) -> None:
    job_of(server, "a-room-to-come")
    (dispatch,) = callboard("dispatch", "list", "a-room-to-come", "--json", env=server.env).json[
        "agent_dispatches"
    ]
    assert offered(server, "callboard dispatch list a-room") == ["a-room-to-come"]
    assert offered(server, "callboard job list --room a-room") == ["a-room-to-come"]
    assert dispatch["id"] in offered(server, "callboard job list --dispatch AD_")
