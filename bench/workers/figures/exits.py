"""How a worker ends that is told to by SIGTERM while it has jobs, and what becomes of these.

`python -m tests.worker_exits` has the other ways to end: handed over, and told twice.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from bench.workers.figure import Figure, Plan, table
from bench.workers.stage import ENDED
from bench.workers.subjects import Subject
from protocol import api_pb2

if TYPE_CHECKING:
    from bench.workers.stage import Agent, Stage

# From SIGTERM until the jobs come to their ends, all at once.
RELEASE_AFTER_SECONDS = 0.5
START_SECONDS_MAX = 120.0
EXIT_SECONDS_MAX = 60.0
# The server has read what the worker said last.
COMMIT_SECONDS_MAX = 2.0


@dataclass(frozen=True, slots=True)
class Exit:
    """How one worker ended. `code` None: not within a minute; seconds from the end of its jobs."""

    code: int | None
    seconds: float
    succeeded: int
    jobs: int

    @property
    def is_clean(self) -> bool:
        """Did it end by itself with code 0, and does the server know how every job ended?"""
        return self.code == 0 and self.succeeded == self.jobs


async def measure(stage: Stage, plan: Plan) -> Figure:
    """Each worker with each number of jobs, in turns."""
    found: dict[Subject, dict[int, list[Exit]]] = {
        subject: {count: [] for count in plan.exit_jobs} for subject in Subject
    }
    for _ in range(plan.exit_runs):
        for subject, by_count in found.items():
            for count, exits in by_count.items():
                exits.append(await exit_once(stage, stage.agent(subject), count))
    counts = " / ".join(map(str, plan.exit_jobs))
    return Figure(
        title=f"clean exits on SIGTERM with {counts} jobs, of {plan.exit_runs} each",
        how=(
            "The jobs hold; the worker gets SIGTERM and waits for them, as it does by default; half a"
            " second later all of them come to their ends at once. Clean: it ends with code 0 within"
            f" {EXIT_SECONDS_MAX:g} s, and the server has every job as succeeded in its first run. A"
            " constant load for all; room for 100 jobs in ours."
        ),
        cells={
            subject: " / ".join(str(sum(each.is_clean for each in exits)) for exits in by.values())
            for subject, by in found.items()
        },
        verdict=_verdict(found),
        samples={
            subject.name: {
                str(count): [[each.code, each.seconds, each.succeeded] for each in exits]
                for count, exits in by.items()
            }
            for subject, by in found.items()
        },
        details=table(
            [
                "worker",
                "jobs",
                "exit codes",
                "seconds to exit (median, most)",
                "jobs not succeeded",
            ],
            [
                _row(subject, count, exits)
                for subject, by in found.items()
                for count, exits in by.items()
            ],
        ),
    )


async def exit_once(stage: Stage, agent: Agent, count: int) -> Exit:
    """Tell a worker with so many jobs to end, and see what it does."""
    with tempfile.TemporaryDirectory(prefix="exit-", dir=stage.folder) as folder:
        release = Path(folder) / "release"
        settings = agent.subject.environment(agent.name, load=0.0)
        with agent.worker(settings=settings) as worker:
            await agent.registered()
            for _ in range(count):
                await agent.dispatch(release)
            await agent.all_in((api_pb2.RUNNING,), count, seconds=START_SECONDS_MAX)
            worker.terminate()
            await anyio.sleep(RELEASE_AFTER_SECONDS)
            await anyio.Path(release).touch()
            released_at = time.monotonic()
            code = await worker.exit_code(seconds=EXIT_SECONDS_MAX)
            seconds = time.monotonic() - released_at
        with anyio.move_on_after(COMMIT_SECONDS_MAX):
            await agent.all_in(ENDED, count)
        jobs = await agent.jobs()
        succeeded = sum(job.phase == api_pb2.SUCCEEDED and job.attempt == 1 for job in jobs)
        return Exit(code, seconds, succeeded, count)


def _row(subject: Subject, count: int, exits: list[Exit]) -> list[str]:
    codes = Counter("none" if each.code is None else str(each.code) for each in exits)
    seconds = [each.seconds for each in exits]
    return [
        subject.value,
        str(count),
        ", ".join(f"{code}: {times}" for code, times in codes.most_common()),
        f"{statistics.median(seconds):.2f}, {max(seconds):.2f}",
        str(sum(each.jobs - each.succeeded for each in exits)),
    ]


def _verdict(found: dict[Subject, dict[int, list[Exit]]]) -> str:
    def clean(*, is_stock: bool) -> str:
        exits = [
            each
            for subject, by in found.items()
            if subject.is_stock is is_stock
            for some in by.values()
            for each in some
        ]
        return f"{sum(each.is_clean for each in exits)} of {len(exits)}"

    return (
        f"Ours ended cleanly {clean(is_stock=False)} times, livekit-agents' {clean(is_stock=True)}."
    )
