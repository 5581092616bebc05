"""What a worker may say wrongly: each gets a clear answer, and nobody else notices."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from protocol import wire_pb2
from tests.integration.server.peers import Caller, RawWorker, fresh, registered
from tests.support.server import RunningServer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("bystander")]

MIB = 1024 * 1024
HUGE_ID = "AJ_" + "x" * MIB


@pytest.fixture
async def worker(server: RunningServer) -> AsyncIterator[RawWorker]:
    """A registered worker, about to misbehave."""
    async with registered(server, fresh("agent")) as raw:
        yield raw


# --- frames without a meaning ---


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x92\x06\x02hi", id="unknown message"),
        pytest.param(b"\x0a\xff\x01abc", id="truncated"),
        pytest.param(b"\xff" * 100, id="no protobuf"),
        pytest.param(b"\x12\x04\x0a\x02\xff\xfe", id="invalid UTF-8 in a field"),
        pytest.param("this is no JSON", id="text that is no JSON"),
        pytest.param("[]", id="JSON that is no object"),
        pytest.param("{}", id="empty JSON"),
        pytest.param('{"nothingKnown": {}}', id="unknown JSON message"),
        pytest.param('{"updateJob": {"jobId": 7}}', id="JSON of a wrong type"),
        pytest.param("[" * 100_000, id="JSON nested without end"),
        pytest.param('{"updateWorker":' * 5_000, id="truncated nested JSON"),
    ],
)
async def test_a_frame_without_meaning_is_ignored(worker: RawWorker, frame: bytes | str) -> None:
    await worker.socket.send(frame)
    await worker.is_answered()


async def test_only_an_abusive_number_of_unreadable_frames_closes(worker: RawWorker) -> None:
    for _ in range(100):
        await worker.socket.send(b"\x0a\xff")
    await worker.is_answered()
    await worker.socket.send(b"\x0a\xff")
    assert await worker.closed_with() == 1007


async def test_any_number_of_unknown_messages_is_ignored(worker: RawWorker) -> None:
    for _ in range(500):
        await worker.socket.send(b"\x92\x06\x02hi")
    await worker.is_answered()


async def test_a_frame_over_the_limit_closes_its_connection(worker: RawWorker) -> None:
    await worker.socket.send(b"\x00" * (2 * MIB + 1))
    assert await worker.closed_with() == 1009


async def test_fragments_that_are_over_the_limit_together_close_their_connection(
    worker: RawWorker,
) -> None:
    await worker.socket.send([b"\x00" * MIB, b"\x00" * MIB, b"\x00"])
    assert await worker.closed_with() == 1009


async def test_a_text_frame_that_is_not_utf8_closes_its_connection(worker: RawWorker) -> None:
    await worker.socket.send(b"\xff\xfe", text=True)
    assert await worker.closed_with() == 1007


async def test_a_second_register_changes_nothing(worker: RawWorker, api: Caller) -> None:
    await worker.say(register=wire_pb2.RegisterWorkerRequest(agent_name=fresh("another")))
    await worker.is_answered()
    assert (await api.worker(worker.worker_id))["agent_name"] != "another"


# --- ids and fields over their limits ---


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({"availability": {"job_id": HUGE_ID, "available": True}}, id="answer"),
        pytest.param({"update_job": {"job_id": HUGE_ID, "status": 1}}, id="job status"),
        pytest.param({"migrate_job": {"job_ids": [HUGE_ID]}}, id="claim"),
        pytest.param({"hand_over": {"job_ids": [HUGE_ID]}}, id="hand-over"),
        pytest.param({"simulate_job": {"room": {"name": HUGE_ID}}}, id="simulated room"),
        pytest.param({"availability": {"job_id": ""}}, id="answer without an id"),
        pytest.param({"update_job": {"job_id": "AJ_1", "status": 77}}, id="unknown job status"),
        pytest.param({"update_worker": {"status": 77}}, id="unknown worker status"),
        pytest.param({"simulate_job": {"type": 77, "room": {"name": "r"}}}, id="unknown type"),
        pytest.param({"simulate_job": {}}, id="simulation without a room"),
    ],
)
async def test_a_message_over_its_limits_is_ignored(
    worker: RawWorker, message: dict[str, dict[str, object]]
) -> None:
    await worker.say(**message)
    await worker.is_answered()


async def test_one_impossible_id_does_not_spoil_a_claim(worker: RawWorker, api: Caller) -> None:
    await api.dispatch((await api.worker(worker.worker_id))["agent_name"])
    job_id = (await worker.take_job()).job.id
    await worker.say(migrate_job=wire_pb2.MigrateJobRequest(job_ids=[HUGE_ID, job_id, "", "AJ_1"]))
    assert (await worker.hear()).termination.job_id == "AJ_1"
    await worker.is_answered()
    await api.job_becomes(job_id, "RUNNING")


@pytest.mark.parametrize("load", [float("nan"), float("inf"), -5.0, 1e30])
async def test_a_load_that_is_no_load_does_no_harm(
    worker: RawWorker, api: Caller, load: float
) -> None:
    await worker.report(load=load)
    await worker.is_answered()
    assert 0 <= (await api.worker(worker.worker_id))["load_reported"] <= 1


@pytest.mark.parametrize(
    "field",
    [
        pytest.param({"participant_metadata": "m" * (512 * 1024 + 1)}, id="metadata"),
        pytest.param({"participant_attributes": {"a": "b" * (64 * 1024)}}, id="attributes"),
        pytest.param({"participant_identity": "i" * 257}, id="identity"),
        pytest.param({"participant_name": "n" * 257}, id="name"),
    ],
)
async def test_an_acceptance_over_its_limits_counts_as_a_refusal(
    server: RunningServer, api: Caller, field: dict[str, object]
) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name) as greedy:
        await api.dispatch(agent_name)
        offer = await greedy.offered()
        async with registered(server, agent_name) as modest:
            await greedy.answer(offer.job.id, **field)
            # Somebody takes the job: the modest one at once, or after the greedy one's next try.
            await greedy.report(status=wire_pb2.WS_FULL)
            assert (await modest.take_job()).job.id == offer.job.id


async def test_a_long_error_text_is_cut(worker: RawWorker, api: Caller) -> None:
    await api.dispatch((await api.worker(worker.worker_id))["agent_name"], restart_policy=1)
    job_id = (await worker.take_job()).job.id
    await worker.tell(job_id, wire_pb2.JS_FAILED, error="é" * (MIB // 2))
    error = (await api.job_becomes(job_id, "FAILED"))["job"]["state"]["error"]
    assert error.endswith("...")
    assert len(error.encode()) <= 4096


# --- words on jobs that are not its own ---


async def test_an_answer_for_a_job_that_was_never_offered_is_ignored(
    worker: RawWorker, bystander: RawWorker, api: Caller
) -> None:
    [theirs] = (await api.worker(bystander.worker_id))["job_ids"]
    await worker.answer(theirs)
    await worker.answer("AJ_nobody")
    await worker.is_answered()


async def test_an_answer_for_a_job_offered_to_another_is_ignored(
    server: RunningServer, worker: RawWorker, api: Caller
) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name) as rightful:
        await api.dispatch(agent_name)
        offer = await rightful.offered()
        await worker.answer(offer.job.id)
        await worker.is_answered()
        await rightful.answer(offer.job.id)
        assert (await rightful.assigned()).job.id == offer.job.id


@pytest.mark.parametrize("status", [wire_pb2.JS_SUCCESS, wire_pb2.JS_FAILED, wire_pb2.JS_PENDING])
async def test_a_status_for_another_workers_job_is_ignored(
    worker: RawWorker, bystander: RawWorker, api: Caller, status: int
) -> None:
    [theirs] = (await api.worker(bystander.worker_id))["job_ids"]
    await worker.tell(theirs, status)
    await worker.is_answered()


async def test_a_status_of_an_older_epoch_is_ignored(worker: RawWorker, api: Caller) -> None:
    await api.dispatch((await api.worker(worker.worker_id))["agent_name"])
    first = await worker.take_job()
    await worker.tell(first.job.id, wire_pb2.JS_FAILED, epoch=first.epoch)
    second = await worker.take_job()
    assert second.job.id == first.job.id
    assert second.epoch == first.epoch + 1

    await worker.tell(first.job.id, wire_pb2.JS_SUCCESS, epoch=first.epoch)

    await worker.is_answered()
    await api.job_becomes(first.job.id, "RUNNING")
    await worker.tell(first.job.id, wire_pb2.JS_SUCCESS, epoch=second.epoch)
    await api.job_becomes(first.job.id, "SUCCEEDED")


async def test_a_claim_of_others_jobs_ends_none(
    worker: RawWorker, bystander: RawWorker, api: Caller
) -> None:
    [theirs] = (await api.worker(bystander.worker_id))["job_ids"]
    ids = [*(f"AJ_{number}" for number in range(1000))]
    await worker.say(migrate_job=wire_pb2.MigrateJobRequest(job_ids=ids))
    stopped = {(await worker.hear()).termination.job_id for _ in ids}
    assert stopped == set(ids)
    assert theirs not in stopped


async def test_a_claim_of_too_many_jobs_is_ignored(worker: RawWorker) -> None:
    ids = [f"AJ_{number}" for number in range(10_001)]
    await worker.say(migrate_job=wire_pb2.MigrateJobRequest(job_ids=ids))
    await worker.is_answered()
