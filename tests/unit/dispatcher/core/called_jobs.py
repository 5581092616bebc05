"""Words for the jobs that rules make, for tests that drive an engine."""

from __future__ import annotations

from protocol import wire_pb2
from tests.support.engine_bench import EngineBench
from tests.support.room_words import ALL_TYPES


def config_of(bench: EngineBench, job: str) -> wire_pb2.Job:
    """Return the job as a worker reads it."""
    stored = bench.stored(job)
    assert stored is not None
    return wire_pb2.Job.FromString(stored.job.config)


def called(bench: EngineBench, rule: str = "rule") -> list[str]:
    """Return the identities, or the rooms, that the rule's live jobs are for."""
    found: list[str] = []
    for job in bench.live_jobs_of(rule):
        config = config_of(bench, job)
        found.append(config.participant.identity or config.room.name)
    return found


def come_back(bench: EngineBench, worker: str) -> None:
    """A worker is here after a restart, with all that is held."""
    bench.connect(worker, types=ALL_TYPES)
    bench.claim(worker, *bench.engine.jobs)
    bench.report(worker)
