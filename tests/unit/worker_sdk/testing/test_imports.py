"""What `worker_sdk.testing` brings along: nothing of the dispatcher until that is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from worker_sdk import testing


def imported(program: str) -> set[str]:
    """The packages that are there after a program."""
    program += "\nimport sys\nprint(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "program",
    [
        "import worker_sdk",
        "from worker_sdk.testing import FakeRoom, WaitedInVain, run_job",
    ],
)
def test_neither_the_sdk_nor_a_fake_job_needs_the_dispatcher(program: str) -> None:
    assert not imported(program) & {"dispatcher", "livekit", "pytest", "uvicorn"}


def test_the_sdk_does_not_bring_its_testing() -> None:
    program = "import worker_sdk, sys\nassert 'worker_sdk.testing' not in sys.modules"
    assert "worker_sdk" in imported(program)


def test_the_dispatcher_comes_when_it_is_asked_for() -> None:
    names = imported("from worker_sdk.testing import InProcessDispatcher")
    assert "dispatcher" in names
    assert not names & {"livekit", "pytest"}


@pytest.mark.parametrize("name", testing.__all__)
def test_what_is_exported_is_there_and_documented(name: str) -> None:
    found = getattr(testing, name)
    assert (found.__doc__ or "").partition("\n")[0].rstrip().endswith((".", "..."))


def test_what_is_not_exported_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = testing.nothing
