"""Callers: when calls are made, and what came of them, against an HTTP server of the test's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from protocol import wire_pb2
from protocol.tokens import verify
from worker_sdk.credentials import Credentials
from worker_sdk.loadtest.callers import Callers, Segment
from worker_sdk.loadtest.channel import unpack_numbers
from worker_sdk.loadtest.job_label import read_label
from worker_sdk.loadtest.profile import Profile
from worker_sdk.loadtest.tally import Tally
from worker_sdk.loadtest.target import Target

pytestmark = pytest.mark.anyio

RUN = "abcd1234"
KEY, SECRET = "key", "a-secret-of-the-tests"
NS = 1_000_000_000
DEADLINE_SECONDS = 60.0
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\x0a\x00"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"


@dataclass
class Api:
    """Answers each call with `answer`, while `is_open`."""

    answer: bytes = FINE
    # Bytes that are written at once.
    piece_bytes: int = 1 << 20
    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[tuple[dict[str, str], wire_pb2.CreateAgentDispatchRequest]] = field(
        default_factory=list
    )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                fields = dict(line.split(": ", 1) for line in head[1:] if line)
                body = await reader.readexactly(int(fields["Content-Length"]))
                request = wire_pb2.CreateAgentDispatchRequest.FromString(body)
                self.calls.append(({"": head[0], **fields}, request))
                await self.is_open.wait()
                for at in range(0, len(self.answer), self.piece_bytes):
                    writer.write(self.answer[at : at + self.piece_bytes])
                    await writer.drain()
                    # The next piece is read apart from this one.
                    await asyncio.sleep(0.002)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@dataclass
class Stage:
    """Callers and the API that they call; totals of what was tallied."""

    api: Api
    callers: Callers
    tally: Tally
    reports: list[dict[str, Any]] = field(default_factory=list)

    def total(self, what: str) -> int:
        """How often something was counted."""
        self.reports.append(self.tally.take())
        return sum(sum(each["counts"].get(what, {}).values()) for each in self.reports)

    def failures(self) -> dict[str, int]:
        """Why calls failed."""
        self.reports.append(self.tally.take())
        found: dict[str, int] = {}
        for each in self.reports:
            for why, times in each["failures"].items():
                found[why] = found.get(why, 0) + times
        return found

    def numbers(self) -> list[int]:
        """The jobs that were acknowledged."""
        self.reports.append(self.tally.take())
        told = [each["jobs"].get("acknowledged", "") for each in self.reports]
        return sorted(number for text in told for number in unpack_numbers(text))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something, within a bound."""
        with anyio.fail_after(DEADLINE_SECONDS):
            while not condition():  # noqa: ASYNC110 - nothing tells of it
                await anyio.sleep(0.005)


@asynccontextmanager
async def staged(index: int = 0, processes: int = 1, **changes: Any) -> AsyncIterator[Stage]:
    """Callers, and an API that answers at once."""
    api = Api()
    api.is_open.set()
    server = await asyncio.start_server(api.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    tally = Tally()
    tally.begin_ns = time.monotonic_ns()
    tasks = asyncio.TaskGroup()
    async with tasks:
        callers = Callers(
            tasks,
            Target(Credentials(url, KEY, SECRET)),
            Profile(**changes),
            RUN,
            index,
            processes,
            tally,
        )
        yield Stage(api, callers, tally)
        callers.close()
    server.close()


async def test_a_call_is_one_of_an_api_client() -> None:
    async with staged(metadata_bytes=150) as stage:
        now_ns = time.monotonic_ns()
        stage.callers.add_segments([Segment(now_ns, now_ns + NS, 1.0)])
        await stage.until(lambda: stage.total("acknowledged") == 1)
        ((head, request),) = stage.api.calls
        assert head[""] == "POST /twirp/livekit.AgentDispatchService/CreateDispatch HTTP/1.1"
        assert head["Content-Type"] == "application/protobuf"
        assert head["X-Livekit-Request-Id"] == request.room == f"loadtest-{RUN}-0"
        assert request.agent_name == "loadtest"
        assert len(request.metadata) == 150
        label = read_label(RUN, request.metadata)
        assert label is not None
        assert (label.number, label.due_ns) == (0, now_ns)
        token = head["Authorization"].removeprefix("Bearer ")
        grants = verify(token, {KEY: SECRET}, time.time_ns())
        assert grants.may_administer_room(request.room)


async def test_an_open_loop_calls_on_while_the_server_is_silent_and_counts_the_wait() -> None:
    async with staged() as stage:
        stage.api.is_open.clear()
        from_ns = time.monotonic_ns()
        stage.callers.add_segments([Segment(from_ns, from_ns + NS // 2, 100.0)])
        await stage.until(lambda: len(stage.api.calls) == 50)
        assert stage.total("acknowledged") == 0
        stage.api.is_open.set()
        silent_us = (time.monotonic_ns() - from_ns) // 1000
        await stage.until(lambda: stage.total("acknowledged") == 50)
        waits = [each["metrics"].get("ack", {}) for each in stage.reports]
        longest = max(numbers[1] for by_second in waits for numbers in by_second.values())
        assert longest >= silent_us - 10_000  # of the first call, from when it was due


async def test_a_call_without_a_free_connection_waits_and_counts_from_when_it_was_due() -> None:
    async with staged(connections_max=1) as stage:
        stage.api.is_open.clear()
        from_ns = time.monotonic_ns()
        stage.callers.add_segments([Segment(from_ns, from_ns + NS // 10, 100.0)])
        await stage.until(lambda: stage.callers.backlog == 9 and bool(stage.api.calls))
        assert len(stage.api.calls) == 1
        opened_ns = time.monotonic_ns()
        stage.api.is_open.set()
        await stage.until(lambda: stage.total("acknowledged") == 10)
        waits = [each["metrics"].get("ack", {}) for each in stage.reports]
        shortest = min(numbers[0] for by_second in waits for numbers in by_second.values())
        assert shortest >= (opened_ns - from_ns - 9 * NS // 100) // 1000 - 1
        due = [label.due_ns for _, r in stage.api.calls if (label := read_label(RUN, r.metadata))]
        assert due == [from_ns + n * NS // 100 for n in range(10)]


async def test_answers_may_come_in_pieces() -> None:
    async with staged(connections_max=1) as stage:
        stage.api.piece_bytes = len(FINE) - 1
        from_ns = time.monotonic_ns()
        stage.callers.add_segments([Segment(from_ns, from_ns + NS // 100, 1200.0)])
        await stage.until(lambda: stage.numbers() == list(range(12)))
        assert not stage.failures()
        assert len(stage.api.calls) == 12


@pytest.mark.parametrize("shift_ns", [0, 7, 300])
async def test_a_rate_has_as_many_calls_as_it_says_whatever_the_clock(shift_ns: int) -> None:
    async with staged() as stage:
        stage.api.is_open.clear()
        from_ns = time.monotonic_ns() - NS + shift_ns
        stage.callers.add_segments([Segment(from_ns, from_ns + NS // 10, 1100.0)])
        stage.callers.stop()
        assert stage.total("due") == 110


async def test_calls_beyond_the_backlog_are_counted_and_not_made() -> None:
    async with staged(connections_max=1, backlog_max=3) as stage:
        stage.api.is_open.clear()
        from_ns = time.monotonic_ns()
        stage.callers.add_segments([Segment(from_ns, from_ns + NS // 10, 200.0)])
        await stage.until(lambda: stage.total("due") == 20)
        await stage.until(lambda: stage.total("not_made") >= 16)
        assert stage.callers.backlog <= 3


async def test_processes_share_a_rate_and_never_a_number() -> None:
    numbers, due = [], []
    from_ns = time.monotonic_ns()
    for index in range(2):
        async with staged(index, 2) as stage:
            stage.callers.add_segments([Segment(from_ns, from_ns + NS // 10, 100.0)])
            await stage.until(lambda: stage.total("acknowledged") == 5)
            numbers += stage.numbers()
            for _, request in stage.api.calls:
                label = read_label(RUN, request.metadata)
                assert label is not None
                due.append(label.due_ns)
    assert sorted(numbers) == list(range(10))
    assert sorted(due) == [from_ns + n * NS // 100 for n in range(10)]


async def test_arrivals_by_chance_have_the_same_rate() -> None:
    from_ns = time.monotonic_ns()
    async with staged(arrivals="poisson", seed=4) as stage:
        stage.callers.add_segments([Segment(from_ns, from_ns + NS // 2, 1000.0)])
        await stage.until(lambda: stage.total("due") >= 400)
        await stage.until(lambda: time.monotonic_ns() > from_ns + NS)
        assert stage.total("due") <= 600


async def test_a_burst_is_due_at_one_moment() -> None:
    async with staged() as stage:
        at_ns = time.monotonic_ns() + NS // 5
        stage.callers.add_burst(at_ns, 40)
        await stage.until(lambda: stage.total("acknowledged") == 40)
        labels = [read_label(RUN, request.metadata) for _, request in stage.api.calls]
        assert {label.due_ns for label in labels if label} == {at_ns}


async def test_a_closed_loop_calls_again_when_the_job_is_over_and_answered() -> None:
    async with staged() as stage:
        stage.callers.begin_loops(time.monotonic_ns() + 60 * NS, callers=2)
        await stage.until(lambda: stage.total("acknowledged") == 2)
        stage.callers.over(1)
        await stage.until(lambda: stage.total("acknowledged") == 3)
        stage.callers.over(1)  # told twice: nothing more
        stage.callers.over(0)
        await stage.until(lambda: stage.numbers() == [0, 1, 2, 3])


async def test_a_job_that_is_over_before_its_answer_waits_for_it() -> None:
    async with staged() as stage:
        stage.api.is_open.clear()
        stage.callers.begin_loops(time.monotonic_ns() + 60 * NS, callers=1)
        await stage.until(lambda: len(stage.api.calls) == 1)
        stage.callers.over(0)
        assert len(stage.api.calls) == 1
        stage.api.is_open.set()
        await stage.until(lambda: stage.total("acknowledged") == 2 or len(stage.api.calls) == 2)


async def test_after_a_failure_a_closed_loop_goes_on() -> None:
    async with staged() as stage:
        stage.api.answer = BUSY
        stage.callers.begin_loops(time.monotonic_ns() + 60 * NS, callers=1)
        await stage.until(lambda: stage.total("errors") >= 2)
        assert set(stage.failures()) == {"HTTP 503: busy"}


async def test_a_call_without_an_answer_is_given_up() -> None:
    async with staged(call_timeout_seconds=0.2) as stage:
        stage.api.is_open.clear()
        now_ns = time.monotonic_ns()
        stage.callers.add_segments([Segment(now_ns, now_ns + NS, 1.0)])
        await stage.until(lambda: stage.failures() == {"no answer within 0.2 s": 1})
        assert stage.callers.under_way == 0


async def test_a_server_that_is_gone_is_an_error_of_each_call() -> None:
    async with staged() as stage:
        stage.callers.stop()
    async with staged() as other:
        # A port on which nobody listens any more.
        other.callers._target.port = stage.callers._target.port
        now_ns = time.monotonic_ns()
        other.callers.add_segments([Segment(now_ns, now_ns + NS // 10, 50.0)])
        await other.until(lambda: other.total("errors") == 5)
        (why,) = other.failures()
        assert why.startswith("no connection: ")


async def test_calls_that_were_due_before_the_stop_are_made_however_late_it_is() -> None:
    async with staged() as stage:
        now_ns = time.monotonic_ns()
        stage.callers.add_segments([Segment(now_ns - NS, now_ns + 60 * NS, 1.0)])
        stage.callers.stop()
        await stage.until(lambda: stage.total("acknowledged") == 2)
        assert (stage.total("due"), stage.total("not_made")) == (2, 0)


async def test_calls_that_wait_for_a_connection_in_use_are_not_made_after_the_stop() -> None:
    async with staged(connections_max=1) as stage:
        stage.api.is_open.clear()
        now_ns = time.monotonic_ns()
        stage.callers.add_segments([Segment(now_ns - NS, now_ns, 3.0)])
        await stage.until(lambda: len(stage.api.calls) == 1)
        stage.callers.stop()
        assert stage.total("not_made") == 2
        stage.api.is_open.set()
        await stage.until(lambda: stage.total("acknowledged") == 1)


async def test_after_the_stop_no_call_is_made() -> None:
    async with staged() as stage:
        now_ns = time.monotonic_ns()
        stage.callers.add_segments([Segment(now_ns, now_ns + 60 * NS, 100.0)])
        await stage.until(lambda: stage.total("acknowledged") > 3)
        stage.callers.stop()
        due = stage.total("due")
        # When this call has been made, others of before would have been.
        later_ns = time.monotonic_ns() + NS // 10
        stage.callers.add_segments([Segment(later_ns, later_ns + 1, 1.0)])
        await stage.until(lambda: stage.total("due") > due)
        assert stage.total("due") == due + 1
