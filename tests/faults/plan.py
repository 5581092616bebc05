"""What goes wrong, when, to whom and for how long: drawn from a seed alone, before anything runs.

Pure. A plan has each kind of fault at least once; the rest is drawn by weight. One victim has one
fault at a time: a fault whose victims are all busy waits for the first that is free.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from tests.faults.jobs import BLOCK, MIX, PLAIN_MIX, JobKind
from tests.faults.promises import Chance

__all__ = [
    "CALLERS",
    "DISK",
    "NATURES",
    "NETWORK",
    "SERVER",
    "Fault",
    "FaultKind",
    "Nature",
    "Plan",
    "Target",
    "draw",
    "draw_kills",
    "worker_names",
]

SERVER, DISK, NETWORK, CALLERS = "server", "disk", "network", "callers"


class FaultKind(Enum):
    """The kinds of fault. The value is what a person reads."""

    SERVER_KILLED = "server killed (SIGKILL)"
    SERVER_STOPPED = "server stopped for a moment (SIGSTOP)"
    SERVER_HUNG = "server stopped for longer than its workers wait"
    SERVER_RESTARTED = "server drained and restarted (SIGTERM)"
    SERVER_KILLED_FULL = "server killed while its disk is full"
    DISK_FULL = "disk full"
    WORKER_KILLED = "worker killed (SIGKILL)"
    WORKER_STOPPED = "worker stopped for a moment (SIGSTOP)"
    WORKER_HUNG = "worker stopped for longer than the server waits"
    WORKER_RESTARTED = "worker drained and restarted (SIGTERM)"
    SOCKET_CUT = "sockets cut in the middle of a frame"
    SOCKET_HALF_OPEN = "sockets half open (one direction swallowed)"
    SOCKET_DELAYED = "sockets delayed"
    LINE_DOWN = "network of one peer down"
    STORM = "all sockets cut at once"


class Target(Enum):
    """Whom a kind of fault strikes."""

    SERVER = "server"
    DISK = "disk"
    WORKER = "worker"  # one worker process
    LINE = "line"  # the network of one worker, or of all callers
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class Nature:
    """What a kind of fault is like. Its victim is left alone for `rest_seconds` afterwards."""

    target: Target
    seconds_min: float
    seconds_max: float
    weight: int
    rest_seconds: float


# The long stops are longer than the pings of a release allow (a worker's: 5 + 5 s, the server's:
# 10 + 10 s) and straddle the grace time after them.
NATURES: Mapping[FaultKind, Nature] = {
    FaultKind.SERVER_KILLED: Nature(Target.SERVER, 0.0, 0.5, 6, 6.0),
    FaultKind.SERVER_STOPPED: Nature(Target.SERVER, 0.2, 4.0, 4, 4.0),
    FaultKind.SERVER_HUNG: Nature(Target.SERVER, 10.5, 14.0, 1, 10.0),
    FaultKind.SERVER_RESTARTED: Nature(Target.SERVER, 0.0, 0.5, 3, 8.0),
    FaultKind.SERVER_KILLED_FULL: Nature(Target.SERVER, 0.3, 1.5, 2, 6.0),
    FaultKind.DISK_FULL: Nature(Target.DISK, 0.5, 6.0, 4, 4.0),
    FaultKind.WORKER_KILLED: Nature(Target.WORKER, 0.0, 1.0, 10, 3.0),
    FaultKind.WORKER_STOPPED: Nature(Target.WORKER, 0.2, 5.0, 8, 1.0),
    FaultKind.WORKER_HUNG: Nature(Target.WORKER, 18.0, 34.0, 4, 2.0),
    FaultKind.WORKER_RESTARTED: Nature(Target.WORKER, 0.0, 0.5, 5, 4.0),
    FaultKind.SOCKET_CUT: Nature(Target.LINE, 0.0, 0.0, 16, 0.5),
    FaultKind.SOCKET_HALF_OPEN: Nature(Target.LINE, 2.0, 25.0, 8, 0.5),
    FaultKind.SOCKET_DELAYED: Nature(Target.LINE, 1.0, 8.0, 8, 0.5),
    FaultKind.LINE_DOWN: Nature(Target.LINE, 0.2, 8.0, 8, 1.0),
    FaultKind.STORM: Nature(Target.NETWORK, 0.0, 0.0, 4, 2.0),
}

# The invariants that every run feeds, and those that it takes the whole mix of jobs to feed.
_CHECKERS = frozenset(
    [
        "acknowledged",
        "kept",
        "lifecycle",
        "endings",
        "epochs",
        "holders",
        "results",
        "durable",
        "config",
        "attempts",
        "deadlines",
        "sequence",
    ]
)
_CHECKERS_OF_MIX = frozenset({"stops", "restarts"})
# What it takes a kind of job to feed.
_CHANCES_OF_KIND: Mapping[JobKind, Chance] = {
    JobKind.FAILS_FIRST: Chance.RETRIED,
    JobKind.FAILS_ONCE: Chance.NOT_RETRIED,
    JobKind.FAILS_ALWAYS: Chance.EXHAUSTED,
    JobKind.TERMINATED: Chance.TERMINATED,
    JobKind.DELETED: Chance.DELETED,
}
# A worker that stays away has been away by then, and has had a job meanwhile.
_LATE_SECONDS = 15.0

# A short run has no time for that much peace between the faults of one victim.
HASTY_REST = 0.4
# A server that pings its workers every second finds a hung one sooner, and one that pauses for less
# has tried what fails always as often as it may sooner, in runs that are short.
HASTY_SETTINGS: Mapping[str, object] = {
    "limits": {"ping_interval_seconds": 1, "ping_timeout_seconds": 1},
    "policy": {"retry_backoff_seconds_max": 2},
}
_HASTY = {
    FaultKind.WORKER_HUNG: Nature(Target.WORKER, 4.0, 9.0, 4, 1.0),
    FaultKind.SOCKET_HALF_OPEN: Nature(Target.LINE, 1.0, 6.0, 8, 0.5),
}
# A job that kills its workers takes about five of them, and half a minute; a run that is shorter
# than this has none.
KILLER_INTERVAL_SECONDS = 45.0
# The first fault strikes a fleet that runs.
FIRST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: seconds from the start of the load."""

    at_seconds: float
    kind: FaultKind
    victim: str
    seconds: float
    # What else there is to decide, as the kind sees fit: 0 to 1.
    whim: float

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.at_seconds:6.1f} s  {self.victim}: {self.kind.value}{lasting}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The load and the faults of one run."""

    seed: int
    seconds: float
    rate_per_second: float
    workers: int
    stock_workers: int
    is_hasty: bool
    faults: tuple[Fault, ...]
    # How many jobs of each kind there are among `jobs.BLOCK`.
    mix: Mapping[JobKind, int]
    # When a caller asks for a job that kills its workers: seconds from the start of the load.
    killers: tuple[float, ...] = ()
    # Are there workers that stay away and tell old results (which no fault strikes but those of the
    # network)?
    has_late_workers: bool = False

    @property
    def load_seconds(self) -> float:
        """How long callers call: until the last fault is over."""
        ends = [fault.at_seconds + fault.seconds + 1.0 for fault in self.faults]
        return max([self.seconds, *ends])

    @property
    def settings(self) -> Mapping[str, object]:
        """The server's settings: those of a release, unless the run is short."""
        return HASTY_SETTINGS if self.is_hasty else {}

    @property
    def fed_checkers(self) -> frozenset[str]:
        """The names of the invariants that this run is meant to put to the test."""
        return _CHECKERS | _CHECKERS_OF_MIX if self._has_whole_mix else _CHECKERS

    @property
    def fed_chances(self) -> frozenset[Chance]:
        """What this run is meant to bring up at least once."""
        chances = {Chance.EPOCHS, Chance.COUNTED_RESULTS}
        if self._has_whole_mix:
            chances |= {_CHANCES_OF_KIND[kind] for kind in self.mix if kind in _CHANCES_OF_KIND}
        if self.has_late_workers and self.seconds >= _LATE_SECONDS:
            chances |= {Chance.STALE_RESULTS, Chance.COME_BACK}
        if self.killers:
            chances |= {Chance.KILLERS, Chance.OLD_CLAIMS}
        return frozenset(chances)

    @property
    def _has_whole_mix(self) -> bool:
        return set(self.mix) == set(MIX) and self.seconds * self.rate_per_second >= BLOCK


def worker_names(workers: int, stock_workers: int, *, has_late: bool = False) -> list[str]:
    """The names of worker slots, by which plans and processes mean the same."""
    return [
        *(f"worker-{number}" for number in range(1, workers + 1)),
        *(f"stock-{number}" for number in range(1, stock_workers + 1)),
        *(("late-1", "away-1", "away-2") if has_late else ()),
    ]


def draw(
    seed: int,
    *,
    seconds: float,
    rate_per_second: float,
    interval_seconds: float,
    workers: int,
    stock_workers: int,
    is_hasty: bool = False,
    kinds: Sequence[FaultKind] = tuple(FaultKind),
) -> Plan:
    """Draw a plan: about one fault every `interval_seconds`, and one of each of `kinds` at least."""
    rng = random.Random(seed)
    natures = {kind: NATURES[kind] for kind in kinds}
    if is_hasty:
        natures.update({kind: _HASTY[kind] for kind in kinds if kind in _HASTY})
        natures = {
            kind: replace(nature, rest_seconds=nature.rest_seconds * HASTY_REST)
            for kind, nature in natures.items()
        }
    count = max(len(natures), round(seconds / interval_seconds))
    drawn = list(natures)
    weights = [natures[kind].weight for kind in natures]
    drawn += rng.choices(list(natures), weights, k=count - len(natures))
    rng.shuffle(drawn)
    # The latest begin early enough to be under load while they last, mostly.
    moments = sorted(rng.uniform(FIRST_SECONDS, max(FIRST_SECONDS, seconds - 2)) for _ in drawn)
    names = worker_names(workers, stock_workers)
    victims = {
        Target.SERVER: [SERVER],
        Target.DISK: [DISK],
        Target.WORKER: names,
        Target.LINE: [*names, CALLERS],
        Target.NETWORK: [NETWORK],
    }
    faults = _place(rng, moments, drawn, natures, victims)
    killers: tuple[float, ...] = ()
    if seconds >= KILLER_INTERVAL_SECONDS:
        count = round(seconds / KILLER_INTERVAL_SECONDS)
        # Early enough to have met all its workers when the run ends. (Some of them are excused: the
        # job that started last is taken for the one to blame, and that may be another.)
        until = max(seconds / 2, seconds - 120.0)
        killers = tuple(sorted(rng.uniform(2.0, until) for _ in range(count)))
    return Plan(
        seed,
        seconds,
        rate_per_second,
        workers,
        stock_workers,
        is_hasty,
        faults,
        MIX,
        killers,
        has_late_workers=True,
    )


def draw_kills(
    seed: int, *, seconds: float, rate_per_second: float, servers: int, workers: int, fleet: int
) -> Plan:
    """Draw a plan of SIGKILLs alone: so many of the server, so many of a fleet's workers."""
    rng = random.Random(seed)
    drawn = [FaultKind.SERVER_KILLED] * servers + [FaultKind.WORKER_KILLED] * workers
    rng.shuffle(drawn)
    moments = sorted(rng.uniform(0.5, max(0.5, seconds)) for _ in drawn)
    natures = {
        FaultKind.SERVER_KILLED: Nature(Target.SERVER, 0.0, 0.0, 1, 0.0),
        FaultKind.WORKER_KILLED: Nature(Target.WORKER, 0.0, 0.0, 1, 0.0),
    }
    victims = {Target.SERVER: [SERVER], Target.WORKER: worker_names(fleet, 0)}
    faults = _place(rng, moments, drawn, natures, victims)
    return Plan(seed, seconds, rate_per_second, fleet, 0, False, faults, PLAIN_MIX)


def _place(
    rng: random.Random,
    moments: Sequence[float],
    drawn: Sequence[FaultKind],
    natures: Mapping[FaultKind, Nature],
    victims: Mapping[Target, Sequence[str]],
) -> tuple[Fault, ...]:
    """Give each moment a fault and a victim that is free, or the one that is free first."""
    free_at: dict[tuple[bool, str], float] = {}
    faults: list[Fault] = []
    for moment, kind in zip(moments, drawn, strict=True):
        nature = natures[kind]
        # A worker and its network may fail at the same time.
        is_line = nature.target is Target.LINE
        candidates = list(victims[nature.target])
        rng.shuffle(candidates)
        victim = min(candidates, key=lambda name: max(moment, free_at.get((is_line, name), 0.0)))
        at_seconds = max(moment, free_at.get((is_line, victim), 0.0))
        lasting = rng.uniform(nature.seconds_min, nature.seconds_max)
        faults.append(Fault(at_seconds, kind, victim, lasting, rng.random()))
        free_at[is_line, victim] = at_seconds + lasting + nature.rest_seconds
    return tuple(sorted(faults, key=lambda fault: fault.at_seconds))
