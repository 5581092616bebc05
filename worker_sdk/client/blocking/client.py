# Generated from ../client.py by `python -m worker_sdk.client.generate`: change that.
"""The API client: all calls to one server, over pooled HTTP connections.

    with SyncDispatchClient() as client:
        dispatch = client.create_dispatch("lobby", "greeter")

Its calls are in the modules of their services, how one is made in `transport`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from worker_sdk.client.blocking.agents import AgentCalls
from worker_sdk.client.blocking.dispatches import DispatchCalls
from worker_sdk.client.blocking.events import EventCalls
from worker_sdk.client.blocking.jobs import JobCalls
from worker_sdk.client.blocking.room_configurations import RoomConfigurationCalls
from worker_sdk.client.blocking.rooms import RoomCalls
from worker_sdk.client.blocking.rules import RuleCalls
from worker_sdk.client.blocking.transport import CALL_TIMEOUT_SECONDS, RETRY_SECONDS_MAX, Transport
from worker_sdk.client.blocking.workers import WorkerCalls
from worker_sdk.credentials import Credentials

if TYPE_CHECKING:
    import random
    from types import TracebackType

    import httpx2

__all__ = ["SyncDispatchClient"]


class SyncDispatchClient(
    DispatchCalls,
    JobCalls,
    WorkerCalls,
    AgentCalls,
    RoomCalls,
    RuleCalls,
    RoomConfigurationCalls,
    EventCalls,
):
    """Calls one server, any number of calls at once. Close it, or use it as a context.

    `url`, `api_key` and `api_secret` come from LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET
    where they are None; ConfigError where there is none. A try takes `call_timeout_seconds` at most
    (in a thread, which nothing can interrupt, that is each wait for the network); all tries begin within `retry_seconds_max`, 0: no call is tried twice. What is tried
    again is said in `retries`: nothing that would be done twice.

    Each call raises TwirpError (the server's answer; one that answers `unavailable` to all tries is
    that), CredentialsRefused, ServerUnreachable, CallTimedOut or UnexpectedAnswer, and no other.
    `transport` replaces the network, `rng` chance, for tests.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        api_secret: str | None = None,
        *,
        call_timeout_seconds: float = CALL_TIMEOUT_SECONDS,
        retry_seconds_max: float = RETRY_SECONDS_MAX,
        rng: random.Random | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._transport = Transport(
            Credentials.resolve(url, api_key, api_secret),
            call_timeout_seconds=call_timeout_seconds,
            retry_seconds_max=retry_seconds_max,
            rng=rng,
            transport=transport,
        )

    def __repr__(self) -> str:
        return f"SyncDispatchClient({self._transport.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the pooled connections."""
        self._transport.close()
