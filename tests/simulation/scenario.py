"""What a seed stands for: how fast and how bad the network, the store, the workers and callers are.

Everything is drawn from the seed's random numbers. It is swarm testing (Groce and others, 2012): a
seed has a few kinds of faults and none of the others, so that every kind is met alone as well as
among others, and often. `Scenario.mix` is what it drew, in words. After `active_time` all faults
heal: what then does not end well was not the world's fault.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from random import Random

from dispatcher.core.events import Registration
from dispatcher.core.jobs import MILLISECOND, SECOND, JobType, Lane, Nanoseconds, seconds
from dispatcher.core.policy import AgentPolicy, Policy
from tests.simulation.sfu_plan import SfuPlan, draw_sfu

PROJECT = "p"
# How many of all schedules are played on the SQLite store itself: it costs ten times as much.
ON_SQLITE = 0.01


class WorkerKind(Enum):
    """How a worker behaves."""

    STOCK = "stock"
    NODE = "node"
    SDK = "sdk"
    HOSTILE = "hostile"


@dataclass(slots=True)
class Temper:
    """How a worker treats offers and jobs. Chances are 0 to 1."""

    declines: float = 0.0
    terminates: float = 0.0
    silent: float = 0.0
    late: float = 0.0
    fails: float = 0.0
    launch_max: Nanoseconds = SECOND // 2
    run_max: Nanoseconds = 4 * SECOND
    stop_max: Nanoseconds = SECOND
    # a stock worker says that it is full from so many jobs on
    full_at: int = 1000

    def heal(self) -> None:
        """From now on take every offer at once and finish every job."""
        self.declines = self.terminates = self.silent = self.late = self.fails = 0.0


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """One worker: its kind, what it registers, how it behaves, when it first connects."""

    kind: WorkerKind
    registration: Registration
    temper: Temper
    starts_at: Nanoseconds


class FaultKind(Enum):
    """What goes wrong, once each."""

    CRASH = "crash"  # the server process is killed
    RESTART = "restart"  # the server drains, and is stopped
    ROLLING = "rolling restarts"  # several of those, one soon after the other
    PAUSE = "server pause"  # the server process is stopped for a while, and goes on (SIGSTOP)
    SUSPEND = "suspend"  # so is its whole machine, and its steady clock with it
    CLOCK = "clock"  # the wall clock of the server is set back or ahead by minutes
    CUT = "cut"  # a connection breaks
    STORM = "storm"  # all connections break at once
    HALF_OPEN = "half open"  # one breaks, the worker knows, and the server does not for long
    ONE_WAY = "one way"  # one direction of one is dead, and nobody is told for long
    HANG = "hang"  # a worker process does nothing for a while (SIGSTOP)
    KILL = "kill"  # a worker process is killed
    DRAIN = "drain"  # a worker process drains
    FULL = "disk full"  # the store has no space left for a while
    OUTAGE = "outage"  # the store cannot write for a while, and what it tried may be on the disk
    LOST_ANSWER = "lost answer"  # a commit fails for good: it was carried out, or it was not
    TAKE_OUT = "take out"  # an operator takes a worker out of service
    SIMULATE = "simulate"  # a worker asks for a job for itself


STOPS_THE_SERVER = frozenset(
    {
        FaultKind.CRASH,
        FaultKind.RESTART,
        FaultKind.ROLLING,
        FaultKind.PAUSE,
        FaultKind.SUSPEND,
        FaultKind.FULL,
        FaultKind.OUTAGE,
        FaultKind.LOST_ANSWER,
    }
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A schedule's conditions. Times are in nanoseconds from its start."""

    policy: Policy
    active_time: Nanoseconds
    agents: tuple[str, ...]
    # those of them that callers ask for
    named_agents: tuple[str, ...]
    workers: tuple[WorkerPlan, ...]
    faults: tuple[tuple[Nanoseconds, FaultKind], ...]
    # when callers ask for dispatches, and how often they repeat themselves and delete
    dispatches_at: tuple[Nanoseconds, ...]
    repeats: float
    deletes: float
    queue_times: tuple[Nanoseconds, ...]
    # the network
    latency_max: Nanoseconds
    stalls: float
    stall_max: Nanoseconds
    # the store
    commit_max: Nanoseconds
    slow_commits: float
    commit_failures: float
    batch_max: int
    unhurried_max: int
    # is it the real SQLite store?
    on_sqlite: bool
    # may a worker of ours say again, on its next connection, what it said last on the broken one?
    doubles: float
    # how long a loss goes unnoticed by those who do not notice it at once
    unnoticed: float
    notice_max: Nanoseconds
    # rooms and rules; None: there is no SFU
    sfu: SfuPlan | None
    # how long it goes on after everything has healed, at least
    linger: Nanoseconds

    @property
    def may_miss_news(self) -> bool:
        """May the server not hear of what happens in rooms, or not in time?"""
        return (
            (self.sfu is not None and bool(self.sfu.lost or self.sfu.late))
            or bool(self.commit_failures)
            or any(kind in STOPS_THE_SERVER for _, kind in self.faults)
        )

    @property
    def sets_the_clock(self) -> bool:
        """Is the wall clock set?"""
        return any(kind is FaultKind.CLOCK for _, kind in self.faults)

    @property
    def mix(self) -> str:
        """What was drawn, in words: what is not named is not there, or as good as it can be."""
        kinds = Counter(plan.kind.value for plan in self.workers)
        faults = Counter(kind.value for _, kind in self.faults)
        stepped = {
            "repeats": self.repeats,
            "deletes": self.deletes,
            "stalls": self.stalls,
            "slow commits": self.slow_commits,
            "commit failures": self.commit_failures,
            "doubles": self.doubles,
            "unnoticed": self.unnoticed,
        }
        policy = self.policy
        words = [
            f"agents {', '.join(agent or 'unnamed' for agent in self.agents)}",
            "workers " + ", ".join(f"{kind} x{n}" for kind, n in kinds.items()),
            f"dispatches {len(self.dispatches_at)} in {self.active_time / SECOND:g} s",
            "faults " + (", ".join(f"{kind} x{n}" for kind, n in faults.items()) or "none"),
            ", ".join(f"{what} {chance:.2f}" for what, chance in stepped.items() if chance),
            f"latency {self.latency_max / MILLISECOND:g} ms",
            f"commit {self.commit_max / MILLISECOND:g} ms, batch {self.batch_max}",
            f"offer {policy.offer_timeout / SECOND:g} s, grace {policy.grace / SECOND:g} s",
            f"attempts {policy.attempts_max}, in flight {policy.offers_in_flight_max}",
            self.sfu.mix if self.sfu is not None else "no rooms",
            "on SQLite" if self.on_sqlite else "",
        ]
        return "; ".join(word for word in words if word)

    def commit_time(self, random: Random) -> Nanoseconds:
        """How long one commit takes."""
        if random.random() < self.slow_commits:
            return int(random.random() * SECOND)
        return 200_000 + int(random.random() * self.commit_max)

    def notice_delay(self, random: Random) -> Nanoseconds:
        """How long it takes until somebody notices that a connection is over."""
        if random.random() < self.unnoticed:
            return int(random.random() * self.notice_max)
        return int(random.random() * 20 * MILLISECOND)


def _sometimes(random: Random, chance: float, most: float) -> float:
    """Zero mostly; with this chance something up to `most`."""
    return random.random() * most if random.random() < chance else 0.0


def _draw_policy(random: Random) -> Policy:
    offer_timeout = random.choice((1, 2, 10)) * SECOND
    agents: dict[str, AgentPolicy] = {}
    if random.random() < 0.15:
        agents["a"] = AgentPolicy(capacity=random.choice((1, 3)))
    return Policy(
        offer_timeout=offer_timeout,
        grace=random.choice((1, 2, 5, 20)) * SECOND,
        grace_max=30 * SECOND,
        assignment_time=random.choice((1, 6)) * SECOND,
        # A claim may come later than this, where the network is slow.
        settle_time=random.choice((50, 500, 500)) * MILLISECOND,
        silence_backoff_min=offer_timeout,
        silence_backoff_max=2 * offer_timeout,
        decline_backoff_max=random.choice((1, 4)) * SECOND,
        attempts_max=(attempts_max := random.choice((2, 3, 5))),
        losses_max=attempts_max * random.choice((1, 2)),
        retry_backoff_min=random.choice((200, 1000)) * MILLISECOND,
        retry_backoff_max=3 * SECOND,
        offers_in_flight_max=random.choice((1, 4, 32)),
        claim_max=random.choice((16, 64)),
        due_max=random.choice((4, 256)),
        stop_timeout=random.choice((8, 30)) * SECOND,
        status_stale_time=random.choice((5, 10)) * SECOND,
        status_timeout=random.choice((12, 30)) * SECOND,
        uncounted_time=random.choice((4, 30)) * SECOND,
        start_timeout=random.choice((5, 10, 20)) * SECOND,
        unnamed_memory=random.choice((2, 600)) * SECOND,
        silence_time=random.choice((20, 40)) * SECOND,
        agents=agents,
    )


def draw_temper(random: Random) -> Temper:
    """A worker that is bad in some ways."""
    return Temper(
        declines=_sometimes(random, 0.3, 0.8),
        terminates=_sometimes(random, 0.15, 0.3),
        silent=_sometimes(random, 0.2, 0.6),
        late=_sometimes(random, 0.2, 0.6),
        fails=_sometimes(random, 0.3, 0.6),
        launch_max=random.choice((10, 500, 1500)) * MILLISECOND,
        run_max=random.choice((1, 4, 8, 20)) * SECOND,
        stop_max=random.choice((50, 1000, 5000)) * MILLISECOND,
        full_at=random.choice((1, 2, 1000)),
    )


def draw_worker(
    random: Random, kind: WorkerKind, agent: str, number: int, has_rooms: bool
) -> Registration:
    """What a worker registers."""
    both: tuple[JobType, ...] = (JobType.ROOM, JobType.PUBLISHER)
    if has_rooms and random.random() < 0.7:
        both += (JobType.PARTICIPANT,)
    if kind is WorkerKind.SDK:
        return Registration(
            PROJECT,
            agent,
            "",
            "",
            both if random.random() < 0.5 else random.choice(((JobType.ROOM,), both[1:])),
            capacity=random.choice((1, 2, 4)),
            grace=random.choice((None, 1 * SECOND, 3 * SECOND, 7200 * SECOND)),
            instance_id=f"instance-{number}",
        )
    type_ = JobType.ROOM if random.random() < 0.7 else random.choice(both[1:])
    return Registration(PROJECT, agent, "", "", (type_,))


# How often each kind of fault is part of a seed, and how many of it there are at most then.
FAULTS: dict[FaultKind, tuple[float, int]] = {
    FaultKind.CRASH: (0.4, 2),
    FaultKind.RESTART: (0.15, 1),
    FaultKind.ROLLING: (0.08, 1),
    FaultKind.PAUSE: (0.12, 2),
    FaultKind.SUSPEND: (0.06, 1),
    FaultKind.CLOCK: (0.12, 2),
    FaultKind.CUT: (0.5, 6),
    FaultKind.STORM: (0.2, 2),
    FaultKind.HALF_OPEN: (0.3, 3),
    FaultKind.ONE_WAY: (0.2, 3),
    FaultKind.HANG: (0.3, 2),
    FaultKind.KILL: (0.3, 2),
    FaultKind.DRAIN: (0.25, 2),
    FaultKind.FULL: (0.1, 1),
    FaultKind.OUTAGE: (0.12, 1),
    FaultKind.LOST_ANSWER: (0.08, 1),
    FaultKind.TAKE_OUT: (0.12, 2),
    FaultKind.SIMULATE: (0.25, 3),
}


def _draw_faults(
    random: Random, active_time: Nanoseconds, times: int
) -> tuple[tuple[Nanoseconds, FaultKind], ...]:
    faults = [
        (int(random.random() * active_time), kind)
        for kind, (chance, most) in FAULTS.items()
        if random.random() < chance
        for _ in range(random.randint(1, most) * times)
    ]
    return tuple(sorted(faults, key=lambda fault: fault[0]))


def _draw_workers(
    random: Random, agents: tuple[str, ...], active_time: Nanoseconds, most: int, has_rooms: bool
) -> tuple[WorkerPlan, ...]:
    kinds = [random.choice((WorkerKind.STOCK, WorkerKind.SDK))] * 3
    if random.random() < 0.4:
        kinds = [WorkerKind.STOCK, WorkerKind.SDK]
    if has_rooms and random.random() < 0.35:  # who never reports is seen in rooms alone
        kinds.append(WorkerKind.NODE)
    workers: list[WorkerPlan] = []
    for number in range(random.randint(1, most)):
        kind = random.choice(kinds)
        starts_at = int(random.random() * active_time / 4)
        registration = draw_worker(random, kind, random.choice(agents), number, has_rooms)
        workers.append(WorkerPlan(kind, registration, draw_temper(random), starts_at))
    if random.random() < 0.2:
        registration = draw_worker(random, WorkerKind.HOSTILE, agents[0], 100, has_rooms)
        workers.append(WorkerPlan(WorkerKind.HOSTILE, registration, draw_temper(random), 0))
    return tuple(workers)


def draw_scenario(random: Random) -> Scenario:
    """Draw one schedule's conditions."""
    is_big = random.random() < 0.1
    active_time = random.choice((15, 30) if is_big else (4, 8, 16)) * SECOND
    agents: tuple[str, ...] = ("a",) if random.random() < 0.6 else ("a", "b")
    sfu = draw_sfu(random, agents, active_time) if random.random() < 0.3 else None
    named = agents
    if sfu is not None and random.random() < 0.12:  # whom LiveKit calls for everybody
        agents += ("",)
    count = random.randint(10, 40) if is_big else random.randint(1, 10)
    if sfu is not None:
        count = random.randint(0, 4)
    if random.random() < 0.3:  # all at once
        burst = random.random() * active_time / 2
        dispatches_at = tuple(int(burst + random.random() * SECOND / 20) for _ in range(count))
    else:
        dispatches_at = tuple(int(random.random() * active_time) for _ in range(count))
    return Scenario(
        policy=_draw_policy(random),
        active_time=active_time,
        agents=agents,
        named_agents=named,
        workers=_draw_workers(random, agents, active_time, 7 if is_big else 4, sfu is not None),
        faults=_draw_faults(random, active_time, 2 if is_big else 1),
        dispatches_at=tuple(sorted(dispatches_at)),
        repeats=_sometimes(random, 0.5, 0.6),
        deletes=_sometimes(random, 0.4, 0.6),
        queue_times=random.choice(((seconds(300),), (seconds(30),), (seconds(3), seconds(12)))),
        latency_max=random.choice((1, 20, 200)) * MILLISECOND,
        stalls=_sometimes(random, 0.2, 0.05),
        stall_max=3 * SECOND,
        commit_max=random.choice((1, 5, 100)) * MILLISECOND,
        slow_commits=_sometimes(random, 0.2, 0.1),
        commit_failures=_sometimes(random, 0.1, 0.2),
        batch_max=random.choice((3, 4096)),
        unhurried_max=random.choice((1, 4, 512)),
        on_sqlite=random.random() < ON_SQLITE,
        doubles=_sometimes(random, 0.3, 0.5),
        unnoticed=_sometimes(random, 0.5, 1.0),
        notice_max=20 * SECOND,
        sfu=sfu,
        # A session that is over is remembered for a while: the first look at that is after a minute.
        linger=70 * SECOND if sfu is not None and random.random() < 0.04 else 0,
    )


def lanes_of(agents: tuple[str, ...]) -> tuple[Lane, ...]:
    """Every lane that a dispatch for these agents may need."""
    return tuple(
        Lane(PROJECT, agent, job_type=job_type) for agent in agents for job_type in JobType
    )
