"""The lines that say how a process ended."""

from pathlib import Path

import pytest

from worker_sdk.executors import endings


@pytest.mark.parametrize(
    ("return_code", "line"),
    [
        (3, "the process exited with code 3"),
        (0, "the process exited with code 0"),
        (-11, "the process was killed by SIGSEGV"),
        (-40, "the process was killed by signal 40"),
    ],
)
def test_an_end_is_told_by_code_or_by_signal(return_code: int, line: str) -> None:
    assert endings.exited(return_code) == line


def test_a_sigkill_of_others_is_not_taken_for_ours() -> None:
    assert "not by this worker" in endings.exited(-9)


def test_a_job_without_a_process_is_told_why() -> None:
    assert endings.no_process(2.0, "the prewarm function raised: E").endswith(
        "within 2 s; the last one failed: the prewarm function raised: E"
    )
    assert endings.no_process(2.0, None).endswith("within 2 s; all are still starting")


@pytest.mark.parametrize(
    "line",
    [
        endings.exited(3),
        endings.exited(-11),
        endings.over_memory(2_200_000_000, 2 * 1024**3),
        endings.over_time(600.0),
        endings.hung(60.0),
        endings.did_not_stop(15.0),
        endings.no_process(120.0, "..."),
    ],
)
def test_the_page_for_people_tells_the_same(line: str) -> None:
    page = Path(__file__).parents[4] / "docs" / "job-processes.md"
    assert f"`{line}`" in page.read_text()
