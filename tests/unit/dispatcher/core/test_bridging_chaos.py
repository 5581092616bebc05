"""Random lives of an SFU's rooms, told in any order, with both servers restarted: one job for one call.

The SFU is a model: rooms with sessions and dispatches. What it tells may come twice, late or not at
all; a list may be told after things have changed. At the end all is told once more, and then exactly
the dispatches that are there have a job, each one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest

from dispatcher.core.bridged import BridgeDispatchesListed, DispatchesOfRoom, SfuCall
from dispatcher.core.lifecycle import JobPhase
from dispatcher.store.contract import JobFilter, StoredJob
from tests.support.engine_bench import AGENT, PROJECT
from tests.unit.dispatcher.core.test_bridging import SfuBench

AGENTS = (AGENT, "other")
ROOMS = ("one", "two", "three")
STEPS = 120


@dataclass
class Room:
    """One room of the model: its session, and its dispatches with their agents."""

    session: int
    dispatches: dict[str, str] = field(default_factory=dict)


class Model:
    """The SFU, and what of it has been told to the bench."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.bench = SfuBench(seed=seed)
        self.rooms: dict[str, Room] = {}
        self.sessions = 0
        self.numbers = 0
        # lists that were asked for and are told later
        self.lists: list[BridgeDispatchesListed] = []
        self.after_outage = False
        for agent in AGENTS:
            self.bench.worker(f"w-{agent}", agent=agent)

    def calls(self, name: str) -> list[SfuCall]:
        """The calls that a room means."""
        room = self.rooms[name]
        return [
            self.bench.call(dispatch, room=name, session=room.session, agent=agent)
            for dispatch, agent in room.dispatches.items()
        ]

    # --- what happens there ---

    def step(self) -> None:
        """Let something happen."""
        what = self.random.choice(
            [
                self.opens,
                self.dispatches,
                self.dispatches,
                self.deletes,
                self.closes,
                self.offers_again,
                self.asks_list,
                self.tells_list,
                self.works,
                self.works,
                self.works,
                self.restarts,
                self.our_restart,
                self.outage_ends,
            ]
        )
        what()
        self.bench.pass_time(self.random.uniform(0.001, 1.0))
        self.check()

    def opens(self) -> None:
        name = self.random.choice(ROOMS)
        if name not in self.rooms:
            self.sessions += 1
            self.rooms[name] = Room(self.sessions)
            self.dispatch_in(name, self.random.choice(AGENTS))

    def dispatches(self) -> None:
        if self.rooms:
            self.dispatch_in(self.random.choice(sorted(self.rooms)), self.random.choice(AGENTS))

    def dispatch_in(self, name: str, agent: str) -> None:
        """A new dispatch, which is offered, unless that is lost."""
        self.numbers += 1
        self.rooms[name].dispatches[f"AD_{self.numbers}"] = agent
        if self.random.random() < 0.7:
            self.offer(self.calls(name)[-1])

    def offer(self, call: SfuCall) -> None:
        """Offer a job; what its room has beside it is known, or not."""
        beside = frozenset(self.rooms[call.room].dispatches)
        self.bench.offer(
            call,
            after_outage=self.after_outage,
            beside=beside if self.random.random() < 0.8 else None,
        )

    def deletes(self) -> None:
        name = self.random.choice([*self.rooms, ""])
        if name and len(self.rooms[name].dispatches) > 1:
            del self.rooms[name].dispatches[self.random.choice(list(self.rooms[name].dispatches))]

    def closes(self) -> None:
        if self.rooms and self.random.random() < 0.4:
            name = self.random.choice(sorted(self.rooms))
            room = self.rooms.pop(name)
            if self.random.random() < 0.5:
                self.bench.room_finishes(name, room.session)

    def offers_again(self) -> None:
        if self.rooms:
            call = self.random.choice(self.calls(self.random.choice(sorted(self.rooms))))
            self.offer(call)

    def restarts(self) -> None:
        """The SFU is restarted: each room is rebuilt, with the same agents.

        By another node of a cluster it is rebuilt under the same sid.
        """
        self.after_outage = True
        is_cluster = self.random.random() < 0.5
        for name, room in list(self.rooms.items()):
            agents = list(room.dispatches.values())
            self.sessions += 1
            self.rooms[name] = Room(room.session if is_cluster else self.sessions)
            for agent in agents:
                self.dispatch_in(name, agent)

    def outage_ends(self) -> None:
        """Enough time has passed, in which there were sweeps."""
        if self.after_outage:
            self.lists.clear()
            self.tell_all()
            self.after_outage = False

    # --- what is told ---

    def listed(self) -> BridgeDispatchesListed:
        """All rooms, as they are now."""
        rooms = tuple(
            DispatchesOfRoom(
                name,
                f"RM_{name}_{room.session}",
                frozenset(room.dispatches),
                tuple(
                    (call, self.bench.job_for(call))
                    for call in self.calls(name)
                    if (PROJECT, call.key) not in self.bench.engine.calls
                ),
            )
            for name, room in self.rooms.items()
        )
        return BridgeDispatchesListed(PROJECT, self.bench.now, rooms, self.after_outage)

    def asks_list(self) -> None:
        self.lists.append(self.listed())

    def tells_list(self) -> None:
        if self.lists:
            self.bench.tell(self.lists.pop(0))

    def tell_all(self) -> None:
        self.bench.tell(self.listed())

    # --- here ---

    def works(self) -> None:
        """A worker goes on with a job."""
        stored = [s for s in self.stored() if not s.state.phase.is_ended]
        if not stored:
            return
        job = self.random.choice(stored).job.id
        if self.bench.offered(job):
            self.bench.accept(job)
        elif self.bench.holder(job) and self.bench.phase(job) is JobPhase.ASSIGNED:
            self.bench.start(job)
        elif self.bench.holder(job) and self.random.random() < 0.2:
            self.bench.succeed(job)

    def our_restart(self) -> None:
        self.bench.restart()
        self.lists.clear()
        for number, agent in enumerate(AGENTS):
            worker = self.bench.worker(f"w-{agent}-{self.numbers}-{number}", agent=agent)
            held = [s for s in self.stored() if s.state.phase is JobPhase.ORPHANED]
            self.bench.claim(worker, *(s.job.id for s in held if s.job.lane.agent_name == agent))

    def stored(self) -> list[StoredJob]:
        """All jobs, newest first."""
        return self.bench.database.list_jobs(JobFilter(PROJECT), 10_000)

    # --- what must be true ---

    def check(self) -> None:
        """No call has two jobs, and no job two calls."""
        live = Counter(s.job.unique_key for s in self.stored() if not s.state.phase.is_ended)
        assert all(count == 1 for count in live.values()), live
        owners = Counter(called.job_id for called in self.bench.engine.calls.values())
        assert all(count == 1 for count in owners.values()), owners

    def check_end(self) -> None:
        """What is there has a job, and nothing else has one that lives."""
        wanted = {(PROJECT, call.key) for name in self.rooms for call in self.calls(name)}
        assert set(self.bench.engine.calls) == wanted
        live = {s.job.id for s in self.stored() if not s.state.phase.is_ended}
        assert live <= {called.job_id for called in self.bench.engine.calls.values()}
        for called in self.bench.engine.calls.values():
            ended = self.bench.state(called.job_id)
            if ended.phase.is_ended:
                assert ended.phase is JobPhase.SUCCEEDED, (called.call, ended)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_told_in_whatever_order_each_call_has_one_job(seed: int) -> None:
    model = Model(seed)
    for _ in range(STEPS):
        model.step()
    model.lists.clear()
    model.after_outage = False
    for _ in range(2):
        model.tell_all()
        model.bench.pass_time(60)
        for stored in model.stored():
            if model.bench.offered(stored.job.id):
                model.bench.accept(stored.job.id)
        model.check()
    model.tell_all()
    model.check_end()
