"""The plot: a rule calls agents to rooms, a worker and the server are killed, and all ends well.

Four tasks share a `Scene`: one plays the callers (`callers`), one watches server and record files, one directs
the kills, one paints. Nothing waits for a fixed time where there is something to wait for; the
whole run ends within `RUN_SECONDS_MAX`, whatever happens, unless whoever plays it has more patience.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum

import anyio

from dispatcher.cli.demo.callers import Call, Callers, new_calls, new_rule
from dispatcher.cli.demo.cast import Cast
from dispatcher.cli.demo.scene import Mood, RoomRow, Scene, ServerState, WorkerRow
from dispatcher.cli.demo.verdict import ServerJob, Verdict, judge, read_records
from dispatcher.cli.demo.worker import AGENT_NAME, CAPACITY, GRACE_SECONDS
from protocol import api_pb2
from protocol.errors import CallboardError
from worker_sdk import DispatchClient

WORKERS = 4
VICTIM = "w2"
# It does not come back: shorter than the others', so that a viewer sees its jobs go on.
VICTIM_GRACE_SECONDS = 2.0
SUBSTITUTE = "w5"

RUN_SECONDS_MAX = 23.0
POLL_SECONDS = 0.15
# So long does a viewer get to see what has just happened.
LOOK_SECONDS = 1.3
# Nothing has changed for so long: it is over. Where the machine is slow, up to so many times longer.
HOPE_SECONDS = 6.0
HOPE_PATIENCE_MAX = 2.0
DOWN_SECONDS = 1.2
# A report's way there and back takes less, unless the machine is very busy.
RUSH_SECONDS_MAX = 1.0


# What is sabotaged: which of the rooms, and a name that the rule does not match. Nobody hangs up in
# these, so that nothing waits for the end of a room without an agent.
TWICE, STRAY = 4, 5
ELSEWHERE = "lobby-6"


class Sabotage(StrEnum):
    """What may be broken on purpose, to see that the verdict notices."""

    SERVER_STAYS_DOWN = "server-stays-down"
    OLD_DATA = "old-data"  # as if a disk had forgotten what it had promised to keep
    ROOM_ELSEWHERE = "room-elsewhere"  # a room that no rule matches
    SECOND_RULE = "second-rule"  # two rules call the same agent to one room


@dataclass(slots=True)
class Run:
    """One run of the demo, and what it has gathered as evidence."""

    cast: Cast
    scene: Scene
    # called with each headline, for whoever has no screen
    tell: Callable[[str], None]
    sabotage: frozenset[Sabotage] = frozenset()
    # how many times longer than for a viewer it may take, where the machine is slow
    patience: float = 1.0
    # names of workers by the ids that the server gave them
    names: dict[str, str] = field(default_factory=dict)
    # jobs in the server's last list
    jobs_known: int = 0
    # set, and replaced by a new one, whenever something was seen
    news: anyio.Event = field(default_factory=anyio.Event)

    async def play(self) -> Verdict:
        """Play it through and judge it."""
        async with AsyncExitStack() as stack:
            sender = await stack.enter_async_context(
                self._client(retry_seconds_max=20.0 * self.patience)
            )
            watcher = await stack.enter_async_context(self._client(retry_seconds_max=0.0))
            callers = Callers(sender, self.scene, self._calls(), self._until)
            with anyio.move_on_after(RUN_SECONDS_MAX * self.patience):
                async with anyio.create_task_group() as tasks:
                    self._start_cast()
                    tasks.start_soon(self._watch, watcher)
                    await self._until(lambda: self.scene.server is ServerState.UP)
                    await self._apply_rules(sender)
                    tasks.start_soon(callers.call)
                    await self._direct(callers)
                    await self._until_over(callers)
                    tasks.cancel_scope.cancel()
            return await self._judge(watcher, callers.reported)

    def _client(self, retry_seconds_max: float) -> DispatchClient:
        return DispatchClient(
            self.cast.url,
            self.cast.api_key,
            self.cast.api_secret,
            call_timeout_seconds=3.0 * self.patience,
            retry_seconds_max=retry_seconds_max,
        )

    # ---- the plot ----

    def _start_cast(self) -> None:
        self.scene.server_pid = self.cast.start_server().process.pid
        self.scene.url = self.cast.url
        for number in range(1, WORKERS + 1):
            self._start_worker(f"w{number}")
        self._say(f"A server and {WORKERS} workers start")

    def _start_worker(self, name: str) -> None:
        # Who has lost its job on the disk is waited for in vain: nobody wants to see that for long.
        is_brief = name == VICTIM or Sabotage.OLD_DATA in self.sabotage
        grace_seconds = VICTIM_GRACE_SECONDS if is_brief else GRACE_SECONDS
        player = self.cast.start_worker(name, grace_seconds)
        self.scene.workers[name] = WorkerRow(name, player.process.pid, CAPACITY)

    def _calls(self) -> list[Call]:
        calls = new_calls()
        if Sabotage.ROOM_ELSEWHERE in self.sabotage:
            calls[STRAY] = replace(calls[STRAY], room=ELSEWHERE)
            self.scene.rooms = new_scene(calls).rooms
        return calls

    async def _apply_rules(self, sender: DispatchClient) -> None:
        rules = [new_rule()]
        if Sabotage.SECOND_RULE in self.sabotage:
            rules.append(new_rule("greet-again", list(self.scene.rooms)[TWICE]))
        try:
            for rule in rules:
                await sender.apply_rule(rule)
        except CallboardError:
            return  # nothing will match: the verdict counts the jobs
        shown = rules[0]
        self._say(
            f"Rule {shown.name}: every room {shown.match.room} gets agent {shown.agent_name!r}."
            f" {len(self.scene.rooms)} rooms start"
        )

    async def _direct(self, callers: Callers) -> None:
        scene = self.scene
        victim = scene.workers[VICTIM]
        await self._until(lambda: victim.running >= 2 and scene.waiting >= 4, seconds_max=9.0)
        if Sabotage.OLD_DATA in self.sabotage:
            self.cast.copy_data()
        self.cast.workers[VICTIM].kill()
        victim.state = "killed"
        jobs = victim.running
        scene.kills.append(VICTIM)
        self._say(
            f"SIGKILL to worker {VICTIM}: its {jobs} jobs go to others after its grace time",
            Mood.ALARM,
        )
        await anyio.sleep(LOOK_SECONDS)
        self._start_worker(SUBSTITUTE)
        await self._until(lambda: scene.held >= 4 and scene.waiting >= 2, seconds_max=4.0)
        callers.rush.set()
        with anyio.move_on_after(RUSH_SECONDS_MAX):
            await callers.is_rushing.wait()
        if self.cast.server is not None:
            self.cast.server.kill()
        scene.server = ServerState.KILLED
        scene.kills.append("server")
        self._say(
            f"SIGKILL to the server: {scene.held} jobs run on, {scene.waiting} wait on disk;"
            f" reports unanswered: {scene.unanswered}",
            Mood.ALARM,
        )
        await anyio.sleep(DOWN_SECONDS)
        await self._restart_server(len(callers.reported))

    async def _restart_server(self, promised: int) -> None:
        if Sabotage.SERVER_STAYS_DOWN in self.sabotage:
            self._say("Sabotage: the server is not started again", Mood.ALARM)
            return
        if Sabotage.OLD_DATA in self.sabotage:
            self.cast.put_data_back()
            self._say("Sabotage: the server starts again on what its disk held before", Mood.ALARM)
        else:
            self._say("The server starts again, on the same folder")
        self.scene.server = ServerState.STARTING
        self.scene.server_pid = self.cast.start_server().process.pid
        await self._until(lambda: self.scene.server is ServerState.UP)
        known = self.jobs_known
        if known >= promised and self.scene.rules:
            self._say(
                f"The server is back: its rule, all {known} jobs; unanswered reports come again",
                Mood.GOOD,
            )
        else:
            rule = "its rule" if self.scene.rules else "no rule"
            self._say(f"The server is back: {rule}, {known} of {promised} jobs", Mood.ALARM)

    async def _until_over(self, callers: Callers) -> None:
        """Wait until all jobs and calls have ended, or for as long as there is any hope of it."""
        if Sabotage.SERVER_STAYS_DOWN in self.sabotage:
            return
        wanted = len(self.scene.rooms) - (Sabotage.ROOM_ELSEWHERE in self.sabotage)
        hope_seconds = HOPE_SECONDS * min(self.patience, HOPE_PATIENCE_MAX)
        while self.scene.ended < wanted or not callers.are_done:
            seen = self._progress()
            await self._until(lambda: self._progress() != seen, hope_seconds)  # noqa: B023
            if self._progress() == seen:
                return

    def _progress(self) -> tuple[object, ...]:
        phases = tuple((row.phase, row.is_over) for row in self.scene.rooms.values())
        return (self.scene.server, phases, tuple(w.finished for w in self.scene.workers.values()))

    # ---- watching ----

    async def _watch(self, watcher: DispatchClient) -> None:
        while True:
            self._read_records()
            if self.scene.server is not ServerState.KILLED:
                with anyio.move_on_after(2.0 * self.patience):
                    await self._ask(watcher)
            seen, self.news = self.news, anyio.Event()
            seen.set()
            await anyio.sleep(POLL_SECONDS)

    async def _ask(self, watcher: DispatchClient) -> None:
        process = self.cast.server
        try:
            workers = (await watcher.list_workers()).workers
            jobs = (await watcher.list_jobs(agent_name=AGENT_NAME, page_size=200)).jobs
            rooms = (await watcher.list_rooms(page_size=200)).rooms
            rules = (await watcher.list_rules(agent_name=AGENT_NAME)).rules
        except CallboardError:
            return  # it is starting, or was killed a moment ago
        if process is not self.cast.server or self.scene.server is ServerState.KILLED:
            return  # an answer of the one that was killed meanwhile
        self.scene.server = ServerState.UP
        self.jobs_known = len(jobs)
        self.scene.rooms_there = len(rooms)
        self.scene.people = sum(room.num_participants for room in rooms)
        self.scene.matched = len({record.job.room.name for record in jobs})
        self.scene.rules = {
            rule.name: f"room {rule.match.room} → {rule.agent_name}" for rule in rules
        }
        for worker in workers:
            self.names[worker.id] = worker.instance_id
        connected = {worker.instance_id for worker in workers}
        for row in self.scene.workers.values():
            if row.state != "killed":
                row.state = "ready" if row.name in connected else "cut off"
        for record in jobs:
            room = self.scene.rooms.get(record.job.room.name)
            if room is not None:
                room.phase = api_pb2.JobPhase.Name(record.phase).lower()
                room.attempt = record.attempt
                room.worker = self.names.get(record.worker_id, "")

    def _read_records(self) -> None:
        for row in self.scene.workers.values():
            lines = read_records([self.cast.folder / f"{row.name}.jsonl"])
            row.finished = sum(line.outcome == "success" for line in lines)
            starts = sum(line.event == "start" for line in lines)
            row.running = starts - sum(line.event == "end" for line in lines)
            if row.state == "ready" and self.scene.server is ServerState.KILLED:
                row.state = "cut off"

    async def _until(self, condition: Callable[[], bool], seconds_max: float = 60.0) -> None:
        with anyio.move_on_after(seconds_max):
            while not condition():
                await self.news.wait()

    def _say(self, headline: str, mood: Mood = Mood.CALM) -> None:
        self.scene.headline = headline
        self.scene.mood = mood
        self.tell(headline)

    # ---- the verdict ----

    async def _judge(self, watcher: DispatchClient, reported: set[str]) -> Verdict:
        """Let the workers end, hear the server's account and the workers' own, and judge."""
        if self.scene.ended == len(self.scene.rooms):
            self._say("All jobs have ended; callers, server and workers are asked", Mood.GOOD)
        await anyio.to_thread.run_sync(self.cast.stop_workers)
        jobs: list[ServerJob] = []
        try:
            with anyio.fail_after(3.0 * self.patience):
                for record in (await watcher.list_jobs(agent_name=AGENT_NAME, page_size=500)).jobs:
                    whole = await watcher.get_job(record.job.id)
                    jobs.append(_server_job(whole))
        except (CallboardError, TimeoutError):
            jobs = []  # a server that does not answer has lost them all
        return judge(len(self.scene.rooms), reported, jobs, read_records(self.cast.record_paths))


def _server_job(record: api_pb2.JobRecord) -> ServerJob:
    ended = {api_pb2.SUCCEEDED, api_pb2.FAILED, api_pb2.CANCELLED}
    return ServerJob(
        id=record.job.id,
        room=record.job.room.name,
        phase=api_pb2.JobPhase.Name(record.phase).lower(),
        epoch=record.epoch,
        ends=sum(event.phase in ended for event in record.timeline),
    )


def new_scene(calls: list[Call] | None = None) -> Scene:
    """Return the scene before anything has happened."""
    return Scene(rooms={call.room: RoomRow(call.room) for call in calls or new_calls()})
