"""`run_job`: what the function is given, and what the test is told of how it went."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from protocol import wire_pb2
from protocol.errors import ConfigError
from worker_sdk import JobContext, JobRequest, JobType, Worker
from worker_sdk.room_opener import room_opener
from worker_sdk.testing import FakeRoom, RunOutcome, WaitedInVain, run_job

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


def returning() -> Worker:
    worker = Worker("greeter")

    @worker.job
    async def _(_ctx: JobContext) -> None:
        await anyio.lowlevel.checkpoint()

    return worker


def waiting(cleaned: list[str], begun: Callable[[], object] = lambda: None) -> Worker:
    worker = Worker("greeter")

    @worker.job
    async def _(_ctx: JobContext) -> None:
        begun()
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append("up")

    return worker


async def test_a_function_that_returns_has_succeeded() -> None:
    run = await run_job(returning())
    assert run.succeeded
    assert not run.failed
    assert (run.outcome, run.error, run.error_line) == (RunOutcome.SUCCEEDED, None, "")
    run.raise_failure()


async def test_a_function_that_raises_has_failed_with_its_own_error() -> None:
    worker = Worker("greeter")

    @worker.job
    async def _(_ctx: JobContext) -> None:
        raise ValueError("no such language")

    run = await run_job(worker)
    assert run.failed
    assert run.error_line == "ValueError: no such language"
    with pytest.raises(ValueError, match="no such language"):
        run.raise_failure()


async def test_an_exit_has_failed() -> None:
    worker = Worker("greeter")

    @worker.job
    async def _(_ctx: JobContext) -> None:
        raise SystemExit(3)

    run = await run_job(worker)
    assert (run.outcome, run.error_line) == (RunOutcome.FAILED, "the job called exit(3)")
    assert isinstance(run.error, SystemExit)


async def test_whoever_cancels_the_scope_stops_the_job() -> None:
    cleaned: list[str] = []
    scope = anyio.CancelScope()
    run = await run_job(waiting(cleaned, begun=scope.cancel), scope=scope)
    assert (run.outcome, cleaned) == (RunOutcome.CANCELLED, ["up"])


async def test_a_job_that_runs_on_ends_the_test_at_its_bound() -> None:
    cleaned: list[str] = []
    with pytest.raises(WaitedInVain, match=r"longer than seconds_max=0\.2"):
        await run_job(waiting(cleaned), seconds_max=0.2)
    assert cleaned == ["up"]


async def test_a_test_that_is_cancelled_is_no_job_that_was() -> None:
    with anyio.move_on_after(0.01) as scope:
        await run_job(waiting([]))
        pytest.fail("the cancellation is the test's")
    assert scope.cancelled_caught


async def test_the_job_is_what_the_test_says() -> None:
    run = await run_job(
        returning(),
        room="lobby",
        metadata="m",
        attributes={"lang": "de"},
        attempt=3,
        attempt_reason="worker_lost",
        resuming=True,
        epoch=7,
        job_id="AJ_mine",
    )
    ctx = run.context
    assert ctx is not None
    assert (ctx.job.id, ctx.job.room, ctx.job.metadata) == ("AJ_mine", "lobby", "m")
    assert (ctx.job.agent_name, dict(ctx.job.attributes)) == ("greeter", {"lang": "de"})
    assert (ctx.attempt, ctx.attempt_reason, ctx.resuming) == (3, "worker_lost", True)
    assert ctx.fencing_token == 7
    assert ctx.job.type is JobType.ROOM
    assert ctx.participant is None


async def test_the_epoch_is_that_of_the_attempt() -> None:
    run = await run_job(returning(), attempt=2)
    assert run.context is not None
    assert run.context.fencing_token == 2


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ([JobType.PUBLISHER], JobType.PUBLISHER),
        ([JobType.PARTICIPANT], JobType.PARTICIPANT),
        ([JobType.PUBLISHER, JobType.PARTICIPANT], JobType.PARTICIPANT),
    ],
)
async def test_a_participant_makes_it_a_job_that_the_worker_takes(
    types: list[JobType], expected: JobType
) -> None:
    worker = Worker("greeter", types=types)
    worker.job(returning_function)
    run = await run_job(worker, participant="ann")
    assert run.context is not None
    assert run.context.job.type is expected
    assert run.context.participant is not None
    assert run.context.participant.identity == "ann"


async def returning_function(_ctx: JobContext) -> None:
    await anyio.lowlevel.checkpoint()


async def test_a_participant_can_be_told_whole() -> None:
    ann = wire_pb2.ParticipantInfo(identity="ann", attributes={"lang": "de"})
    run = await run_job(returning(), participant=ann, type=JobType.PUBLISHER)
    assert run.context is not None
    assert run.context.job.type is JobType.PUBLISHER
    assert run.context.participant is not None
    assert dict(run.context.participant.attributes) == {"lang": "de"}


# ---- the request handler ----


async def test_without_a_handler_there_is_no_request() -> None:
    assert (await run_job(returning())).request is None


async def test_a_handler_is_asked_first_and_names_the_agent() -> None:
    worker = Worker("greeter")
    said: list[str] = []

    @worker.request
    async def _(request: JobRequest) -> None:
        said.append(f"asked {request.attempt} {request.resuming}")
        request.accept(identity="greeter-1")

    @worker.job
    async def _(ctx: JobContext) -> None:
        async with ctx.room() as room:
            said.append(room.local_participant.identity)

    run = await run_job(worker, attempt=2, resuming=True)
    assert run.succeeded
    assert said == ["asked 2 True", "greeter-1"]
    assert run.request is not None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("decline", RunOutcome.DECLINED),
        ("terminate", RunOutcome.TERMINATED),
        ("nothing", RunOutcome.DECLINED),
    ],
)
async def test_a_job_that_is_not_accepted_does_not_run(answer: str, expected: RunOutcome) -> None:
    worker = waiting([])

    @worker.request
    async def _(request: JobRequest) -> None:
        if answer != "nothing":
            getattr(request, answer)()

    run = await run_job(worker)
    assert (run.outcome, run.context) == (expected, None)


async def test_an_error_of_the_handler_is_the_tests() -> None:
    worker = returning()

    @worker.request
    async def _(_request: JobRequest) -> None:
        raise KeyError("lang")

    with pytest.raises(KeyError):
        await run_job(worker)


# ---- prewarm, shutdown, rooms ----


async def test_the_prewarm_function_is_called_first_unless_it_is_not_wanted() -> None:
    worker = Worker("greeter")
    said: list[str] = []
    worker.prewarm(lambda: said.append("prewarm"))

    @worker.job
    async def _(_ctx: JobContext) -> None:
        said.append("job")

    await run_job(worker)
    await run_job(worker, prewarm_first=False)
    assert said == ["prewarm", "job", "job"]


async def test_shutdown_callbacks_are_called() -> None:
    worker = Worker("greeter")
    said: list[str] = []

    @worker.job
    async def _(ctx: JobContext) -> None:
        ctx.add_shutdown_callback(lambda: said.append("over"))
        raise ValueError

    assert (await run_job(worker)).failed
    assert said == ["over"]


async def test_a_room_of_ones_own_can_be_given() -> None:
    class Stage:
        name = "lobby"
        curtain = "down"

    worker = Worker("greeter")

    @worker.job
    async def _(ctx: JobContext) -> None:
        async with ctx.room() as room:
            room.curtain = "up"  # type: ignore[attr-defined]

    stage = Stage()
    run = await run_job(worker, room=stage)
    run.raise_failure()
    assert run.context is not None
    assert (stage.curtain, run.context.job.room, run.room) == ("up", "lobby", stage)


async def test_the_room_of_one_job_is_not_that_of_the_next() -> None:
    rooms: list[FakeRoom] = []
    worker = Worker("greeter")

    @worker.job
    async def _(ctx: JobContext) -> None:
        async with ctx.room() as room:
            rooms.append(room)  # type: ignore[arg-type]

    await run_job(worker)
    await run_job(worker, room="other")
    assert [room.name for room in rooms] == ["test-room", "other"]
    assert room_opener.get() is None


async def test_a_room_without_a_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="an object with a name"):
        await run_job(returning(), room=object())


async def test_a_worker_without_a_job_function_is_refused() -> None:
    with pytest.raises(ConfigError, match="no job function"):
        await run_job(Worker("greeter"))
