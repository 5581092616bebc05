"""How soon the jobs of a worker that is gone run elsewhere, measured from the SIGKILL.

Five measurements: a worker of ours that is killed (its grace time, 3 s, and a second more); the same
where an SFU tells at once that the agents have left uncleanly (a second); stock workers that are
killed (20 s of grace); a stock worker whose network is cut for 10 s (keeps its jobs); a stock worker
that hangs with an open socket (found within 30 s). What the workers' records say counts.
"""

from __future__ import annotations

import json
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
import httpx2

from tests.faults.fleet import AGENT, KEY, SECRET, STOCK_AGENT, Fleet, fleet_of
from tests.faults.jobs import JobKind, Wish
from tests.faults.judging import percentiles
from tests.faults.network import Line, lines_to
from tests.support.livekit_webhooks import CONTENT_TYPE, encoded, signature
from worker_sdk import DispatchClient

__all__ = ["Measurement", "measure_ours", "measure_stock"]

Show = Callable[[str], None]

# Jobs run for longer than anything here.
JOB_SECONDS = 600.0
WORKERS = ("worker-1", "worker-2", "worker-3")
STOCK_WORKERS = ("stock-1", "stock-2")
JOBS_PER_TRIAL = 6
STOCK_JOBS = 20
WAIT_SECONDS_MAX = 90.0
CUT_SECONDS = 10.0
# What is promised.
OURS_SECONDS_MAX = 3.0 + 1.0
EVIDENCE_SECONDS_MAX = 1.0
STOCK_SECONDS_MAX = 20.0 + 1.0
HANG_SECONDS_MAX = 30.0


@dataclass
class Measurement:
    """Seconds from one cause to its effect."""

    what: str
    target_seconds: float
    seconds: list[float] = field(default_factory=list)
    # jobs that did not do what they should have
    wrong: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Was it always within the target?"""
        return not self.wrong and all(one <= self.target_seconds for one in self.seconds)

    def __str__(self) -> str:
        verdict = "" if self.is_good else "  MISSED"
        told = (
            f"{self.what}: {percentiles(self.seconds)} (target {self.target_seconds:g} s){verdict}"
        )
        return "\n  ".join([told, *self.wrong[:10]])


@dataclass(frozen=True)
class Start:
    """One start of a job, as its worker wrote it down."""

    job_id: str
    epoch: int
    at_ns: int
    worker: str


@dataclass
class Stage:
    """A server and workers whose jobs last."""

    fleet: Fleet
    client: DispatchClient
    lines: dict[str, Line]
    rooms: int = 0

    async def create(self, agent_name: str, count: int) -> dict[str, str]:
        """Create jobs that last; return job id -> room, when all are started."""
        jobs: dict[str, str] = {}
        for _ in range(count):
            self.rooms += 1
            room = f"handoff-{self.rooms}"
            dispatch = await self.client.create_dispatch(
                room, agent_name, metadata=Wish(JobKind.LONG, JOB_SECONDS).metadata
            )
            jobs[dispatch.state.jobs[0].id] = room
        await self.started(set(jobs), epoch=1)
        return jobs

    def starts(self) -> list[Start]:
        """All starts that were written down until now."""
        found = []
        for path in self.fleet.records:
            worker = path.stem.split("-", 2)[2]
            if not path.exists():
                continue
            for line in path.read_text().split("\n")[:-1]:
                said = json.loads(line)
                if said["event"] == "start":
                    found.append(Start(said["job_id"], said["epoch"] or 0, said["at_ns"], worker))
        return found

    async def started(self, job_ids: set[str], *, epoch: int) -> dict[str, Start]:
        """Wait until each job was started at this epoch; return what is there when time is up."""
        found: dict[str, Start] = {}
        with anyio.move_on_after(WAIT_SECONDS_MAX):
            while found.keys() < job_ids:
                await anyio.sleep(0.02)
                found = {
                    one.job_id: one
                    for one in self.starts()
                    if one.job_id in job_ids and one.epoch == epoch
                }
        return found

    def holders(self, job_ids: set[str]) -> dict[str, set[str]]:
        """The jobs of each worker, by the newest start of each."""
        newest: dict[str, Start] = {}
        for start in sorted(self.starts(), key=lambda one: one.at_ns):
            if start.job_id in job_ids:
                newest[start.job_id] = start
        held: dict[str, set[str]] = {}
        for start in newest.values():
            held.setdefault(start.worker, set()).add(start.job_id)
        return held

    async def registered(self, count: int) -> None:
        """Wait until so many workers are connected."""
        with anyio.fail_after(WAIT_SECONDS_MAX):
            while len((await self.client.list_workers(page_size=1000)).workers) != count:  # noqa: ASYNC110 - another process says it
                await anyio.sleep(0.05)

    async def kill(self, worker: str) -> int:
        """SIGKILL a worker; return when, by `time.time_ns`."""
        self.fleet.down.add(worker)
        killed_ns = time.time_ns()
        self.fleet.signal_worker(worker, signal.SIGKILL)
        return killed_ns

    async def replace(self, worker: str, count: int) -> None:
        """Start a worker that was killed again, and wait until all are there."""
        await self.fleet.kill_worker(worker)
        self.fleet.start_worker(worker)
        self.fleet.down.discard(worker)
        await self.registered(count)

    async def end(self, jobs: dict[str, str]) -> None:
        """Delete the jobs' dispatches."""
        for room in jobs.values():
            for dispatch in await self.client.list_dispatches(room):
                await self.client.delete_dispatch(dispatch.id, room)


@asynccontextmanager
async def _stage(workers: tuple[str, ...]) -> AsyncIterator[Stage]:
    with (
        tempfile.TemporaryDirectory(prefix="callboard-handoff-") as folder,
        fleet_of(Path(folder)) as fleet,
    ):
        async with (
            lines_to(fleet.port, list(workers)) as lines,
            DispatchClient(fleet.url, KEY, SECRET, retry_seconds_max=60.0) as client,
        ):
            fleet.urls = {name: lines[name].url for name in workers}
            for name in workers:
                fleet.start_worker(name)
            stage = Stage(fleet, client, lines)
            await stage.registered(len(workers))
            try:
                yield stage
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(fleet.end)


# ---- workers of ours ----


async def measure_ours(trials: int, show: Show) -> list[Measurement]:
    """Kill a worker of ours so many times, without and with a word of the SFU."""
    silent = Measurement("a killed worker of ours, SIGKILL to start elsewhere", OURS_SECONDS_MAX)
    before = Measurement("the same, the SFU told just before", EVIDENCE_SECONDS_MAX)
    after = Measurement("the same, the SFU told 0.1 s after", EVIDENCE_SECONDS_MAX + 0.1)
    async with _stage(WORKERS) as stage, httpx2.AsyncClient(base_url=stage.fleet.url) as http:
        sfu = _Sfu(http)
        for trial in range(trials):
            await _kill_one(stage, silent)
            # In which order the server hears of both is chance: each is measured.
            await _kill_one(
                stage, before if trial % 2 else after, sfu, is_told_before=trial % 2 > 0
            )
            show(f"trial {trial + 1} of {trials}: {silent}\n")
    return [silent, before, after]


async def _kill_one(
    stage: Stage,
    measurement: Measurement,
    sfu: _Sfu | None = None,
    *,
    is_told_before: bool = False,
) -> None:
    """One trial: jobs, a kill of the worker with most of them, and the wait for all elsewhere."""
    jobs = await stage.create(AGENT, JOBS_PER_TRIAL)
    held = stage.holders(set(jobs))
    victim = max(held, key=lambda worker: len(held[worker]))
    lost = held[victim]
    if sfu is not None:
        for job_id in lost:
            await sfu.agent_joined(jobs[job_id], job_id)
        if is_told_before:
            await sfu.agents_lost(lost, jobs)
    killed_ns = await stage.kill(victim)
    if sfu is not None and not is_told_before:
        await anyio.sleep(0.1)
        await sfu.agents_lost(lost, jobs)
    await _note(stage, measurement, lost, killed_ns)
    await stage.replace(victim, len(WORKERS))
    await stage.end(jobs)


async def _note(
    stage: Stage, measurement: Measurement, lost: set[str], since_ns: int, epoch: int = 2
) -> None:
    again = await stage.started(lost, epoch=epoch)
    measurement.seconds += [(start.at_ns - since_ns) / 1e9 for start in again.values()]
    measurement.wrong += [f"{job_id} was not started elsewhere" for job_id in lost - again.keys()]


class _Sfu:
    """An SFU that tells of agents by signed webhooks."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def agent_joined(self, room: str, job_id: str) -> None:
        """A room that has opened, and the job's agent in it."""
        await self._tell("room_started", room)
        await self._tell("participant_joined", room, self._agent(job_id, "ACTIVE"))

    async def agents_lost(self, job_ids: set[str], rooms: dict[str, str]) -> None:
        """The connections of these jobs' agents timed out, all at once."""
        async with anyio.create_task_group() as tasks:
            for job_id in job_ids:
                agent = self._agent(job_id, "DISCONNECTED")
                agent["disconnectReason"] = "CONNECTION_TIMEOUT"
                tasks.start_soon(self._tell, "participant_left", rooms[job_id], agent)

    def _agent(self, job_id: str, state: str) -> dict[str, object]:
        return {
            "sid": f"PA_{job_id}",
            "identity": f"agent-{job_id}",
            "state": state,
            "kind": "AGENT",
            "joinedAtMs": str(time.time_ns() // 1_000_000),
            "permission": {"agent": True},
        }

    async def _tell(
        self, event: str, room: str, participant: dict[str, object] | None = None
    ) -> None:
        content: dict[str, object] = {
            "event": event,
            "room": {"sid": f"RM_{room}", "name": room},
            "id": f"EV_{event}_{room}_{time.time_ns()}",
            "createdAt": str(int(time.time())),
        }
        if participant is not None:
            content["participant"] = participant
        body = encoded(content)
        response = await self._http.post(
            "/webhooks/livekit",
            content=body,
            headers={"Content-Type": CONTENT_TYPE, "Authorization": signature(body, KEY, SECRET)},
        )
        response.raise_for_status()


# ---- stock workers ----


async def measure_stock(show: Show) -> list[Measurement]:
    """Cut a stock worker's network, hang one, kill one: each with jobs."""
    kept = Measurement(
        f"a stock worker cut off for {CUT_SECONDS:g} s, from the cut to its claim",
        STOCK_SECONDS_MAX,
    )
    hung = Measurement("a stock worker that hangs, until it is found", HANG_SECONDS_MAX)
    moved = Measurement("its jobs, until they run elsewhere", HANG_SECONDS_MAX + STOCK_SECONDS_MAX)
    killed = Measurement("a killed stock worker, SIGKILL to start elsewhere", STOCK_SECONDS_MAX)
    async with _stage(STOCK_WORKERS) as stage:
        jobs = await stage.create(STOCK_AGENT, STOCK_JOBS)
        show(f"{len(jobs)} jobs run on {len(stage.holders(set(jobs)))} stock workers\n")
        await _cut_off(stage, jobs, kept)
        show(f"{kept}\n")
        await _hang(stage, jobs, hung, moved)
        show(f"{hung}\n{moved}\n")
        fresh = await stage.create(STOCK_AGENT, STOCK_JOBS)
        held = stage.holders(set(fresh))
        victim = max(held, key=lambda worker: len(held[worker]))
        killed_ns = await stage.kill(victim)
        await _note(stage, killed, held[victim], killed_ns)
        show(f"{killed}\n")
    return [kept, hung, moved, killed]


async def _cut_off(stage: Stage, jobs: dict[str, str], kept: Measurement) -> None:
    victim = STOCK_WORKERS[0]
    line = stage.lines[victim]
    line.is_open = False
    cut_at = time.monotonic()
    line.reset_all()
    await anyio.sleep(CUT_SECONDS)
    line.is_open = True
    await stage.registered(len(STOCK_WORKERS))
    kept.seconds.append(time.monotonic() - cut_at)
    # Whatever was lost would be run again within the grace time.
    await anyio.sleep(STOCK_SECONDS_MAX + 1.0)
    again = [one for one in stage.starts() if one.job_id in jobs and one.epoch > 1]
    kept.wrong += [f"{one.job_id} was started again on {one.worker}" for one in again]
    states = await stage.client.list_jobs(page_size=1000)
    running = {one.job.id for one in states.jobs if one.job.id in jobs and one.epoch == 1}
    kept.wrong += [f"{job_id} does not run at epoch 1" for job_id in jobs.keys() - running]


async def _hang(stage: Stage, jobs: dict[str, str], hung: Measurement, moved: Measurement) -> None:
    held = stage.holders(set(jobs))
    victim = max(held, key=lambda worker: len(held[worker]))
    stopped_ns = time.time_ns()
    stage.fleet.signal_worker(victim, signal.SIGSTOP)
    try:
        await stage.registered(len(STOCK_WORKERS) - 1)
        hung.seconds.append((time.time_ns() - stopped_ns) / 1e9)
        await _note(stage, moved, held[victim], stopped_ns)
    finally:
        stage.fleet.signal_worker(victim, signal.SIGCONT)
    await stage.registered(len(STOCK_WORKERS))
    await stage.end(jobs)
