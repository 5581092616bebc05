"""Tests of workers: a fake job for a job function, and a whole dispatcher in the test's own process.

    run = await run_job(worker, metadata='{"lang": "de"}')
    assert run.succeeded

    async with InProcessDispatcher() as dispatcher, dispatcher.serving(worker):
        job = await dispatcher.dispatch("lobby")
        assert (await job.ended()).phase == "succeeded"

For any test framework, and for none. docs/testing-agents.md tells how it is used. The dispatcher is the
real one, without sockets and files; it is imported when `InProcessDispatcher` is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_sdk.testing.fake_room import (
    FakeDataPacket,
    FakeLocalParticipant,
    FakeParticipant,
    FakeRoom,
    SentData,
)
from worker_sdk.testing.one_job import JobRun, RunOutcome, run_job
from worker_sdk.testing.waiting import WaitedInVain

if TYPE_CHECKING:
    from worker_sdk.testing.in_process import InProcessDispatcher
    from worker_sdk.testing.in_process_job import InProcessJob, JobView

__all__ = [
    "FakeDataPacket",
    "FakeLocalParticipant",
    "FakeParticipant",
    "FakeRoom",
    "InProcessDispatcher",
    "InProcessJob",
    "JobRun",
    "JobView",
    "RunOutcome",
    "SentData",
    "WaitedInVain",
    "run_job",
]

_OF_DISPATCHER = {
    "InProcessDispatcher": "in_process",
    "InProcessJob": "in_process_job",
    "JobView": "in_process_job",
}


def __getattr__(name: str) -> object:
    if name not in _OF_DISPATCHER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_OF_DISPATCHER[name]}"), name)
