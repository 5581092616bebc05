"""The phases that lists are filtered by, as their help and completion have them."""

from __future__ import annotations

from dispatcher.cli import jobs, workers
from protocol import api_pb2


def test_each_phase_that_there_is_can_be_asked_for() -> None:
    for told, phases in ((workers.PHASES, api_pb2.WorkerPhase), (jobs.PHASES, api_pb2.JobPhase)):
        assert list(told) == [name.lower() for name, number in phases.items() if number]
