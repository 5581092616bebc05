"""What the server learns of jobs whose final status is cut off on its way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import anyio

from bench.workers.figure import Figure, Plan, table
from bench.workers.line import Cut, Line, line_to
from bench.workers.stage import ENDED, eventually
from bench.workers.subjects import Subject
from protocol import api_pb2

if TYPE_CHECKING:
    from bench.workers.stage import Agent, Stage

# How long a line stays away, on each side of the end of a job.
AWAY_SECONDS = 1.0
RECONNECT_SECONDS_MAX = 60.0
# For the jobs whose end the server did not hear of, after the last reconnect.
SETTLE_SECONDS_MAX = 120.0
# livekit-agents' threads share the connection with its processes: one of them is enough.
SUBJECTS = (Subject.TASKS, Subject.PROCESSES, Subject.STOCK)


class Fate(Enum):
    """What became of a job that ran to its end. The values are for reports."""

    ARRIVED = "arrived"
    REDONE = "run again"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Cutting:
    """A job whose final status was cut."""

    dispatch_id: str
    cut: Cut


async def measure(stage: Stage, plan: Plan) -> Figure:
    """All workers beside each other, each on a line of its own."""
    found: dict[Subject, dict[Cut, Counter[Fate]]] = {}

    async def measure_one(subject: Subject) -> None:
        found[subject] = await cut_statuses(stage, stage.agent(subject), plan.reconnects_per_cut)

    async with anyio.create_task_group() as tasks:
        for subject in SUBJECTS:
            tasks.start_soon(measure_one, subject)
    totals = {subject: sum(found[subject].values(), Counter[Fate]()) for subject in SUBJECTS}
    reconnects = plan.reconnects_per_cut * len(Cut)
    return Figure(
        title=f"final statuses that arrive over {reconnects} reconnects in the middle of one",
        how=(
            f"A line between the worker and the server fails {plan.reconnects_per_cut} times in each"
            " of these manners, when the worker says that a job has succeeded. `arrived`: the server has it"
            " as succeeded in its first run, by the worker's word; `run again`: it had to start it once"
            " more; `lost`: it is anything else."
        ),
        cells={
            subject: f"{totals[subject][Fate.ARRIVED]} of {totals[subject].total()}"
            for subject in SUBJECTS
        },
        verdict=(
            f"Ours got {totals[Subject.TASKS][Fate.ARRIVED]} of {reconnects} (tasks) and"
            f" {totals[Subject.PROCESSES][Fate.ARRIVED]} of {reconnects} (processes) through, as it sends"
            " a status again until the server confirms that it is on disk; livekit-agents'"
            f" {totals[Subject.STOCK][Fate.ARRIVED]} of {reconnects}, and of the jobs of the others"
            f" {totals[Subject.STOCK][Fate.REDONE]} were run again, {totals[Subject.STOCK][Fate.LOST]}"
            " did not end as succeeded."
        ),
        samples={
            subject.name: {
                cut.name: {fate.name: count for fate, count in fates.items()}
                for cut, fates in found[subject].items()
            }
            for subject in SUBJECTS
        },
        details=table(
            ["the connection ends", *(subject.value for subject in SUBJECTS)],
            [[cut.value, *(_told(found[subject][cut]) for subject in SUBJECTS)] for cut in Cut],
        ),
    )


async def cut_statuses(
    stage: Stage, agent: Agent, reconnects_per_cut: int
) -> dict[Cut, Counter[Fate]]:
    """Cut the final statuses of so many jobs in each manner; return what became of them."""
    cuttings: list[Cutting] = []
    settings = agent.subject.environment(agent.name, load=0.0)
    async with line_to(stage.port) as line:
        with agent.worker(url=line.url, settings=settings):
            await agent.registered()
            # In turns, so that no cut always meets the same pause since the last.
            for number in range(reconnects_per_cut):
                for cut in Cut:
                    release = agent.release_path(f"release-{number}-{cut.name}")
                    dispatch_id = await agent.dispatch(release)
                    await _cut(stage, agent, line, dispatch_id, cut)
                    cuttings.append(Cutting(dispatch_id, cut))
            with anyio.move_on_after(SETTLE_SECONDS_MAX):
                await agent.all_in(ENDED, len(cuttings), seconds=SETTLE_SECONDS_MAX)
    by_dispatch = {job.job.dispatch_id: job for job in await agent.jobs()}
    found: dict[Cut, Counter[Fate]] = {cut: Counter() for cut in Cut}
    for cutting in cuttings:
        found[cutting.cut][_fate(by_dispatch[cutting.dispatch_id])] += 1
    return found


async def _cut(stage: Stage, agent: Agent, line: Line, dispatch_id: str, cut: Cut) -> None:
    """Let the job run, end it, have the line fail over it, and see the worker back."""
    job_id = ""

    async def runs() -> bool:
        nonlocal job_id
        answer = await stage.client.list_jobs(dispatch_id=dispatch_id, phases=[api_pb2.RUNNING])
        for job in answer.jobs:
            job_id = job.job.id
            return True
        return False

    await eventually(f"{dispatch_id} runs", runs, seconds=RECONNECT_SECONDS_MAX)
    job = (await stage.client.list_jobs(dispatch_id=dispatch_id)).jobs[0]
    registrations = line.registrations
    if cut is Cut.AWAY:
        line.is_open = False
        line.reset_all()
        await anyio.sleep(AWAY_SECONDS)
        await anyio.Path(job.job.metadata).touch()
        await anyio.sleep(AWAY_SECONDS)
        line.is_open = True
    else:
        line.arm(job_id, cut)
        await anyio.Path(job.job.metadata).touch()

    async def is_back() -> bool:
        return line.registrations > registrations

    await eventually(f"{agent.name} is back", is_back, seconds=RECONNECT_SECONDS_MAX)


def _fate(job: api_pb2.JobRecord) -> Fate:
    if job.phase != api_pb2.SUCCEEDED:
        return Fate.LOST
    return Fate.ARRIVED if job.attempt == 1 and job.epoch == 1 else Fate.REDONE


def _told(fates: Counter[Fate]) -> str:
    return ", ".join(f"{fate.value}: {fates[fate]}" for fate in Fate if fates[fate])
