"""Whose workers are compared, and how each is set up. The values name them in reports.

What no setting is given for is at its default. A figure that needs no load measure sets a constant
for all: the machine's processors are also the server's here, and a worker that refuses jobs because
the server is busy says nothing of itself.
"""

from __future__ import annotations

import math
import sys
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Subject", "idle_processes"]


class Subject(Enum):
    """A worker and how it runs jobs."""

    TASKS = "ours, tasks"
    PROCESSES = "ours, processes"
    STOCK_THREADS = "livekit-agents, threads"
    STOCK = "livekit-agents, processes"

    @property
    def is_stock(self) -> bool:
        """Is it livekit-agents' worker?"""
        return self in (Subject.STOCK, Subject.STOCK_THREADS)

    @property
    def is_default(self) -> bool:
        """Is this how its SDK runs jobs where nothing is said?"""
        return self in (Subject.TASKS, Subject.STOCK)

    @property
    def command(self) -> list[str]:
        """How it is started for production."""
        program = "stock" if self.is_stock else "ours"
        return [sys.executable, "-m", f"bench.workers.programs.{program}", "start"]

    def environment(
        self,
        agent_name: str,
        *,
        load: float | None = None,
        cap: int | None = None,
        idle: int | None = None,
        capacity: int = 100,
    ) -> Mapping[str, str]:
        """The settings: a constant load; a cap on jobs; processes kept idle, None: its own default.

        Where there is no cap, ours has `capacity`; livekit-agents' worker has no such number.
        """
        said: dict[str, object]
        if self.is_stock:
            executor = "thread" if self is Subject.STOCK_THREADS else "process"
            said = {
                "BENCH_AGENT": agent_name,
                "BENCH_EXECUTOR": executor,
                "BENCH_LOAD": load,
                "BENCH_CAP": cap,
                "BENCH_IDLE": idle,
            }
        else:
            is_process = self is Subject.PROCESSES
            said = {
                "CALLBOARD_WORKER_AGENT_NAME": agent_name,
                "CALLBOARD_WORKER_EXECUTOR": "process" if is_process else "task",
                "CALLBOARD_WORKER_WARM": (idle or idle_processes()) if is_process else None,
                "CALLBOARD_WORKER_CAPACITY": cap or capacity,
                # Jobs held by capacity: with 100 of it, nothing that keeps any worker from a job.
                "CALLBOARD_WORKER_LOAD": None if load is None else "jobs",
            }
        return {name: str(value) for name, value in said.items() if value is not None}


def idle_processes() -> int:
    """How many processes livekit-agents keeps idle by default on this machine."""
    from livekit.agents.utils.hw import get_cpu_monitor

    return math.ceil(get_cpu_monitor().cpu_count())
