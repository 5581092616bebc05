"""The lines that say how a process ended."""

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
