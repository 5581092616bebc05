"""Calls of callboard.JobService: what became of each job, why one waits, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol import api_pb2
from worker_sdk.client.paging import Page, Rows
from worker_sdk.client.transport import Call, Calls

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["JobCalls"]

_SERVICE = "callboard.JobService"


class JobCalls(Calls):
    """Jobs: the work that was given to agents."""

    async def list_jobs(
        self,
        *,
        phases: Sequence[api_pb2.JobPhase] = (),
        agent_name: str = "",
        room: str = "",
        worker_id: str = "",
        dispatch_id: str = "",
        page_size: int = 0,
        page_token: str = "",
    ) -> api_pb2.ListJobsResponse:
        """One page of jobs, newest first; `next_page_token` of the answer leads to the next.

        A filter that is empty lets all through. `page_size` 0: the server's default; it has a most of
        its own, too. A page may be shorter, or empty, and not be the last. Jobs have no `timeline`.
        """
        return await self._transport.call(
            Call(
                _SERVICE,
                "ListJobs",
                api_pb2.ListJobsRequest(
                    phases=phases,
                    agent_name=agent_name,
                    room=room,
                    worker_id=worker_id,
                    dispatch_id=dispatch_id,
                    page_size=page_size,
                    page_token=page_token,
                ),
                api_pb2.ListJobsResponse,
            )
        )

    def iterate_jobs(
        self,
        *,
        phases: Sequence[api_pb2.JobPhase] = (),
        agent_name: str = "",
        room: str = "",
        worker_id: str = "",
        dispatch_id: str = "",
        page_size: int = 0,
    ) -> Rows[api_pb2.JobRecord]:
        """All jobs that `list_jobs` would give, over all its pages, newest first."""

        async def fetch(page_token: str, /) -> Page[api_pb2.JobRecord]:
            answer = await self.list_jobs(
                phases=phases,
                agent_name=agent_name,
                room=room,
                worker_id=worker_id,
                dispatch_id=dispatch_id,
                page_size=page_size,
                page_token=page_token,
            )
            return Page(answer.jobs, answer.next_page_token)

        return Rows(fetch)

    async def get_job(self, job_id: str) -> api_pb2.JobRecord:
        """One job with its timeline, oldest event first. TwirpError `not_found`."""
        request = api_pb2.GetJobRequest(job_id=job_id)
        answer = await self._transport.call(
            Call(_SERVICE, "GetJob", request, api_pb2.GetJobResponse)
        )
        return answer.job

    async def explain_job(self, job_id: str, *, workers_max: int = 0) -> api_pb2.ExplainJobResponse:
        """Why a job waits, and for each worker of its agent why that does not get it.

        Of thousands of workers `workers_max` are told of (0: as many as the server has as its limit),
        and all are counted. Of one that is held or has ended, what happened to it. `summary` is one sentence for people.
        TwirpError `not_found`.
        """
        request = api_pb2.ExplainJobRequest(job_id=job_id, workers_max=workers_max)
        return await self._transport.call(
            Call(_SERVICE, "ExplainJob", request, api_pb2.ExplainJobResponse)
        )

    async def terminate_job(self, job_id: str, reason: str = "") -> api_pb2.JobRecord:
        """End a job for good. When this returns, that is on the server's disk.

        Its worker is told to stop; what made the job does not make it anew. `reason` is kept in the
        job's timeline. A job that has ended stays as it is, and is what is returned. TwirpError
        `not_found`.
        """
        request = api_pb2.TerminateJobRequest(job_id=job_id, reason=reason)
        answer = await self._transport.call(
            Call(_SERVICE, "TerminateJob", request, api_pb2.TerminateJobResponse)
        )
        return answer.job
