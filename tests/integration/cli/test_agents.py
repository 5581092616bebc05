"""`callboard worker served` and `worker forget`, and what `dispatch list` says of an unknown agent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.integration.cli.callboard import Server, callboard, environment, eventually, served


def agents(server: Server) -> list[str]:
    """Return the names that are listed."""
    found = callboard("worker", "served", "--json", env=server.env)
    return [each["agent_name"] for each in found.json["agents"]]


def dispatched(server: Server) -> str:
    """Return the one row of the room's dispatches."""
    return callboard("dispatch", "list", "r", env=server.env).out


def test_an_agent_is_listed_while_it_is_remembered_and_forgotten_when_told(
    tmp_path: Path,
) -> None:
    with served(tmp_path) as server:
        callboard("dispatch", "create", "-r", "r", "-a", "demo", env=server.env)
        assert "nobody ever served this agent" in dispatched(server)
        assert agents(server) == []
        callboard("room", "event", "room_started", "-r", "r", env=server.env)
        told = callboard("rule", "explain", "--room", "r", env=server.env).out
        assert "a dispatch waits for agent demo: nobody ever served this agent" in told
        process = subprocess.Popen(
            [sys.executable, "-m", "dispatcher.cli.demo.worker", "w1"],
            env=environment(server.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            shown = ["worker", "served", "--json"]
            found = eventually(shown, server.env, lambda result: result.json["agents"])
            assert found.json["agents"][0]["agent_name"] == "demo"
            assert found.json["agents"][0]["workers"] == 1
            line = callboard("worker", "forget", "demo", env=server.env).failed_with(1)
            assert "workers of it are connected: 1" in line
        finally:
            process.kill()
            process.wait()
        eventually(shown, server.env, lambda result: not result.json["agents"][0]["workers"])
        assert "nobody" not in dispatched(server)
        assert callboard("worker", "forget", "demo", env=server.env).out == "demo is forgotten\n"
        assert agents(server) == []
        line = callboard("worker", "forget", "demo", env=server.env).failed_with(1)
        assert line.startswith("there is no agent demo")
