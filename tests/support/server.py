"""A real server inside the test's own event loop: its real socket, store and clock.

`running_server` starts one on a free port with a data folder, and drains it at the end. Tokens for
it are made here too.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from dispatcher.app import serve_until
from dispatcher.bridge.limits import BridgeLimits
from dispatcher.config import ApiKey, Config, Webhook
from dispatcher.core.policy import Policy
from dispatcher.metrics.settings import MetricsSettings
from dispatcher.notifier.limits import NotifierLimits
from dispatcher.room_configurations import RoomConfigurationLimits
from dispatcher.rule_checks import RuleLimits
from dispatcher.runtime import RuntimeLimits
from dispatcher.server.limits import ServerLimits
from dispatcher.sfu.limits import SfuLimits
from protocol import wire_pb2
from protocol.tokens import mint_api_token

KEY = "devkey"
SECRET = "a-secret-of-the-tests-that-is-long-enough"
# another key of the same project, and one of another project
SECOND_KEY = "secondkey"
OTHER_PROJECT_KEY = "otherkey"

KEYS: Mapping[str, ApiKey] = {
    KEY: ApiKey(SECRET),
    SECOND_KEY: ApiKey(SECRET + "2"),
    OTHER_PROJECT_KEY: ApiKey(SECRET + "3", project="other"),
}


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that takes connections."""

    port: int
    stop: anyio.Event

    @property
    def http_url(self) -> str:
        """The address of its API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def agent_url(self) -> str:
        """The address of its worker socket."""
        return f"ws://127.0.0.1:{self.port}/agent"


@asynccontextmanager
async def running_server(
    data_dir: Path,
    *,
    limits: ServerLimits | None = None,
    policy: Policy | None = None,
    room_url: str = "",
    room_key: str = "",
    room_secret: str = "",
    sfu: SfuLimits | None = None,
    bridge: bool = False,
    bridge_urls: tuple[str, ...] = (),
    bridging: BridgeLimits | None = None,
    webhooks: tuple[Webhook, ...] = (),
    notifier: NotifierLimits | None = None,
    rules: RuleLimits | None = None,
    room_configurations: Mapping[str, wire_pb2.RoomConfiguration] | None = None,
    room_configuration_limits: RoomConfigurationLimits | None = None,
    metrics: MetricsSettings | None = None,
    drain_seconds: float = 0.2,
) -> AsyncIterator[RunningServer]:
    """Run a server while the context lasts, then drain it, for at most so long."""
    config = Config(
        keys=KEYS,
        port=0,
        data_dir=data_dir,
        limits=limits or ServerLimits(),
        policy=policy or Policy(),
        room_url=room_url,
        room_key=room_key,
        room_secret=room_secret,
        bridge=bridge,
        bridge_urls=bridge_urls,
        bridging=bridging or BridgeLimits(),
        sfu=sfu or SfuLimits(),
        webhooks=webhooks,
        notifier=notifier or NotifierLimits(),
        rules=rules or RuleLimits(),
        room_configurations=room_configurations or {},
        room_configuration_limits=room_configuration_limits or RoomConfigurationLimits(),
        metrics=metrics or MetricsSettings(),
        runtime=RuntimeLimits(drain_seconds=drain_seconds),
    )
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        port = await tasks.start(serve_until, config, stop)
        try:
            yield RunningServer(port, stop)
        finally:
            stop.set()


def worker_token(key: str = KEY) -> str:
    """Return a worker's token."""
    return mint(key, agent=True)


def room_token(room: str, key: str = KEY) -> str:
    """Return an API caller's token for one room."""
    return mint(key, room_admin=True, room=room)


def admin_token(key: str = KEY) -> str:
    """Return a token that opens Callboard's own services."""
    return mint(key, dispatch_admin=True)


def mint(key: str, *, at_seconds: float = 0.0, **grants: Any) -> str:
    """Return a token that was minted so many seconds from now."""
    now_ns = time.time_ns() + round(at_seconds * 1e9)
    return mint_api_token(key, KEYS[key].secret, now_ns=now_ns, **grants)
