"""What callers ask for: jobs of many kinds, in fixed shares, and the ends that each kind may have.

Pure. A run needs all of them: short ones are many on their way through each move; long ones outlive
their worker's absence, so that an old holder is stopped and its result comes too late; some fail,
are ended by a caller, or bring their worker down. A kind is told to the worker by the job's metadata.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from dispatcher.core.jobs import RestartPolicy

__all__ = ["BLOCK", "KILLER_ROOM", "MIX", "PLAIN_MIX", "JobKind", "Wish", "wishes"]


class JobKind(Enum):
    """What a job does. The value is what its metadata begins with, and what a person reads."""

    SHORT = "short"
    MIDDLING = "middling"
    LONG = "long"
    # for the worker that stays away for longer than its grace time, and then tells old results
    LATE = "late"
    # for two workers that stay away in turns, so that one has what the other comes back with
    AWAY = "away"
    # short, and not to be tried again
    ONCE = "once"
    FAILS_FIRST = "fails-first"  # succeeds when it is tried again
    FAILS_ALWAYS = "fails-always"  # until nobody tries it any more
    FAILS_ONCE = "fails-once"  # is not to be tried again
    TERMINATED = "terminated"  # an operator ends it
    DELETED = "deleted"  # its dispatch is deleted
    KILLER = "killer"  # kills the worker that runs it

    @property
    def restart_policy(self) -> RestartPolicy:
        """What its dispatch asks for."""
        is_once = self in (JobKind.ONCE, JobKind.FAILS_ONCE)
        return RestartPolicy.NEVER if is_once else RestartPolicy.ON_FAILURE

    @property
    def is_called_off(self) -> bool:
        """Does a caller end it?"""
        return self in (JobKind.TERMINATED, JobKind.DELETED)


# How many of each kind are among 200 dispatches in a row; the others are short.
BLOCK = 200
MIX: Mapping[JobKind, int] = {
    JobKind.MIDDLING: 6,
    JobKind.LONG: 6,
    JobKind.LATE: 12,
    JobKind.AWAY: 4,
    JobKind.ONCE: 2,
    JobKind.FAILS_FIRST: 3,
    JobKind.FAILS_ALWAYS: 1,
    JobKind.FAILS_ONCE: 3,
    JobKind.TERMINATED: 3,
    JobKind.DELETED: 3,
}
PLAIN_MIX: Mapping[JobKind, int] = {JobKind.MIDDLING: 12}

# Seconds that each kind runs, from and to. The long ones outlive a worker's grace time, and most cuts
# of its network; those that are called off would run for much longer than they are let.
SECONDS: Mapping[JobKind, tuple[float, float]] = {
    JobKind.SHORT: (0.02, 1.5),
    JobKind.MIDDLING: (4.0, 10.0),
    JobKind.LONG: (10.0, 30.0),
    JobKind.LATE: (0.8, 2.0),
    JobKind.AWAY: (5.0, 7.0),
    JobKind.ONCE: (0.02, 1.5),
    JobKind.FAILS_FIRST: (0.02, 1.0),
    JobKind.FAILS_ALWAYS: (0.02, 0.3),
    JobKind.FAILS_ONCE: (0.02, 1.0),
    JobKind.TERMINATED: (60.0, 60.0),
    JobKind.DELETED: (60.0, 60.0),
    JobKind.KILLER: (0.0, 0.0),
}
# A run that is short has no time for longer ones.
HASTY_SECONDS_MAX = 9.0
# The rooms of jobs that kill their worker begin so.
KILLER_ROOM = "killer-"
# How long after its acknowledgement a job is ended by its caller.
CALLED_OFF_SECONDS = (0.0, 3.0)


@dataclass(frozen=True, slots=True)
class Wish:
    """One job that a caller wants."""

    kind: JobKind
    seconds: float
    is_stock: bool = False
    # from the acknowledgement to the call that ends it; 0 for kinds that nobody ends
    called_off_after_seconds: float = 0.0

    @property
    def metadata(self) -> str:
        """What the worker is told."""
        return f"{self.kind.value} {self.seconds:.3f}"

    @staticmethod
    def told(metadata: str) -> tuple[JobKind, float]:
        """Return kind and seconds from what a worker is told."""
        kind, seconds = metadata.split()
        return JobKind(kind), float(seconds)


_FOR_STOCK = (JobKind.SHORT, JobKind.MIDDLING, JobKind.LONG)


def wishes(
    rng: random.Random, mix: Mapping[JobKind, int], *, stock_share: float, is_hasty: bool
) -> Iterator[Wish]:
    """Draw wishes without end; of all of them `stock_share` are for stock workers."""
    plain = sum(mix.get(kind, 0) for kind in _FOR_STOCK) + BLOCK - sum(mix.values())
    while True:
        block = [kind for kind, count in mix.items() for _ in range(count)]
        block += [JobKind.SHORT] * (BLOCK - len(block))
        rng.shuffle(block)
        for kind in block:
            is_stock = kind in _FOR_STOCK and rng.random() < stock_share * BLOCK / plain
            yield Wish(
                kind,
                min(rng.uniform(*SECONDS[kind]), HASTY_SECONDS_MAX if is_hasty else 60.0),
                is_stock,
                rng.uniform(*CALLED_OFF_SECONDS) if kind.is_called_off else 0.0,
            )
