"""`callboard token create` and the command itself: what is printed and what is imported."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from protocol.tokens import Grants, verify
from tests.integration.cli.callboard import Result, callboard, environment

ENV = {"LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "a-secret-of-the-token-tests-long-enough"}


def grants_of(result: Result) -> Grants:
    assert result.code == 0, result
    keys = {ENV["LIVEKIT_API_KEY"]: ENV["LIVEKIT_API_SECRET"]}
    return verify(result.out.strip(), keys, time.time_ns())


def token(*arguments: str) -> Result:
    return callboard("token", "create", *arguments, env=ENV)


def test_a_token_joins_a_room() -> None:
    grants = grants_of(token("--join", "--room", "lobby", "--identity", "ann", "--ttl", "30m"))
    assert (grants.room_join, grants.room, grants.identity) == (True, "lobby", "ann")
    assert grants.expires_at_seconds == pytest.approx(time.time() + 1800, abs=30)


def test_a_token_of_a_worker_may_do_nothing_else() -> None:
    grants = grants_of(token("--agent"))
    assert (grants.agent, grants.room_admin, grants.dispatch_admin) == (True, False, False)


def test_a_token_administers_a_room_and_the_queue() -> None:
    grants = grants_of(token("--room-admin", "--room", "lobby", "--dispatch-admin"))
    assert grants.may_administer_room("lobby")
    assert grants.may_administer_queue()


def test_a_token_comes_as_json_too() -> None:
    made = token("--agent", "--identity", "w", "--json").json
    assert made["identity"] == "w"
    assert made["token"].count(".") == 2


def test_a_token_needs_no_server() -> None:
    made = callboard("token", "create", "--agent", "--dev")
    assert verify(made.out.strip(), {"devkey": "secret"}, time.time_ns()).agent


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--join", "--room", "lobby"],
        ["--room-admin"],
        ["--agent", "--ttl", "soon"],
        ["--agent", "--ttl", "0"],
        ["--agent", "--attribute", "x"],
    ],
    ids=" ".join,
)
def test_a_token_that_makes_no_sense_is_a_usage_error(arguments: list[str]) -> None:
    token(*arguments).failed_with(2)


def test_a_token_without_a_key_names_what_is_missing() -> None:
    assert "--api-key (LIVEKIT_API_KEY)" in callboard("token", "create", "--agent").failed_with(2)


def test_the_command_alone_shows_its_help() -> None:
    shown = callboard()
    assert shown.code == 0
    for command in ("serve", "dispatch", "job", "worker", "token", "demo"):
        assert command in shown.out


def test_the_version_is_shown() -> None:
    shown = callboard("--version")
    assert shown.code == 0
    assert shown.out[0].isdigit()


def test_help_imports_neither_server_nor_client() -> None:
    heavy = "{'uvicorn', 'starlette', 'apsw', 'httpx2', 'google', 'websockets', 'yaml', 'rich'}"
    program = f"import sys, dispatcher.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
