"""What the server is asked of jobs that nobody accounts for, and what is made of its answers."""

from __future__ import annotations

import httpx2
import pytest

from protocol import api_pb2, wire_pb2
from tests.unit.worker_sdk.client.script import KEYS, ok
from worker_sdk import DispatchClient
from worker_sdk.loadtest import server_record
from worker_sdk.loadtest.job_label import metadata_of, room_of
from worker_sdk.loadtest.server_record import ServerRecord, read_record

pytestmark = pytest.mark.anyio

RUN = "abcd1234"
# By number: the phase of a job that lives, the status of one that has ended.
LIVE = {
    1: api_pb2.QUEUED,
    2: api_pb2.OFFERED,
    3: api_pb2.ORPHANED,
    4: api_pb2.RUNNING,
    5: api_pb2.DELAYED,
}
ENDED = {6: wire_pb2.JS_FAILED, 7: wire_pb2.JS_CANCELLED, 8: wire_pb2.JS_SUCCESS}


class Node:
    """A server that has the jobs above, and one that waits since an earlier run."""

    def __init__(self) -> None:
        self.lookups = 0
        self.is_down = False

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a call."""
        if self.is_down:
            raise httpx2.ConnectError("refused")
        if request.url.path.endswith("ListJobs"):
            return self._list_jobs(api_pb2.ListJobsRequest.FromString(request.content))
        self.lookups += 1
        room = wire_pb2.ListAgentDispatchRequest.FromString(request.content).room
        answer = wire_pb2.ListAgentDispatchResponse()
        for number, status in ENDED.items():
            if room == room_of(RUN, number):
                jobs = answer.agent_dispatches.add().state.jobs
                jobs.add().state.status = status
        return ok(answer)

    def _list_jobs(self, request: api_pb2.ListJobsRequest) -> httpx2.Response:
        """Two pages: what waits since earlier, then this run's."""
        assert request.agent_name == "loadtest"
        answer = api_pb2.ListJobsResponse()
        if not request.page_token:
            old = answer.jobs.add(phase=api_pb2.QUEUED)
            old.job.metadata = metadata_of("ffff0000", 1, 0, 100)
            answer.next_page_token = "2"
            return ok(answer)
        for number, phase in LIVE.items():
            if phase in request.phases:
                record = answer.jobs.add(phase=phase)
                record.job.metadata = metadata_of(RUN, number, 0, 100)
        return ok(answer)


async def record_of(node: Node, *numbers: int) -> ServerRecord:
    async with DispatchClient(
        "ws://dispatcher.example",
        "devkey",
        KEYS["devkey"],
        retry_seconds_max=0.0,
        transport=httpx2.MockTransport(node),
    ) as client:
        return await read_record(client, "loadtest", RUN, numbers)


async def test_each_job_stands_as_the_server_says() -> None:
    found = await record_of(Node(), *LIVE, *ENDED, 9)
    assert found == ServerRecord(queued=3, running=2, failed=2, ended=1, unknown=1)
    assert found.known == 8


async def test_jobs_that_are_accounted_for_are_no_matter() -> None:
    assert await record_of(Node(), 1) == ServerRecord(queued=1)


async def test_jobs_that_live_are_found_without_a_call_for_each() -> None:
    node = Node()
    await record_of(node, *LIVE)
    assert node.lookups == 0


async def test_of_a_server_that_is_gone_nothing_is_said() -> None:
    node = Node()
    node.is_down = True
    found = await record_of(node, 1, 9)
    assert (found.known, found.unknown, found.unasked) == (0, 0, 2)
    assert found.why_unasked


async def test_no_more_is_looked_up_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_record, "LOOKUPS_MAX", 2)
    found = await record_of(Node(), 6, 8, 9, 10)
    assert found == ServerRecord(failed=1, ended=1, unasked=2, why_unasked="more than 2")
