"""The list of workers, as its help tells it."""

from __future__ import annotations

from dispatcher.cli import jobs, workers
from protocol import api_pb2


def test_the_help_names_each_phase_that_can_be_asked_for() -> None:
    for told, phases in ((workers.PHASES, api_pb2.WorkerPhase), (jobs.PHASES, api_pb2.JobPhase)):
        assert told.split(", ") == [name.lower() for name, number in phases.items() if number]


def test_what_the_jobs_of_a_drained_worker_wait_for_is_told() -> None:
    worker = api_pb2.WorkerRecord(jobs_held=2)
    assert workers.note(worker) == "-"
    worker.hand_over_at = 100 * 10**9
    assert workers.note(worker, 90 * 10**9) == "its jobs go to others in 10 s"
    told = "its jobs were to go to others 20 s ago: no other worker has room"
    assert workers.note(worker, 120 * 10**9) == told
    worker.jobs_held = 0
    assert workers.note(worker, 120 * 10**9) == "-"
