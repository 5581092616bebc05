"""The small run, for every day; the large one is `python -m tests.worker_pool --jobs 1000`."""

from __future__ import annotations

import pytest
import structlog

from tests.worker_pool.run import Plan, run

pytestmark = pytest.mark.anyio


async def test_jobs_that_come_to_bad_ends_are_told_of_and_leave_the_pool_whole() -> None:
    plan = Plan(jobs=40, at_once=4, warm=2)
    with structlog.testing.capture_logs():
        report = await run(plan)
    assert report.wrong == []
    assert report.left_behind == []
    assert report.is_good(plan), report
    assert report.right == {
        "success": 26,
        "killed by itself": 2,
        "killed from outside": 2,
        "hung": 2,
        "hung in C": 2,
        "over memory": 2,
        "raised": 2,
        "exited": 2,
    }
