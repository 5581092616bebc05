"""A relay to the SFU's worker socket that is cut in the moment between an offer and its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketAttribute, SocketStream

from tests.conformance.relay import HOST, Relay

# LiveKit's offers tell a room's codecs, and are longer; the answer to a registration is shorter.
OFFER_BYTES_MIN = 250
_BINARY, _TWO_BYTES_OF_LENGTH = 0x82, 126


class OfferRelay(Relay):
    """Cuts a connection right after it passed an offer on; as often as `offers_to_cut` says."""

    def __init__(self, port: int, target_port: int) -> None:
        super().__init__(port, target_port)
        self.offers_to_cut = 0
        self.offers_cut = 0

    async def _pass_on(
        self, source: SocketStream, sink: SocketStream, scope: anyio.CancelScope
    ) -> None:
        try:
            async for data in source:
                is_cut = self.offers_to_cut > 0 and _is_offer(data)
                if is_cut:
                    self.offers_to_cut -= 1
                    self.offers_cut += 1
                await sink.send(data)
                if is_cut:
                    break
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        scope.cancel()


def _is_offer(data: bytes) -> bool:
    """Is it a long frame of the SFU's? (Ours are masked, so their length is another number.)"""
    if len(data) < 4 or data[0] != _BINARY or data[1] != _TWO_BYTES_OF_LENGTH:
        return False
    return int.from_bytes(data[2:4], "big") >= OFFER_BYTES_MIN


@asynccontextmanager
async def offer_relay_to(target_port: int) -> AsyncIterator[OfferRelay]:
    """Relay a free port to `target_port` for as long as the context is open."""
    listener = await anyio.create_tcp_listener(local_host=HOST)
    relay = OfferRelay(listener.extra(SocketAttribute.local_port), target_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, relay._serve)
        try:
            yield relay
        finally:
            tasks.cancel_scope.cancel()
