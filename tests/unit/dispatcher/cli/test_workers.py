"""The list of workers, as its help tells it."""

from __future__ import annotations

from dispatcher.cli import jobs, workers
from protocol import api_pb2


def test_the_help_names_each_phase_that_can_be_asked_for() -> None:
    for told, phases in ((workers.PHASES, api_pb2.WorkerPhase), (jobs.PHASES, api_pb2.JobPhase)):
        assert told.split(", ") == [name.lower() for name, number in phases.items() if number]
