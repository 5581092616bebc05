"""The moves of all jobs as they become durable, over any number of connections: GET /events.

A stream knows the place that it has read to, and asks on from there when its connection is lost or
the server restarts: each event comes once, in the order of the log, or `EventsGone` says which do not.
It goes on after an error, and after a wait for it was cancelled, where it stood.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Self

import httpx2

from protocol.errors import TwirpCode, TwirpError
from worker_sdk.client.answers import Answer, failure_of
from worker_sdk.client.concurrency import chunks, now, sleep
from worker_sdk.client.event_stream import (
    GONE,
    Block,
    BlockReader,
    JobEvent,
    UnreadableBlock,
    gone_of,
    job_event_of,
)
from worker_sdk.client.retries import Failure, Repeatable, Tries
from worker_sdk.client.transport import Calls, Transport, failure_to_reach
from worker_sdk.errors import EventsGone, UnexpectedAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from types import TracebackType

__all__ = ["AWAY_SECONDS_MAX", "EventCalls", "EventStream"]

# How long a server may be away before a stream gives up.
AWAY_SECONDS_MAX = 300.0
CONNECT_SECONDS_MAX = 10.0
# The server says something every 15 s; a stream that is silent for longer is dead.
SILENCE_SECONDS_MAX = 60.0
EVENT_BYTES_MAX = 1024 * 1024

_PATH = "/events"


class EventStream:
    """Iterates over events. Close it, or use it as a context, to give its connection back early."""

    def __init__(
        self, transport: Transport, after: int | None, follow: bool, away_seconds_max: float
    ) -> None:
        self._transport = transport
        self._place = after
        self._follows = follow
        self._away_seconds_max = away_seconds_max
        # Tries since the connection was last well; None: not so far.
        self._tries: Tries | None = None
        # What has come and was not given out: at most what one read brings.
        self._blocks: deque[Block] = deque()
        self._response: httpx2.Response | None = None
        self._chunks: AsyncGenerator[bytes, None] | None = None
        self._is_reading = False
        self._reader = BlockReader(EVENT_BYTES_MAX)
        self._is_at_end = False
        self._begins_at = 1

    def __repr__(self) -> str:
        return f"EventStream(place={self._place})"

    @property
    def place(self) -> int | None:
        """The number up to which everything was given out: `after` of a stream that goes on here.

        None: it was asked for what comes from now on, and is not connected yet.
        """
        return self._place

    @property
    def begins_at(self) -> int:
        """The number with which the log begins as it is kept, once a stream after 0 has found out."""
        return self._begins_at

    def __aiter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connection back. A stream that is asked for more opens another."""
        parts, response = self._chunks, self._response
        self._chunks = self._response = None
        self._blocks.clear()
        if response is not None:
            try:
                # One that is being read ends with the connection.
                if parts is not None and not self._is_reading:
                    await parts.aclose()
            finally:
                await response.aclose()

    async def __anext__(self) -> JobEvent:
        while True:
            while self._blocks:
                try:
                    event = self._take(self._blocks.popleft())
                except UnreadableBlock as error:
                    await self.close()
                    raise self._unexpected(str(error)) from None
                if event is not None:
                    return event
            if self._is_at_end:
                raise StopAsyncIteration
            await self._read_on()

    def _take(self, block: Block) -> JobEvent | None:
        """The event of a block, if it is one and new; the place moves on with it.

        Raises EventsGone, UnreadableBlock.
        """
        if block.kind == GONE and block.data:
            after, following = gone_of(block)
            place, self._place = self._place, following - 1
            if place or following <= after:
                raise EventsGone(after, following)
            # What is kept was asked for, and no event by its number.
            self._begins_at = following
            return None
        event = job_event_of(block) if block.data else None
        if block.sequence is None or (self._place is not None and block.sequence <= self._place):
            return None
        self._place = block.sequence
        return event

    async def _read_on(self) -> None:
        """Wait for more, or for the next try to connect."""
        failure: Failure | None = None
        is_done = False
        try:
            if self._chunks is None:
                failure = await self._connect()
            if self._chunks is not None:
                failure = await self._read()
            is_done = True
        except httpx2.RequestError as error:
            failure = failure_to_reach(error)
            is_done = True
        finally:
            # Whatever ends a wait also ends its connection; the place stands.
            if failure is not None or not is_done:
                await self.close()
        if failure is not None:
            await self._pause(failure)

    async def _connect(self) -> Failure | None:
        headers = {"Accept": "text/event-stream"}
        if self._place is not None:
            headers["Last-Event-ID"] = str(self._place)
        found = await self._transport.open(
            _PATH,
            headers,
            {"follow": "true" if self._follows else "false"},
            httpx2.Timeout(CONNECT_SECONDS_MAX, read=SILENCE_SECONDS_MAX),
        )
        if isinstance(found, Failure):
            return found
        if isinstance(found, Answer):
            try:
                return failure_of(found)
            except TwirpError as error:
                if error.code is not TwirpCode.RESOURCE_EXHAUSTED:
                    raise
                # So many streams are open; those whose connection was lost are soon found out.
                return Failure(str(error), may_have_happened=False, refusal=error)
        self._response, self._reader = found, BlockReader(EVENT_BYTES_MAX)
        self._chunks = chunks(found)
        if "text/event-stream" not in found.headers.get("content-type", ""):
            raise self._unexpected("there is no event stream")
        return None

    async def _read(self) -> Failure | None:
        """Read what has come."""
        assert self._chunks is not None
        self._is_reading = True
        try:
            chunk = await anext(self._chunks, None)
        finally:
            self._is_reading = False
        if chunk is None:
            if self._follows:
                return Failure("the stream ended", may_have_happened=False)
            self._is_at_end = True
            await self.close()
            return None
        try:
            self._blocks.extend(self._reader.feed(chunk))
        except UnreadableBlock as error:
            raise self._unexpected(str(error)) from None
        self._note_life()
        return None

    def _note_life(self) -> None:
        """The server is there; only what it says beyond its first words shows that all is well."""
        if self._tries is not None:
            self._tries.started_at = now()
            is_more = any(
                block.data or (self._place is not None and (block.sequence or 0) > self._place)
                for block in self._blocks
            )
            if is_more:
                self._tries = None

    async def _pause(self, failure: Failure) -> None:
        """Wait until the next try. Raises what the failure means where there is none."""
        self._tries = self._tries or Tries(self._away_seconds_max, now())
        self._tries.note(failure)
        transport = self._transport
        pause = self._tries.pause_seconds(failure, Repeatable.ALWAYS, now(), transport.rng)
        if pause is None:
            failures = self._tries.failures
            self._tries = None
            raise failure.error(transport.url, failures, False)
        await sleep(pause)

    def _unexpected(self, reason: str) -> UnexpectedAnswer:
        return UnexpectedAnswer(f"{self._transport.url}{_PATH}", 200, reason)


class EventCalls(Calls):
    """The stream of events."""

    def events(
        self,
        after: int | None = None,
        *,
        follow: bool = True,
        away_seconds_max: float = AWAY_SECONDS_MAX,
    ) -> EventStream:
        """Iterate over the moves of all jobs after number `after`, as they become durable.

            async for event in client.events(after=42):
                print(event.sequence, event.job_id, event.phase)

        `after` None: what happens from now on; 0: all that is kept, and then what happens. With
        `follow` False it ends where the log does. It outlasts lost connections and restarts of the
        server, and gives up when the server has been away for `away_seconds_max`: ServerUnreachable,
        or TwirpError with the server's reason. EventsGone where events after `after` are no longer
        kept; the same stream then goes on after the gap. Only Callboard's server has events.
        """
        stream = EventStream(self._transport, after, follow, away_seconds_max)
        self._transport.add(stream)
        return stream
