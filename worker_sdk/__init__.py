"""The worker and API client libraries of Callboard.

    from worker_sdk import JobContext, Worker

    worker = Worker(agent_name="greeter")  # LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET

    @worker.job
    async def greet(ctx: JobContext) -> None: ...

    worker.run()

What is exported here is the API; every other name is ours to change. Nothing here imports the
dispatcher.
"""

from worker_sdk.client import DispatchClient, JobEvent, ReportedRoomEvent, SyncDispatchClient
from worker_sdk.drain import DrainPolicy
from worker_sdk.errors import (
    CallTimedOut,
    CredentialsRefused,
    EventsGone,
    ServerUnreachable,
    UnexpectedAnswer,
)
from worker_sdk.executors import Executor, ProcessExecutor, TaskExecutor
from worker_sdk.job import (
    Job,
    JobContext,
    JobParticipant,
    JobType,
    NoFencingToken,
)
from worker_sdk.job_request import JobRequest
from worker_sdk.load import CpuLoad, GreatestLoad, JobsHeld, JobsLoad, LoadMeasure, MemoryLoad
from worker_sdk.room import RoomLost, RoomUnreachable
from worker_sdk.shutdown import ShutdownReason
from worker_sdk.worker import Worker

__all__ = [
    "CallTimedOut",
    "CpuLoad",
    "CredentialsRefused",
    "DispatchClient",
    "DrainPolicy",
    "EventsGone",
    "Executor",
    "GreatestLoad",
    "Job",
    "JobContext",
    "JobEvent",
    "JobParticipant",
    "JobRequest",
    "JobType",
    "JobsHeld",
    "JobsLoad",
    "LoadMeasure",
    "MemoryLoad",
    "NoFencingToken",
    "ProcessExecutor",
    "ReportedRoomEvent",
    "RoomLost",
    "RoomUnreachable",
    "ServerUnreachable",
    "ShutdownReason",
    "SyncDispatchClient",
    "TaskExecutor",
    "UnexpectedAnswer",
    "Worker",
]
