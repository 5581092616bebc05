"""Signals are counted, whatever the event loop does; a process that hangs is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import anyio
import pytest

from worker_sdk.signals import SignalCount

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """On both event loops that anyio knows."""
    return str(request.param)


DEADLINE_SECONDS = 60.0


async def test_each_signal_is_counted_and_wakes_who_waits() -> None:
    signals = SignalCount()
    with anyio.fail_after(DEADLINE_SECONDS), signals.counting():
        os.kill(os.getpid(), signal.SIGTERM)
        assert await signals.next(0) == 1


async def test_two_signals_at_once_count_as_two() -> None:
    signals = SignalCount()
    with anyio.fail_after(DEADLINE_SECONDS), signals.counting():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        told = await signals.next(0)
        if told < 2:
            told = await signals.next(told)
        assert told == 2


async def test_the_handlers_that_were_there_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with SignalCount().counting():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


# A program whose event loop is blocked: by Python that runs, or by a call that does not return.
PROGRAM = """
import sys, time
from worker_sdk.signals import SignalCount

with SignalCount(hang_seconds_max={hang_seconds_max}).counting():
    print("ready", flush=True)
    while True:
        {block}
"""


def blocked(block: str, hang_seconds_max: float) -> subprocess.Popen[bytes]:
    """A process of such a program, which counts its signals."""
    program = PROGRAM.format(block=block, hang_seconds_max=hang_seconds_max)
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def test_a_process_that_hangs_after_two_signals_is_ended_and_says_where_it_hangs() -> None:
    process = blocked("time.sleep(60)", hang_seconds_max=0.5)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 1
    assert b"Timeout" in said
    assert b"in <module>" in said


def test_a_third_signal_ends_a_blocked_process_at_once_with_code_1() -> None:
    process = blocked("pass", hang_seconds_max=600)
    # One that comes before the one before it was handled is not counted.
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        break
    _, said = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 1
    assert said == b"worker: killed by a third signal\n"
