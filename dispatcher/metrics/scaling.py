"""How many workers an agent needs: pure functions, of jobs and of what a worker can take.

The need follows from jobs alone, never from how many workers there are, so that it does not swing when
its own advice is followed: each job that waits, is on offer, runs, or is held for a worker that may
come back is counted once, also on workers that drain (they leave when those have ended, and a job that
stops being counted while it runs would call for one worker less, then one less again).
"""

from __future__ import annotations

from dataclasses import dataclass

from dispatcher.core.lifecycle import WorkerPhase
from dispatcher.core.policy import Policy
from dispatcher.core.workers import Worker

# Workers that take jobs, or will in a moment: what the present kind of an agent's workers is.
ACCEPTING = frozenset(
    {
        WorkerPhase.SETTLING,
        WorkerPhase.AVAILABLE,
        WorkerPhase.FULL,
        WorkerPhase.BACKED_OFF,
    }
)


@dataclass(frozen=True, slots=True)
class WorkerKind:
    """What an agent's workers can take: so many jobs on so many of them, both at least 1."""

    slots: int
    workers: int

    @property
    def slots_each(self) -> float:
        """Jobs of one worker."""
        return self.slots / self.workers


def uncapped_slots(policy: Policy) -> int:
    """Return the jobs that a worker takes which declares no capacity: a fixed number.

    Those that bring it to the target load. Not what its load has been measured to be: that changes
    from minute to minute, and the need would change with it.
    """
    if policy.load_per_job <= 0:
        return 1
    # a millionth, because 0.7 / 0.1 is not quite 7
    return max(1, int(policy.target_load / policy.load_per_job + 1e-6))


def slots_of(worker: Worker, policy: Policy) -> int:
    """Return how many jobs a worker has room for when it has none."""
    return worker.capacity if worker.capacity is not None else uncapped_slots(policy)


def free_slots_of(worker: Worker, policy: Policy) -> int:
    """Return how many more jobs a worker could take; 0 for one that says it is full."""
    if worker.phase not in ACCEPTING or worker.phase is WorkerPhase.FULL:
        return 0
    return max(0, slots_of(worker, policy) - worker.jobs_count - len(worker.offers))


def kind_expected(policy: Policy, agent_name: str) -> WorkerKind:
    """Return the kind of workers of an agent of which none has been seen yet."""
    capacity = policy.agent(agent_name).capacity
    return WorkerKind(capacity if capacity is not None else uncapped_slots(policy), 1)


def desired_workers(jobs: int, kind: WorkerKind) -> int:
    """Return how many workers of this kind hold so many jobs: none for none, else rounded up."""
    return -(-jobs * kind.workers // kind.slots)
