"""The callers of one process: when each call is made, over which connection, and what came of it.

Open loop: a call is made when it is due, whatever became of those before. With no connection free it
waits, and its wait counts, because its latency is counted from when it was due. Closed loop: as many
calls as there are callers; each is made again when its job is over.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker_sdk.loadtest.call_connection import Call, CallConnection
from worker_sdk.loadtest.job_label import metadata_of, room_of
from worker_sdk.loadtest.precise_timer import PreciseTimer
from worker_sdk.loadtest.profile import Arrivals
from worker_sdk.loadtest.tally import Count, Happening, Metric, Tally

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker_sdk.loadtest.profile import Profile
    from worker_sdk.loadtest.target import Target

__all__ = ["Callers", "Segment"]

_NS = 1_000_000_000
# Shorter than servers' own bounds (30 s here): a call must not meet a connection that is being closed.
KEEP_ALIVE_NS = 15 * _NS
OPEN_SECONDS_MAX = 10.0
# After a call that failed, a caller of a closed loop rests: a server that is down is not to be stormed.
FAILURE_PAUSE_SECONDS = 0.1
# A job of a closed loop that is not over so long after its own time: the caller goes on without it.
JOB_SECONDS_MAX = 30.0
# Calls that one turn of the loop makes; the others of a late turn are made in the next.
CALLS_PER_TURN_MAX = 200


@dataclass(frozen=True, slots=True)
class Segment:
    """A rate for a time; for all processes together."""

    from_ns: int
    until_ns: int
    rate: float


class Callers:
    """Makes the calls of process `index` of `processes`."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        target: Target,
        profile: Profile,
        run: str,
        index: int,
        processes: int,
        tally: Tally,
    ) -> None:
        self._tasks = tasks
        self._target = target
        self._profile = profile
        self._run = run
        self._index = index
        self._processes = processes
        self._tally = tally
        self._loop = asyncio.get_running_loop()
        self._rng = random.Random(f"{profile.seed} callers {index}")
        self._timer = PreciseTimer(self._loop, self._make_due_calls)
        self._segments: deque[Segment] = deque()
        self._segment: Segment | None = None
        # The next call of the segment: which one it is of all processes', how long after the segment's
        # begin it is due, and when that is. Sums of gaps would drift, and have a call too many at the end.
        self._next = 0
        self._after_ns = 0.0
        self._due_ns = 0
        self._calls_made = 0
        self._calls_max = profile.results_max // processes
        self._backlog: deque[Call] = deque()
        self._free: list[CallConnection] = []
        self._connections: set[CallConnection] = set()
        self._opening = 0
        # Of a closed loop: each number's open ends (answer, job), and until when they are waited for.
        self._loops_until_ns = 0
        self._open_ends: dict[int, tuple[set[str], int]] = {}
        self._sweeping = self._loop.call_later(1.0, self._sweep)

    # ---- what the command says ----

    def add_segments(self, segments: Iterable[Segment]) -> None:
        """Call at these rates, in this order."""
        self._segments.extend(segments)
        if self._segment is None:
            self._next_segment()

    def add_burst(self, at_ns: int, calls: int) -> None:
        """Make so many calls at that moment; they are made ready now."""
        made = [call for _ in range(calls) if (call := self._new_call(at_ns)) is not None]
        for call in made:
            call.request = self._request(call)
        for _ in range(min(calls, self._profile.connections_max) - len(self._connections)):
            self._open_connection()

        def burst() -> None:
            self._tally.count(Count.DUE, at_ns, len(made))
            for call in made:
                self._make(call)

        self._loop.call_later(max(0.0, (at_ns - time.monotonic_ns()) / _NS), burst)

    def begin_loops(self, until_ns: int, callers: int) -> None:
        """Begin so many closed loops."""
        self._loops_until_ns = until_ns
        for _ in range(callers):
            self._call_on()

    def stop(self) -> None:
        """Make no more calls than were due; those under way are waited for.

        Who is late makes the last calls now: that it is late is of the harness, and counts in them. Those
        that wait because all connections are in use are not made.
        """
        now_ns = time.monotonic_ns()
        while self._segment is not None and self._due_ns <= now_ns:
            self._make_due_calls()
        self._forget_calls(but=self._opening)

    def over(self, number: int) -> None:
        """A job has ended."""
        self._close_end(number, "job")

    def close(self) -> None:
        """Cut all connections, and do nothing any more."""
        self._forget_calls(but=0)
        self._timer.close()
        self._sweeping.cancel()
        for connection in list(self._connections):
            connection.abort("the run is over")

    @property
    def under_way(self) -> int:
        """Calls without an answer so far."""
        return sum(one.call is not None for one in self._connections) + len(self._backlog)

    @property
    def backlog(self) -> int:
        """Calls that are due and not made."""
        return len(self._backlog)

    def _forget_calls(self, but: int) -> None:
        """Forget what is to be called, except so many that wait for a connection."""
        self._segments.clear()
        self._segment = None
        self._loops_until_ns = 0
        while len(self._backlog) > but:
            self._tally.count(Count.NOT_MADE, self._backlog.pop().due_ns)

    # ---- open loop ----

    def _next_segment(self) -> None:
        self._segment = self._segments.popleft() if self._segments else None
        if self._segment is not None:
            self._next = self._index
            self._after_ns = self._next * _NS / self._segment.rate
            self._due_ns = self._segment.from_ns + round(self._after_ns)
            self._timer.arm(self._due_ns)

    def _make_due_calls(self) -> None:
        now_ns = time.monotonic_ns()
        for _ in range(CALLS_PER_TURN_MAX):
            segment = self._segment
            if segment is None:
                return
            if self._due_ns >= segment.until_ns:
                self._next_segment()
                continue
            if self._due_ns > now_ns:
                break
            due_ns = self._due_ns
            self._next += self._processes
            if self._profile.arrivals is Arrivals.POISSON:
                gap_ns = self._processes * _NS / segment.rate
                self._after_ns += gap_ns * self._rng.expovariate(1.0)
            else:
                self._after_ns = self._next * _NS / segment.rate
            self._due_ns = segment.from_ns + round(self._after_ns)
            self._tally.count(Count.DUE, due_ns)
            call = self._new_call(due_ns)
            if call is not None:
                self._make(call)
        self._timer.arm(self._due_ns)

    # ---- closed loop ----

    def _call_on(self) -> None:
        now_ns = time.monotonic_ns()
        if now_ns >= self._loops_until_ns:
            return
        call = self._new_call(now_ns)
        if call is None:
            return
        until_ns = now_ns + round((JOB_SECONDS_MAX + 2 * self._profile.job_seconds) * _NS)
        self._open_ends[call.number] = ({"answer", "job"}, until_ns)
        self._tally.count(Count.DUE, now_ns)
        self._make(call)

    def _close_end(self, number: int, end: str) -> None:
        found = self._open_ends.get(number)
        if found is None:
            return
        found[0].discard(end)
        if not found[0]:
            del self._open_ends[number]
            self._call_on()

    def _break_loop(self, number: int) -> None:
        """The call failed: begin again, after a rest."""
        if self._open_ends.pop(number, None) is not None:
            self._loop.call_later(FAILURE_PAUSE_SECONDS, self._call_on)

    # ---- calls and connections ----

    def _new_call(self, due_ns: int) -> Call | None:
        if self._calls_made >= self._calls_max:
            self._tally.count(Count.NOT_MADE, due_ns)
            return None
        number = self._calls_made * self._processes + self._index
        self._calls_made += 1
        return Call(number, due_ns)

    def _request(self, call: Call) -> bytes:
        profile = self._profile
        metadata = metadata_of(self._run, call.number, call.due_ns, profile.metadata_bytes)
        return self._target.create_dispatch(
            room_of(self._run, call.number), profile.agent_name, metadata
        )

    def _make(self, call: Call) -> None:
        connection = self._free_connection()
        if connection is not None:
            self._make_on(connection, call)
            self._tally.time(Metric.LATE, call.due_ns, call.called_ns - call.due_ns)
            return
        if len(self._backlog) >= self._profile.backlog_max:
            self._tally.count(Count.NOT_MADE, call.due_ns)
            self._break_loop(call.number)
            return
        self._backlog.append(call)
        if len(self._connections) + self._opening < self._profile.connections_max:
            self._open_connection()
        else:
            self._tally.sums["waits_for_connection"] += 1

    def _make_on(self, connection: CallConnection, call: Call) -> None:
        if not call.request:
            call.request = self._request(call)
        connection.make(call)
        self._tally.count(Count.CALLED, call.called_ns)

    def _free_connection(self) -> CallConnection | None:
        stale_before_ns = time.monotonic_ns() - KEEP_ALIVE_NS
        while self._free:
            # The one that was used last: those that are not needed grow old.
            connection = self._free.pop()
            if not connection.is_open:
                continue
            if connection.idle_since_ns > stale_before_ns:
                return connection
            connection.abort("idle for long")
        return None

    def _open_connection(self) -> None:
        self._opening += 1
        self._tasks.create_task(self._open())

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(OPEN_SECONDS_MAX):
                _, connection = await self._loop.create_connection(
                    lambda: CallConnection(self),
                    self._target.host,
                    self._target.port,
                    ssl=self._target.tls,
                )
        except (OSError, TimeoutError) as error:
            self._opening -= 1
            if self._backlog:
                why = getattr(error, "strerror", None) or type(error).__name__
                self._failed(self._backlog.popleft(), f"no connection: {why}")
            return
        self._opening -= 1
        self._connections.add(connection)
        self._rest(connection)

    def _rest(self, connection: CallConnection) -> None:
        """The connection is free."""
        if not connection.is_open:
            return
        if self._backlog:
            self._make_on(connection, self._backlog.popleft())
        else:
            self._free.append(connection)

    def answered(self, connection: CallConnection, call: Call, failure: str) -> None:
        """A call has its answer."""
        if failure:
            self._failed(call, failure)
        else:
            now_ns = time.monotonic_ns()
            self._tally.count(Count.ACKNOWLEDGED, now_ns)
            self._tally.job(Happening.ACKNOWLEDGED, call.number)
            self._tally.time(Metric.ACK, call.due_ns, now_ns - call.due_ns)
            self._close_end(call.number, "answer")
        self._rest(connection)

    def lost(self, connection: CallConnection, call: Call | None, failure: str) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        if call is not None:
            self._failed(call, failure)

    def _failed(self, call: Call, why: str) -> None:
        self._tally.count(Count.ERRORS, time.monotonic_ns())
        self._tally.failed(why)
        self._break_loop(call.number)

    def _sweep(self) -> None:
        """Give up what was waited for too long."""
        self._sweeping = self._loop.call_later(1.0, self._sweep)
        now_ns = time.monotonic_ns()
        seconds = self._profile.call_timeout_seconds
        called_before_ns = now_ns - round(seconds * _NS)
        for connection in list(self._connections):
            call = connection.call
            if call is not None and call.called_ns < called_before_ns:
                connection.abort(f"no answer within {seconds:g} s")
        # Those that wait for a connection while the server takes none, or is gone.
        if self._backlog and len(self._connections) + self._opening == 0:
            self._open_connection()
        late = [number for number, (_, until_ns) in self._open_ends.items() if until_ns < now_ns]
        for number in late:
            self._break_loop(number)
