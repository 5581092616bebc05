"""A data folder with jobs that run, or wait: as a server leaves it that was killed with them.

Written through the store itself, so that many thousands are there in seconds; a server that is
started on it holds them for the workers that claim them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from dispatcher.core.effects import CreateDispatch
from dispatcher.core.jobs import SECOND, Dispatch, Job, JobState, Lane, RestartPolicy
from dispatcher.core.lifecycle import JobPhase
from dispatcher.store.sqlite.store import SqliteStore
from protocol import wire_pb2

__all__ = ["job_id_of", "seed_queued", "seed_running"]

PROJECT = "default"
BATCH = 2_000
# Long enough for every worker to come, however slow the machine.
GRACE_NS = 300 * SECOND
QUEUE_NS = 3600 * SECOND


def job_id_of(number: int) -> str:
    """The id of a seeded job."""
    return f"AJ_seeded{number:06d}"


async def seed_running(folder: Path, agent_name: str, numbers: range) -> None:
    """Write a dispatch and its running job for each number, in a room `old-<number>`."""
    await _seed(folder, agent_name, numbers, _running)


async def seed_queued(folder: Path, agent_name: str, numbers: range, *, metadata: str = "") -> None:
    """The same of jobs that nobody has taken yet, within an hour."""
    await _seed(folder, agent_name, numbers, _queued, metadata)


def _running(job_id: str, now_ns: int) -> JobState:
    return JobState(
        JobPhase.RUNNING,
        worker_id="AW_seeded",
        participant_identity=f"agent-{job_id}",
        grace=GRACE_NS,
        started_at=now_ns,
        updated_at=now_ns,
    )


def _queued(_job_id: str, now_ns: int) -> JobState:
    return JobState(JobPhase.QUEUED, until=now_ns + QUEUE_NS, updated_at=now_ns)


async def _seed(
    folder: Path,
    agent_name: str,
    numbers: range,
    state: Callable[[str, int], JobState],
    metadata: str = "",
) -> None:
    store = SqliteStore(folder)
    await store.open(time.time_ns())
    try:
        for first in range(numbers.start, numbers.stop, BATCH):
            batch = range(first, min(first + BATCH, numbers.stop))
            created = list(_creations(agent_name, batch, state, metadata))
            await store.commit(created, time.time_ns())
    finally:
        await store.close()


def _creations(
    agent_name: str,
    numbers: Iterable[int],
    state: Callable[[str, int], JobState],
    metadata: str,
) -> Iterable[CreateDispatch]:
    now_ns = time.time_ns()
    for number in numbers:
        job_id, dispatch_id, room = job_id_of(number), f"AD_seeded{number:06d}", f"old-{number}"
        dispatch = Dispatch(
            id=dispatch_id,
            project=PROJECT,
            room=room,
            agent_name=agent_name,
            deployment="",
            restart_policy=RestartPolicy.ON_FAILURE,
            config=wire_pb2.AgentDispatch(
                id=dispatch_id, agent_name=agent_name, room=room, metadata=metadata
            ).SerializeToString(),
            created_at=now_ns,
        )
        job = Job(
            id=job_id,
            dispatch_id=dispatch_id,
            lane=Lane(PROJECT, agent_name),
            room=room,
            config=wire_pb2.Job(
                id=job_id,
                room=wire_pb2.Room(name=room),
                agent_name=agent_name,
                metadata=metadata,
                dispatch_id=dispatch_id,
            ).SerializeToString(),
            created_at=now_ns,
        )
        yield CreateDispatch(number, dispatch, ((job, state(job_id, now_ns)),))
