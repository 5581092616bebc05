"""The live screen and the lines in its place, of a run that is put together by hand."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from tests.unit.worker_sdk.loadtest.measured_runs import good_book, measured_run
from worker_sdk.credentials import Credentials
from worker_sdk.loadtest.profile import Profile
from worker_sdk.loadtest.run import LoadTest, Phase
from worker_sdk.loadtest.screen import WIDTH, line, picture
from worker_sdk.loadtest.tally import Happening
from worker_sdk.loadtest.target import ServerFound


@pytest.fixture
def test() -> LoadTest:
    """Ten seconds into its measuring, at whose end it is."""
    run = LoadTest(Profile(duration_seconds=30), Credentials("ws://127.0.0.1:1", "key", "secret"))
    run.measured, run.book = measured_run(errors=2), good_book()
    run.calling.begin_ns = time.monotonic_ns() - 10_000_000_000
    run.calling.seconds = 10.0
    run.phase = Phase.MEASURING
    run.server = ServerFound(is_stock=False, version="0.1.0")
    return run


def shown(test: LoadTest) -> str:
    console = Console(width=WIDTH, file=io.StringIO(), force_terminal=False)
    with console.capture() as captured:
        console.print(picture(test))
    return captured.get()


@pytest.mark.parametrize("phase", Phase)
def test_the_screen_fits_80_columns_and_24_lines(test: LoadTest, phase: Phase) -> None:
    test.phase = phase
    lines = shown(test).splitlines()
    assert lines[0].endswith(f" {phase.value}")
    assert len(lines) <= 24
    assert max(map(len, lines)) <= WIDTH


def test_the_screen_has_rates_latencies_jobs_and_the_server(test: LoadTest) -> None:
    screen = " ".join(shown(test).split())
    assert "Callboard 0.1.0" in screen
    assert "wanted 20/s acknowledged 20/s assigned 20/s ended 20/s" in screen
    assert "p99 10 p99.9 10 max 10 ms" in screen
    assert "0 wait 0 run 220 ended 0 again 0 doubled 2 errors" in screen
    assert "0.50 cores 80 MiB" in screen


def test_jobs_whose_worker_has_gone_are_said(test: LoadTest) -> None:
    assert "connected 0 jobs have lost theirs" in " ".join(shown(test).split())
    assert "orphans" not in line(test)
    test.book.take(Happening.ACKNOWLEDGED, [900, 901])
    test.book.take(Happening.ASSIGNED, [900, 1, 7])
    assert "connected 1 jobs have lost theirs" in " ".join(shown(test).split())
    assert "waiting 1  workers 0  orphans 1" in line(test)


def test_before_anything_is_measured_there_is_a_screen(test: LoadTest) -> None:
    fresh = LoadTest(test.profile, test.credentials)
    assert "looking at the server" in shown(fresh)
    assert line(fresh) == "   0.0 s  looking at the server, 0 workers"


def test_a_latency_of_many_seconds_is_written_out(test: LoadTest) -> None:
    test.measured = measured_run(slower_ms=12_000)
    assert "p99 12,009 ms" in line(test)


@pytest.mark.parametrize("cpu", [0.1, 0.99])
def test_a_harness_that_is_the_bottleneck_is_said(test: LoadTest, cpu: float) -> None:
    test.measured = measured_run(harness_cpu=cpu)
    assert ("the harness itself is the bottleneck" in shown(test)) is (cpu > 0.9)
    assert ("THE HARNESS IS THE BOTTLENECK" in line(test)) is (cpu > 0.9)


def test_when_it_is_over_the_line_is_of_its_last_seconds(test: LoadTest) -> None:
    test.phase = Phase.OVER
    assert "over  wanted 20/s  acknowledged 20/s" in line(test)
    assert "p99 10 ms" in line(test)


def test_a_line_says_rate_latency_queue_workers_errors_and_the_server(test: LoadTest) -> None:
    told = line(test)
    assert "wanted 20/s  acknowledged 20/s" in told
    assert "p99 9 ms" in told  # of the seconds of which all is reported
    assert "waiting 0" in told
    assert "errors 2" in told
    assert "server 0.50 cores 80 MiB" in told
