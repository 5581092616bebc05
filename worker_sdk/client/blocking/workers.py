# Generated from ../workers.py by `python -m worker_sdk.client.generate`: change that.
"""Calls of callboard.WorkerService: the workers that are connected, and taking one out of service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol import api_pb2
from worker_sdk.client.blocking.paging import Page, Rows
from worker_sdk.client.blocking.transport import Call, Calls

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["WorkerCalls"]

_SERVICE = "callboard.WorkerService"


class WorkerCalls(Calls):
    """Workers: the programs that run jobs. Each connection of one has an id of its own."""

    def list_workers(
        self,
        *,
        phases: Sequence[api_pb2.WorkerPhase] = (),
        agent_name: str = "",
        room: str = "",
        dispatch_id: str = "",
        page_size: int = 0,
        page_token: str = "",
    ) -> api_pb2.ListWorkersResponse:
        """One page of the connected workers, the one that connected last first.

        `room` and `dispatch_id`: those that hold a job of it. A filter that is empty lets all through;
        `page_size` 0: the server's default. `next_page_token` of the answer leads to the next page.
        """
        request = api_pb2.ListWorkersRequest(
            phases=phases,
            agent_name=agent_name,
            room=room,
            dispatch_id=dispatch_id,
            page_size=page_size,
            page_token=page_token,
        )
        return self._transport.call(
            Call(_SERVICE, "ListWorkers", request, api_pb2.ListWorkersResponse)
        )

    def iterate_workers(
        self,
        *,
        phases: Sequence[api_pb2.WorkerPhase] = (),
        agent_name: str = "",
        room: str = "",
        dispatch_id: str = "",
        page_size: int = 0,
    ) -> Rows[api_pb2.WorkerRecord]:
        """All workers that `list_workers` would give, over all its pages."""

        def fetch(page_token: str, /) -> Page[api_pb2.WorkerRecord]:
            answer = self.list_workers(
                phases=phases,
                agent_name=agent_name,
                room=room,
                dispatch_id=dispatch_id,
                page_size=page_size,
                page_token=page_token,
            )
            return Page(answer.workers, answer.next_page_token)

        return Rows(fetch)

    def get_worker(self, worker_id: str) -> api_pb2.WorkerRecord:
        """One connected worker with the ids of its jobs. TwirpError `not_found`."""
        request = api_pb2.GetWorkerRequest(worker_id=worker_id)
        answer = self._transport.call(
            Call(_SERVICE, "GetWorker", request, api_pb2.GetWorkerResponse)
        )
        return answer.worker

    def drain_worker(
        self, worker_id: str, hand_over_after_seconds: int = 0
    ) -> api_pb2.WorkerRecord:
        """Take a worker out of service: it gets no more jobs. TwirpError `not_found`.

        The jobs that it still has after so many whole seconds are given to others; 0: it keeps them.
        A worker that connects anew is in service again.
        """
        request = api_pb2.DrainWorkerRequest(
            worker_id=worker_id, hand_over_after_seconds=hand_over_after_seconds
        )
        answer = self._transport.call(
            Call(_SERVICE, "DrainWorker", request, api_pb2.DrainWorkerResponse)
        )
        return answer.worker
