"""What a request handler may say, and what becomes of one that says nothing that can be sent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
import structlog

from protocol import wire_pb2
from protocol.errors import ConfigError
from worker_sdk.job import Job
from worker_sdk.job_request import Decision, JobRequest, RequestHandler, ask

pytestmark = pytest.mark.anyio


def some_request() -> JobRequest:
    """An offer of some job."""
    job = Job.from_message(wire_pb2.Job(id="AJ_1"))
    return JobRequest(job, resuming=False, attempt=1, attempt_reason="")


async def asked(handler: RequestHandler) -> tuple[JobRequest, str]:
    """What a handler decided, and what was wrong with it."""
    request = some_request()
    with structlog.testing.capture_logs() as logs:
        wrong = await ask(handler, request, structlog.get_logger())
    assert [log["cause"] for log in logs] == ([wrong] if wrong else [])
    return request, wrong


@pytest.mark.parametrize(
    ("participation", "told"),
    [
        ({"identity": 7}, "accept: identity must be text, not 7"),
        ({"name": None}, "accept: name must be text, not None"),
        ({"attributes": {"seats": 2}}, r"accept: attributes\['seats'\] must be text, not 2"),
        ({"metadata": "\udcff"}, "accept: metadata cannot be sent"),
        ({"identity": "x" * 300}, "accept: identity has 300 bytes, the limit is 256"),
        ({"attributes": {"long": "x" * 100_000}}, "accept: attributes has 100004 bytes"),
    ],
)
async def test_an_acceptance_that_no_server_would_take_is_refused_where_it_is_said(
    participation: Mapping[str, Any], told: str
) -> None:
    request = some_request()
    with pytest.raises(ConfigError, match=told):
        request.accept(**participation)
    assert request.decision is None


async def test_a_handler_may_be_synchronous() -> None:
    def handler(request: JobRequest) -> None:
        request.terminate()

    request, wrong = await asked(handler)
    assert (request.decision, wrong) == (Decision.TERMINATE, "")


async def test_a_handler_that_exits_declines() -> None:
    async def handler(_: JobRequest) -> None:
        raise SystemExit(2)

    request, wrong = await asked(handler)
    assert (request.decision, wrong) == (Decision.DECLINE, "raised SystemExit: 2")


async def test_a_handler_that_panics_declines() -> None:
    class Panic(BaseException):
        pass

    async def handler(_: JobRequest) -> None:
        raise Panic("index out of range")

    request, wrong = await asked(handler)
    assert (request.decision, wrong) == (Decision.DECLINE, "raised Panic: index out of range")


async def test_a_handler_that_raises_after_it_accepted_declines() -> None:
    async def handler(request: JobRequest) -> None:
        request.accept()
        raise LookupError("no voice")

    request, wrong = await asked(handler)
    assert (request.decision, wrong) == (Decision.DECLINE, "raised LookupError: no voice")


async def test_a_handler_that_awaits_what_was_cancelled_declines() -> None:
    async def handler(_: JobRequest) -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        task.cancel()
        await task

    request, wrong = await asked(handler)
    assert request.decision is Decision.DECLINE
    assert wrong == "awaited what was cancelled"


async def test_a_handler_whose_connection_is_lost_is_cancelled() -> None:
    async def handler(_: JobRequest) -> None:
        scope.cancel()
        await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        await asked(handler)
    assert scope.cancelled_caught
