"""The stream of events over connections that are lost, cut in the middle, refused or silent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import anyio
import httpx2
import pytest

from protocol.api_pb2 import JobPhase
from protocol.errors import TwirpCode, TwirpError
from tests.unit.worker_sdk.client.script import KEYS, twirp
from worker_sdk import DispatchClient, ServerUnreachable, UnexpectedAnswer
from worker_sdk.client.events import EventStream
from worker_sdk.errors import CredentialsRefused, EventsGone

pytestmark = pytest.mark.anyio

# In a stream's script: the connection is lost here; nothing more comes.
LOST = httpx2.ReadError("lost")
SILENCE = None

Piece = bytes | httpx2.TransportError | None


def begin(place: int) -> bytes:
    return b"retry: 1000\nid: %d\n\n" % place


def moved(sequence: int, job_id: str = "AJ_1") -> bytes:
    data = {"seq": str(sequence), "at": "5", "phase": "QUEUED", "job_id": job_id}
    return b"id: %d\nevent: created\ndata: %s\n\n" % (sequence, json.dumps(data).encode())


def gone(after: int, following: int) -> bytes:
    data = json.dumps({"after": str(after), "next": str(following)}).encode()
    return b"id: %d\nevent: gone\ndata: %s\n\n" % (following - 1, data)


class Streams:
    """Gives each connection its pieces, the last one's for ever; keeps what was asked for."""

    def __init__(self, *connections: list[Piece] | httpx2.Response | httpx2.TransportError) -> None:
        self._connections = list(connections)
        # Last-Event-ID of each connection
        self.asked: list[str | None] = []
        self.follow: list[str] = []
        self.has_begun_silence = anyio.Event()

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one connection."""
        self.asked.append(request.headers.get("Last-Event-ID"))
        self.follow.append(request.url.params["follow"])
        connections = self._connections
        found = connections.pop(0) if len(connections) > 1 else connections[0]
        if isinstance(found, httpx2.TransportError):
            raise found
        if isinstance(found, httpx2.Response):
            return found
        headers = {"Content-Type": "text/event-stream; charset=utf-8"}
        return httpx2.Response(200, headers=headers, content=self._told(found))

    async def _told(self, pieces: list[Piece]) -> AsyncIterator[bytes]:
        for piece in pieces:
            if piece is SILENCE:
                self.has_begun_silence.set()
                await anyio.sleep_forever()
            elif isinstance(piece, bytes):
                yield piece
            else:
                raise piece


def client_of(streams: Streams) -> DispatchClient:
    return DispatchClient(
        "ws://dispatcher.example",
        "devkey",
        KEYS["devkey"],
        transport=httpx2.MockTransport(streams),
    )


async def sequences(stream: EventStream, count: int) -> list[int]:
    with anyio.fail_after(60):
        return [(await anext(stream)).sequence for _ in range(count)]


async def read(stream: EventStream, count: int) -> list[int]:
    async with stream:
        return await sequences(stream, count)


async def test_events_come_with_all_that_is_said_of_them() -> None:
    async with client_of(Streams([begin(0), moved(1, "AJ_9"), SILENCE])) as client:
        stream = client.events(0)
        event = await anext(stream)
        assert (event.sequence, event.kind, event.job_id) == (1, "created", "AJ_9")
        assert event.phase == JobPhase.QUEUED


async def test_a_lost_connection_is_taken_up_after_the_last_event() -> None:
    streams = Streams([begin(3), moved(4), moved(6), LOST], [begin(6), moved(7), SILENCE])
    async with client_of(streams) as client:
        assert await read(client.events(3), 3) == [4, 6, 7]
    assert streams.asked == ["3", "6"]


async def test_a_stream_that_the_server_ended_is_taken_up_too() -> None:
    streams = Streams([begin(0), moved(1)], [begin(1), moved(2), SILENCE])
    async with client_of(streams) as client:
        assert await read(client.events(0), 2) == [1, 2]


async def test_an_event_that_was_cut_in_the_middle_is_asked_for_again() -> None:
    streams = Streams([begin(0), moved(1), moved(2)[:-1], LOST], [begin(1), moved(2), SILENCE])
    async with client_of(streams) as client:
        assert await read(client.events(0), 2) == [1, 2]
    assert streams.asked == ["0", "1"]


async def test_no_event_comes_twice_whatever_the_server_repeats() -> None:
    streams = Streams([begin(0), moved(1), moved(2), LOST], [moved(1), moved(2), moved(3), SILENCE])
    async with client_of(streams) as client:
        assert await read(client.events(0), 3) == [1, 2, 3]


async def test_what_happens_from_now_on_is_taken_up_where_now_was() -> None:
    streams = Streams([begin(41), LOST], [begin(41), moved(42), SILENCE])
    async with client_of(streams) as client:
        assert await read(client.events(), 1) == [42]
    assert streams.asked == [None, "41"]


async def test_a_quiet_stream_moves_on_with_the_servers_comments() -> None:
    streams = Streams([begin(1), b": nothing new\nid: 90\n\n", LOST], [moved(91), SILENCE])
    async with client_of(streams) as client:
        assert await read(client.events(1), 1) == [91]
    assert streams.asked == ["1", "90"]


async def test_a_server_that_is_away_is_waited_for() -> None:
    refused = httpx2.ConnectError("refused")
    streams = Streams(
        refused, twirp(TwirpCode.UNAVAILABLE), httpx2.Response(502), [moved(1), SILENCE]
    )
    async with client_of(streams) as client:
        assert await read(client.events(0), 1) == [1]


async def test_a_server_that_is_away_for_too_long_is_given_up() -> None:
    async with client_of(Streams(httpx2.ConnectError("refused"))) as client:
        with pytest.raises(ServerUnreachable, match="refused"):
            await anext(client.events(0, away_seconds_max=0.1))


async def test_a_server_that_says_why_it_cannot_is_believed() -> None:
    async with client_of(Streams(twirp(TwirpCode.UNAVAILABLE, "draining"))) as client:
        with pytest.raises(TwirpError, match="draining"):
            await anext(client.events(0, away_seconds_max=0.1))


async def test_a_stream_goes_on_after_it_gave_up() -> None:
    refused = httpx2.ConnectError("refused")
    streams = Streams([moved(1), LOST], refused, [moved(2), SILENCE])
    async with client_of(streams) as client:
        stream = client.events(0, away_seconds_max=1e-9)
        assert await sequences(stream, 1) == [1]
        for _ in range(2):
            with pytest.raises(ServerUnreachable):
                await anext(stream)
        assert await sequences(stream, 1) == [2]
    assert streams.asked == ["0", "1", "1"]


async def test_a_wrong_key_is_not_tried_again() -> None:
    streams = Streams(httpx2.Response(401, text="invalid token"))
    async with client_of(streams) as client:
        with pytest.raises(CredentialsRefused, match="LIVEKIT_API_SECRET"):
            await anext(client.events(0))
    assert len(streams.asked) == 1


async def test_too_many_streams_are_waited_for_until_one_ends() -> None:
    full = twirp(TwirpCode.RESOURCE_EXHAUSTED, "100 event streams are open")
    async with client_of(Streams(full, full, [moved(1), SILENCE])) as client:
        assert await read(client.events(0), 1) == [1]


async def test_events_that_are_gone_are_told_and_the_stream_goes_on_after_them() -> None:
    streams = Streams([begin(3), gone(3, 9), moved(9), LOST], [moved(10), SILENCE])
    async with client_of(streams) as client:
        stream = client.events(3)
        with pytest.raises(EventsGone, match="events 4 to 8 are no longer kept") as raised:
            await anext(stream)
        assert (raised.value.after, raised.value.resume_after) == (3, 8)
        assert not raised.value.is_of_another_log
        assert await sequences(stream, 2) == [9, 10]
    assert streams.asked == ["3", "9"]


async def test_who_asks_for_all_that_is_kept_misses_nothing() -> None:
    async with client_of(Streams([begin(0), gone(0, 9), moved(9), SILENCE])) as client:
        stream = client.events(0)
        assert stream.begins_at == 1
        assert await sequences(stream, 1) == [9]
        assert stream.begins_at == 9


async def test_a_log_that_went_back_is_told() -> None:
    streams = Streams([begin(50), gone(50, 8), moved(8), SILENCE])
    async with client_of(streams) as client:
        stream = client.events(50)
        with pytest.raises(EventsGone, match="there is no event 50 yet") as raised:
            await anext(stream)
        assert raised.value.is_of_another_log
        assert await sequences(stream, 1) == [8]


async def test_events_up_to_the_end_of_the_log_end_there() -> None:
    streams = Streams([begin(0), moved(1) + moved(2)])
    async with client_of(streams) as client:
        found = [event.sequence async for event in client.events(0, follow=False)]
    assert found == [1, 2]
    assert streams.follow == ["false"]


async def test_a_log_that_was_cut_short_is_read_to_its_end() -> None:
    streams = Streams([begin(0), moved(1), LOST], [begin(1), moved(2)])
    async with client_of(streams) as client:
        found = [event.sequence async for event in client.events(0, follow=False)]
    assert found == [1, 2]


async def test_a_wait_that_is_cancelled_loses_nothing() -> None:
    streams = Streams([begin(0), moved(1), SILENCE], [begin(1), moved(2), SILENCE])
    async with client_of(streams) as client:
        stream = client.events(0)
        assert await sequences(stream, 1) == [1]
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:

                async def cancel() -> None:
                    await streams.has_begun_silence.wait()
                    scope.cancel()

                tasks.start_soon(cancel)
                await anext(stream)
        assert scope.cancelled_caught
        assert await sequences(stream, 1) == [2]


async def test_a_stream_that_was_closed_goes_on_where_it_was() -> None:
    streams = Streams([begin(0), moved(1) + moved(2), SILENCE], [moved(2), SILENCE])
    async with client_of(streams) as client:
        async with client.events(0) as stream:
            assert await sequences(stream, 1) == [1]
        assert stream.place == 1
        assert await sequences(stream, 1) == [2]
    assert streams.asked == ["0", "1"]


@pytest.mark.parametrize(
    "said",
    [
        httpx2.Response(404, text="404 page not found"),
        httpx2.Response(200, text="hello", headers={"Content-Type": "text/html"}),
        [b"id: x\n\n"],
        [b"id: 1\nevent: created\ndata: x\n\n"],
        [b"x" * 1024 * 1024, b"x"],
    ],
    ids=["a page that is not there", "a page", "no number", "no JSON", "no end"],
)
async def test_what_another_program_streams_is_called_that(
    said: list[Piece] | httpx2.Response,
) -> None:
    async with client_of(Streams(said)) as client:
        with pytest.raises(UnexpectedAnswer, match="LIVEKIT_URL"):
            await anext(client.events(0))
