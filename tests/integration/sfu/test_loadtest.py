"""`callboard loadtest` against LiveKit's own server: what it measures there, and what it leaves out."""

from __future__ import annotations

import anyio.to_thread
import pytest

from tests.integration.cli.callboard import Result, callboard
from tests.support.livekit_server import LiveKitServer, needs_livekit_server

pytestmark = [pytest.mark.anyio, needs_livekit_server]

SHORT = ["--duration-seconds", "1", "--warm-up-seconds", "0", "--drain-seconds", "30"]
FEW = ["--workers", "3", "--rate", "10", "--agent-name", "measured"]


async def loadtest(sfu: LiveKitServer, *arguments: str) -> Result:
    env = {"LIVEKIT_URL": sfu.url, "LIVEKIT_API_KEY": sfu.key, "LIVEKIT_API_SECRET": sfu.secret}
    return await anyio.to_thread.run_sync(
        lambda: callboard(
            "loadtest", *SHORT, *FEW, "--json", *arguments, env=env, seconds_max=180.0
        )
    )


async def test_its_jobs_are_called_assigned_and_counted(sfu: LiveKitServer) -> None:
    result = await loadtest(sfu, "--fail-if", "running_p99_ms>1")
    assert result.code in (0, 3), result
    told = result.json
    assert told["is_stock"]
    assert told["server"].startswith("livekit-server 1.")
    figures = told["figures"]
    assert figures["acknowledged"] == figures["assigned"] == figures["ended"] == 10
    assert (figures["lost"], figures["doubled"]) == (0, 0)
    assert figures["p50_ms"] > 0
    # What it does not say is marked, and nobody fails by it.
    for name in ("running_p99_ms", "end_p99_ms", "claim_p99_ms"):
        assert told["absent"][name] == "not on stock"
    verdicts = {limit["limit"]: limit["verdict"] for limit in told["limits"]}
    assert verdicts["running_p99_ms>1"] == "not on stock"


async def test_jobs_without_a_worker_are_lost(sfu: LiveKitServer) -> None:
    result = await loadtest(
        sfu, "--workers", "0", "--declining-workers", "1", "--drain-seconds", "6"
    )
    assert result.code == 1, result
    assert result.json["figures"]["lost"] == 10
