"""The health port: what it answers to probes, to Prometheus, and to nonsense."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest
import structlog

from protocol.errors import ConfigError
from tests.support.http_probe import DEADLINE_SECONDS, ask, get
from worker_sdk.counts import WorkerCounts
from worker_sdk.execution import OutcomeKind
from worker_sdk.executors.executor import PoolCounts
from worker_sdk.health import HealthServer, WorkerState, metrics_text

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """On both event loops that anyio knows."""
    return str(request.param)


READY = WorkerState(
    agent_name="greeter",
    is_registered=True,
    is_draining=False,
    jobs_running=3,
    jobs_reserved=1,
    capacity=10,
    results_unconfirmed=2,
    load=0.375,
    counts=WorkerCounts(
        jobs_started=7,
        jobs_ended=Counter({OutcomeKind.SUCCESS: 3, OutcomeKind.FAILED: 1}),
        jobs_handed_over=2,
        reconnects=5,
    ),
)


@asynccontextmanager
async def listening(state: WorkerState, **options: float) -> AsyncIterator[int]:
    """The port of a worker in this state."""
    with structlog.testing.capture_logs():
        async with anyio.create_task_group() as tasks:
            server = HealthServer("127.0.0.1", 0, lambda: state, structlog.get_logger(), **options)
            yield await tasks.start(server.serve)
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("state", "status", "words"),
    [
        (READY, 200, "ok"),
        (replace(READY, jobs_running=10), 200, "ok"),  # full, and well
        (replace(READY, is_registered=False), 503, "not registered"),
        (replace(READY, is_draining=True), 503, "draining"),
    ],
)
async def test_a_worker_is_ready_while_it_is_registered_and_does_not_drain(
    state: WorkerState, status: int, words: str
) -> None:
    async with listening(state) as port:
        told, _, body = await get(port, "/readyz")
        assert (told, words in body) == (status, True)


async def test_a_worker_whose_loop_turns_is_alive_also_when_it_drains() -> None:
    async with listening(replace(READY, is_draining=True)) as port:
        assert (await get(port, "/healthz"))[0] == 200


async def test_metrics_are_told_in_prometheus_text_format() -> None:
    async with listening(READY) as port:
        status, head, body = await get(port, "/metrics?x=1")
    assert status == 200
    assert "Content-Type: text/plain; version=0.0.4" in head
    assert 'callboard_worker_jobs_running{agent_name="greeter"} 3\n' in body
    assert 'callboard_worker_jobs_ended_total{agent_name="greeter",outcome="failed"} 1\n' in body
    assert 'callboard_worker_load_ratio{agent_name="greeter"} 0.375\n' in body


def test_each_metric_has_its_help_and_type_once_and_a_name_by_convention() -> None:
    text = metrics_text(replace(READY, pool=PoolCounts(idle=4, busy=2, replaced_total=9)))
    lines = text.splitlines()
    types = dict(line.split(" ")[2:4] for line in lines if line.startswith("# TYPE "))
    helps = [line.split(" ")[2] for line in lines if line.startswith("# HELP ")]
    samples = {line.split("{")[0] for line in lines if not line.startswith("#")}
    assert sorted(types) == sorted(set(helps)) == sorted(samples)
    assert len(helps) == len(types)
    for name, kind in types.items():
        assert name.startswith("callboard_worker_")
        assert name.endswith("_total") is (kind == "counter")


def test_the_pool_is_told_where_there_is_one() -> None:
    pool = PoolCounts(starting=1, idle=4, busy=2, replaced_total=9)
    text = metrics_text(replace(READY, pool=pool))
    assert 'callboard_worker_pool_processes{agent_name="greeter",state="idle"} 4\n' in text
    assert 'callboard_worker_pool_replacements_total{agent_name="greeter"} 9\n' in text
    assert "pool" not in metrics_text(READY)


def test_a_name_with_quotes_does_not_break_a_line() -> None:
    text = metrics_text(replace(READY, agent_name='a"b\\c\nd'))
    assert 'agent_name="a\\"b\\\\c\\nd"' in text


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /secret HTTP/1.1\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\n\r\n", 405),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 3000 + b"\r\n", 400),
    ],
)
async def test_what_is_no_probe_is_answered_with_an_error(
    request_bytes: bytes, status: int
) -> None:
    async with listening(READY) as port:
        assert (await ask(port, request_bytes))[0] == status
        assert (await get(port, "/healthz"))[0] == 200


async def test_who_says_nothing_is_hung_up_on() -> None:
    async with listening(READY, request_seconds_max=0.05) as port:
        with anyio.fail_after(DEADLINE_SECONDS):
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await stream.receive()


async def test_a_port_that_is_taken_is_one_clear_error() -> None:
    async with listening(READY) as port:
        server = HealthServer("127.0.0.1", port, lambda: READY, structlog.get_logger())
        with pytest.raises(ConfigError, match=f"health_port: cannot listen on 127.0.0.1:{port}: "):
            await server.serve()
