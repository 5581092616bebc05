"""The harness of `python -m bench.workers` works: a little of it, with as few processes as will do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from bench.workers.figure import Figure
from bench.workers.figures.exits import exit_once
from bench.workers.figures.statuses import Fate, cut_statuses
from bench.workers.line import Cut
from bench.workers.report import Measured, read_report, write_report
from bench.workers.stage import Stage, eventually, staged
from bench.workers.subjects import Subject
from protocol import api_pb2

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """The server of the benchmark, for the tests of this module."""
    async with staged(tmp_path_factory.mktemp("bench") / "stage") as stage:
        yield stage


def is_alive(process: psutil.Process) -> bool:
    """Is it neither gone nor waiting to be reaped?"""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("subject", [Subject.PROCESSES, Subject.STOCK], ids=lambda s: s.name)
async def test_a_worker_of_either_sdk_runs_a_job_that_waited_for_it_and_is_measured(
    stage: Stage, subject: Subject
) -> None:
    agent = stage.agent(subject)
    dispatch_id = await agent.dispatch()
    settings = subject.environment(agent.name, load=0.0, idle=1)
    with agent.worker(settings=settings) as worker:
        job = await agent.ended(dispatch_id)
        assert (job.phase, job.attempt) == (api_pb2.SUCCEEDED, 1)
        (started,) = worker.started()
        assert started.job_id == job.job.id
        assert started.at_seconds > worker.began_at
        memory = worker.tree.memory()
        assert memory.processes > 1
        assert memory.uss_bytes < memory.pss_bytes < memory.rss_bytes
        assert worker.tree.cpu_seconds() > 0
        processes = worker.tree.processes()

    async def are_gone() -> bool:
        return not any(map(is_alive, processes))

    await eventually("all that was started is gone", are_gone, seconds=60)


async def test_a_line_fails_over_a_final_status_in_each_manner(stage: Stage) -> None:
    found = await cut_statuses(stage, stage.agent(Subject.TASKS), 1)
    assert found == {cut: {Fate.ARRIVED: 1} for cut in Cut}


async def test_a_worker_is_told_to_end_and_its_jobs_are_counted(stage: Stage) -> None:
    told = await exit_once(stage, stage.agent(Subject.TASKS), 2)
    assert told.is_clean
    assert told.succeeded == 2


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    figure = Figure(
        title="seconds of something",
        how="so",
        cells={Subject.TASKS: "1.0", Subject.STOCK: "2.0"},
        verdict="less",
        samples={"TASKS": [1.0]},
        details=["| a |", "|---|"],
        bars={Subject.TASKS: 1.0, Subject.STOCK: 2.0},
        bars_unit="s",
    )
    measured = {"something": Measured(figure, {"commit": "abc"})}
    page = write_report(measured, tmp_path)
    assert "| seconds of something | 1.0 |  |  | 2.0 |" in page
    assert "commit abc" in page
    assert read_report(tmp_path) == measured
