"""An unmodified worker is in the metrics, and in what scales it."""

from __future__ import annotations

import httpx2
import pytest
from livekit.protocol import agent
from prometheus_client.parser import text_string_to_metric_families

from tests.conformance.conftest import StartWorker
from tests.conformance.dispatches import Caller
from tests.conformance.processes import Server
from tests.conformance.waiting import eventually

pytestmark = pytest.mark.anyio


async def of_agent(server: Server, metric: str, agent_name: str) -> dict[str, float]:
    """Return what a metric tells of an agent, by state."""
    async with httpx2.AsyncClient(timeout=60) as client:
        answer = await client.get(f"{server.http_url}/metrics")
    assert answer.status_code == 200
    return {
        sample.labels["state"]: sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == metric and sample.labels["agent"] == agent_name
    }


async def test_a_stock_worker_and_its_job_are_counted_and_scaled_by(
    server: Server, caller: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker(server, "counted")
    await worker.registered()
    dispatch = await caller.create("counted", metadata="hold")
    await dispatch.job_with(agent.JobStatus.JS_RUNNING)

    async def is_counted() -> bool:
        jobs = await of_agent(server, "callboard_jobs", "counted")
        workers = await of_agent(server, "callboard_workers", "counted")
        return jobs.get("running") == 1 and sum(workers.values()) == 1

    await eventually("the worker and its job are in the metrics", is_counted)
    async with httpx2.AsyncClient(timeout=60) as client:
        answer = await client.get(f"{server.http_url}/scaling/agents/counted")
    told = answer.json()
    assert (told["workers"], told["running"], told["desired_workers"]) == (1, 1, 1)
    assert (told["jobs_per_worker"], told["free_slots"]) == (7, 6)
