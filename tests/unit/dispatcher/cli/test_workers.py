"""The phases that lists are filtered by, as their help and completion have them; what a drain does."""

from __future__ import annotations

from dispatcher.cli import jobs, workers
from protocol import api_pb2


def test_each_phase_that_there_is_can_be_asked_for() -> None:
    for told, phases in ((workers.PHASES, api_pb2.WorkerPhase), (jobs.PHASES, api_pb2.JobPhase)):
        assert list(told) == [name.lower() for name, number in phases.items() if number]


def test_who_drains_a_worker_is_told_what_becomes_of_its_jobs() -> None:
    record = api_pb2.WorkerRecord(id="AW_1")
    assert workers.drain_told(record, 60) == "AW_1 gets no more jobs; it has none"
    record.jobs_held = 2
    assert workers.drain_told(record, 60).endswith("it has 2 jobs, to go to others after 60 s")
    # also where a hand-over was asked for before: this takes it back
    assert workers.drain_told(record, 0).endswith("it has 2 jobs, to stay there until the end")
