"""What the server's record says of jobs that were acknowledged and that nobody here can account for.

A worker that never saw a job cannot tell whether the server forgot it, has it queued still, or gave it
up: the server is asked, when the run is over. Its live jobs are listed by page; of those that are not
among them the dispatch is looked up, one call each. Both are bounded, and what could not be asked is
counted as such. LiveKit's own server is not asked: it runs no job again, so its word would change nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import anyio

from protocol import api_pb2, wire_pb2
from protocol.errors import CallboardError
from worker_sdk.loadtest.job_label import read_label, room_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker_sdk.client.client import DispatchClient

__all__ = ["ServerRecord", "Standing", "read_record"]

# All asking together, and what is asked at most.
ASK_SECONDS_MAX = 30.0
LIVE_JOBS_MAX = 500_000
LOOKUPS_MAX = 2_000
PAGE_SIZE = 1_000


class Standing(Enum):
    """What became of a job, by the server's record."""

    QUEUED = "queued"
    RUNNING = "running"
    FAILED = "failed"  # or cancelled
    ENDED = "ended"
    UNKNOWN = "unknown"


_LIVE = {
    api_pb2.DELAYED: Standing.QUEUED,
    api_pb2.QUEUED: Standing.QUEUED,
    api_pb2.OFFERED: Standing.QUEUED,
    api_pb2.ASSIGNED: Standing.RUNNING,
    api_pb2.RUNNING: Standing.RUNNING,
    api_pb2.ORPHANED: Standing.RUNNING,
}
_BY_STATUS = {
    wire_pb2.JS_PENDING: Standing.QUEUED,
    wire_pb2.JS_RUNNING: Standing.RUNNING,
    wire_pb2.JS_SUCCESS: Standing.ENDED,
    wire_pb2.JS_FAILED: Standing.FAILED,
    wire_pb2.JS_CANCELLED: Standing.FAILED,
}


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """How many of the jobs that were asked for stand how; `unasked` says nothing of how many, and why."""

    queued: int = 0
    running: int = 0
    failed: int = 0
    ended: int = 0
    unknown: int = 0
    unasked: int = 0
    why_unasked: str = ""

    @property
    def known(self) -> int:
        """Jobs that the server knows."""
        return self.queued + self.running + self.failed + self.ended


async def read_record(
    client: DispatchClient, agent_name: str, run: str, numbers: Iterable[int]
) -> ServerRecord:
    """Ask the server for the jobs of a run with these numbers. Raises nothing of the server's."""
    left = set(numbers)
    found: Counter[Standing] = Counter()
    why = ""
    with anyio.move_on_after(ASK_SECONDS_MAX) as scope:
        try:
            await _list_live(client, agent_name, run, left, found)
            await _look_up(client, run, left, found)
            why = f"more than {LOOKUPS_MAX:,}"
        except CallboardError as error:
            why = str(error)
    if scope.cancelled_caught:
        why = f"no more within {ASK_SECONDS_MAX:g} s"
    return ServerRecord(
        **{standing.value: found[standing] for standing in Standing},
        unasked=len(left),
        why_unasked=why if left else "",
    )


async def _list_live(
    client: DispatchClient, agent_name: str, run: str, left: set[int], found: Counter[Standing]
) -> None:
    if not left:
        return
    listed = 0
    rows = client.iterate_jobs(phases=list(_LIVE), agent_name=agent_name, page_size=PAGE_SIZE)
    async for record in rows:
        label = read_label(run, record.job.metadata)
        if label is not None and label.number in left:
            left.discard(label.number)
            found[_LIVE[record.phase]] += 1
        listed += 1
        if not left or listed >= LIVE_JOBS_MAX:
            return


async def _look_up(
    client: DispatchClient, run: str, left: set[int], found: Counter[Standing]
) -> None:
    for number in sorted(left)[:LOOKUPS_MAX]:
        dispatches = await client.list_dispatches(room_of(run, number))
        left.discard(number)
        jobs = [job for dispatch in dispatches for job in dispatch.state.jobs]
        found[_BY_STATUS[jobs[0].state.status] if jobs else Standing.UNKNOWN] += 1
