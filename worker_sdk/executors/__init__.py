"""The ways in which a worker runs its jobs: as tasks of its loop, or each in a process."""

from worker_sdk.executors.executor import Executor, JobRunner, PoolCounts, WorkerProgram
from worker_sdk.executors.process_executor import ProcessExecutor
from worker_sdk.executors.task_executor import TaskExecutor

__all__ = [
    "Executor",
    "JobRunner",
    "PoolCounts",
    "ProcessExecutor",
    "TaskExecutor",
    "WorkerProgram",
]
