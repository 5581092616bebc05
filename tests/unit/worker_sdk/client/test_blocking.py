"""The blocking client is what is generated from the other, says the same, and blocks."""

from __future__ import annotations

import inspect
import random
import threading
from collections.abc import Iterator

import httpx2
import pytest

from protocol import api_pb2
from protocol.errors import TwirpCode
from tests.unit.worker_sdk.client.script import KEYS, Answer, Script, dispatched, ok, twirp
from tests.unit.worker_sdk.client.test_events import begin, gone, moved
from worker_sdk import DispatchClient, ServerUnreachable
from worker_sdk.client import SyncDispatchClient
from worker_sdk.client.blocking import events as blocking_events
from worker_sdk.client.blocking import paging as blocking_paging
from worker_sdk.client.events import EventStream
from worker_sdk.client.generate import blocking_texts
from worker_sdk.client.paging import Rows
from worker_sdk.errors import CallTimedOut, EventsGone


def client_of(script: Script) -> SyncDispatchClient:
    return SyncDispatchClient(
        "ws://dispatcher.example",
        "devkey",
        KEYS["devkey"],
        rng=random.Random(1),
        transport=httpx2.MockTransport(script),
    )


def test_what_is_checked_in_is_what_is_generated() -> None:
    stale = [
        path.name for path, text in blocking_texts().items() if path.read_text("utf-8") != text
    ]
    assert stale == [], "python -m worker_sdk.client.generate writes them anew"


def public(kind: type) -> dict[str, object]:
    return {name: each for name, each in inspect.getmembers(kind) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("awaiting", "blocking"),
    [
        (DispatchClient, SyncDispatchClient),
        (EventStream, blocking_events.EventStream),
        (Rows, blocking_paging.Rows),
    ],
)
def test_both_have_the_same_methods_with_the_same_arguments(awaiting: type, blocking: type) -> None:
    ours, theirs = public(awaiting), public(blocking)
    assert ours.keys() == theirs.keys()
    for name, method in theirs.items():
        assert not inspect.iscoroutinefunction(method), name
        if inspect.isfunction(method):
            found, wanted = inspect.signature(method), inspect.signature(getattr(awaiting, name))
            assert found == wanted, name


def test_a_lost_answer_is_asked_for_again() -> None:
    script = Script(httpx2.ReadError("cut"), twirp(TwirpCode.UNAVAILABLE), dispatched())
    with client_of(script) as client:
        assert client.create_dispatch("lobby", "greeter").id == "AD_1"
    assert len(set(script.request_ids)) == 1
    assert script.asked_whose == 1


def test_a_write_that_would_undo_anothers_is_not() -> None:
    script = Script(httpx2.ReadError("cut"), ok(api_pb2.ApplyRuleResponse()))
    with client_of(script) as client, pytest.raises(ServerUnreachable):
        client.apply_rule(api_pb2.Rule(name="greeter"))


def test_an_answer_that_does_not_come_in_time_is_called_slow() -> None:
    script = Script(httpx2.ReadTimeout(""))
    client = SyncDispatchClient(
        "ws://x", "k", "s", retry_seconds_max=0, transport=httpx2.MockTransport(script)
    )
    with client, pytest.raises(CallTimedOut, match="none within 15 s"):
        client.list_jobs()


def test_a_list_is_read_over_its_pages() -> None:
    first = api_pb2.ListRoomsResponse(rooms=[api_pb2.RoomRecord(name="a")], next_page_token="next")
    last = api_pb2.ListRoomsResponse(rooms=[api_pb2.RoomRecord(name="b")])
    with client_of(Script(ok(first), ok(last))) as client:
        assert [room.name for room in client.iterate_rooms()] == ["a", "b"]


def lost_after(*pieces: bytes) -> Iterator[bytes]:
    yield from pieces
    raise httpx2.ReadError("lost")


def test_events_are_read_over_lost_connections() -> None:
    asked: list[str | None] = []
    connections = [
        lost_after(begin(3), gone(3, 5), moved(5), moved(6)[:-1]),
        lost_after(begin(5), moved(6)),
        iter([begin(6), moved(7)]),
    ]

    def handler(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers.get("Last-Event-ID"))
        headers = {"Content-Type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, content=connections.pop(0))

    client = SyncDispatchClient(
        "ws://x", "k", "s", rng=random.Random(1), transport=httpx2.MockTransport(handler)
    )
    with client, client.events(3, follow=False) as stream:
        with pytest.raises(EventsGone):
            next(stream)
        assert [event.sequence for event in stream] == [5, 6, 7]
    assert asked == ["3", "5", "6"]


def test_one_client_serves_many_threads() -> None:
    answers: list[Answer] = [dispatched()]
    made: list[str] = []
    with client_of(Script(*answers)) as client:

        def create() -> None:
            made.append(client.create_dispatch("lobby", "greeter").id)

        threads = [threading.Thread(target=create) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert made == ["AD_1"] * 8
