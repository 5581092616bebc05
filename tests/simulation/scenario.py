"""What a seed stands for: how fast and how bad the network, the store, the workers and callers are.

Everything is drawn from the seed's random numbers. Each scenario is bad in a few ways and good in
the others, so that every fault is met alone as well as among others. After `active_time` all
faults heal: what then does not end well was not the world's fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random

from dispatcher.core.events import Registration
from dispatcher.core.jobs import MILLISECOND, SECOND, JobType, Lane, Nanoseconds, seconds
from dispatcher.core.policy import AgentPolicy, Policy

PROJECT = "p"


class WorkerKind(Enum):
    """How a worker behaves."""

    STOCK = "stock"
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
    CUT = "cut"  # a connection breaks
    HALF_OPEN = "half open"  # one breaks, the worker knows, and the server does not for long
    HANG = "hang"  # a worker process does nothing for a while
    KILL = "kill"  # a worker process is killed
    DRAIN = "drain"  # a worker process drains
    OUTAGE = "outage"  # the store cannot write for a while
    SIMULATE = "simulate"  # a worker asks for a job for itself


@dataclass(frozen=True, slots=True)
class Scenario:
    """A schedule's conditions. Times are in nanoseconds from its start."""

    policy: Policy
    active_time: Nanoseconds
    agents: tuple[str, ...]
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
    # how long a loss goes unnoticed by those who do not notice it at once
    unnoticed: float
    notice_max: Nanoseconds

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
        attempts_max=random.choice((2, 3, 5)),
        retry_backoff_min=random.choice((200, 1000)) * MILLISECOND,
        retry_backoff_max=3 * SECOND,
        offers_in_flight_max=random.choice((1, 4, 32)),
        claim_max=random.choice((16, 64)),
        due_max=random.choice((4, 256)),
        stop_timeout=random.choice((8, 30)) * SECOND,
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


def draw_worker(random: Random, kind: WorkerKind, agent: str, number: int) -> Registration:
    """What a worker registers."""
    both = (JobType.ROOM, JobType.PUBLISHER)
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
    type_ = JobType.ROOM if random.random() < 0.8 else JobType.PUBLISHER
    return Registration(PROJECT, agent, "", "", (type_,))


def _draw_faults(
    random: Random, active_time: Nanoseconds, times: int
) -> tuple[tuple[Nanoseconds, FaultKind], ...]:
    most = {
        FaultKind.CRASH: random.choice((0, 0, 1, 2)),
        FaultKind.RESTART: random.choice((0, 0, 0, 0, 1)),
        FaultKind.CUT: random.choice((0, 1, 3, 6)),
        FaultKind.HALF_OPEN: random.choice((0, 0, 1, 3)),
        FaultKind.HANG: random.choice((0, 0, 1, 2)),
        FaultKind.KILL: random.choice((0, 0, 1, 2)),
        FaultKind.DRAIN: random.choice((0, 0, 1)),
        FaultKind.OUTAGE: random.choice((0, 0, 0, 1)),
        FaultKind.SIMULATE: random.choice((0, 0, 1, 3)),
    }
    faults = [
        (int(random.random() * active_time), kind)
        for kind, n in most.items()
        for _ in range(n * times)
    ]
    return tuple(sorted(faults, key=lambda fault: fault[0]))


def draw_scenario(random: Random) -> Scenario:
    """Draw one schedule's conditions."""
    is_big = random.random() < 0.25
    active_time = random.choice((15, 30) if is_big else (4, 8, 16)) * SECOND
    agents = ("a",) if random.random() < 0.6 else ("a", "b")
    kinds = [random.choice((WorkerKind.STOCK, WorkerKind.SDK))] * 3
    if random.random() < 0.4:
        kinds = [WorkerKind.STOCK, WorkerKind.SDK]
    workers: list[WorkerPlan] = []
    for number in range(random.randint(1, 7 if is_big else 4)):
        kind = random.choice(kinds)
        starts_at = int(random.random() * active_time / 4)
        registration = draw_worker(random, kind, random.choice(agents), number)
        workers.append(WorkerPlan(kind, registration, draw_temper(random), starts_at))
    if random.random() < 0.25:
        registration = draw_worker(random, WorkerKind.HOSTILE, "a", 100)
        workers.append(WorkerPlan(WorkerKind.HOSTILE, registration, draw_temper(random), 0))
    count = random.randint(10, 40) if is_big else random.randint(1, 10)
    if random.random() < 0.3:  # all at once
        burst = random.random() * active_time / 2
        dispatches_at = tuple(int(burst + random.random() * SECOND / 20) for _ in range(count))
    else:
        dispatches_at = tuple(int(random.random() * active_time) for _ in range(count))
    return Scenario(
        policy=_draw_policy(random),
        active_time=active_time,
        agents=agents,
        workers=tuple(workers),
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
        commit_failures=_sometimes(random, 0.15, 0.2),
        batch_max=random.choice((3, 4096)),
        unnoticed=_sometimes(random, 0.5, 1.0),
        notice_max=20 * SECOND,
    )


def lanes_of(agents: tuple[str, ...]) -> tuple[Lane, ...]:
    """Every lane that a dispatch for these agents may need."""
    return tuple(
        Lane(PROJECT, agent, job_type=job_type)
        for agent in agents
        for job_type in (JobType.ROOM, JobType.PUBLISHER)
    )
