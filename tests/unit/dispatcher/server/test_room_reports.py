"""An event counts once, and only when what follows from it is durable."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from dispatcher.core.effects import Outcome, Reply
from dispatcher.core.events import RoomEventReported
from dispatcher.core.room_events import Participant, RoomEvent, RoomEventKind, RoomInfo
from dispatcher.core.room_states import RoomLimits
from dispatcher.runtime import Overloaded
from dispatcher.server.room_reports import Answer, BeingTaken, RoomReports, Taken
from tests.support.runtime_bench import RuntimeBench, running

pytestmark = pytest.mark.anyio

STARTED = RoomEvent(RoomEventKind.ROOM_STARTED, "p", RoomInfo("r"))
STARTED_ELSEWHERE = RoomEvent(RoomEventKind.ROOM_STARTED, "another", RoomInfo("r"))


class Engine:
    """Answers as it is told to, when it is told to, and keeps what it was told."""

    def __init__(self) -> None:
        self.events: list[RoomEvent] = []
        self.outcome: Outcome | Exception = Outcome.DONE
        self.may_answer = anyio.Event()
        self.may_answer.set()

    async def ask(self, make_event: Callable[[int], RoomEventReported], /) -> Reply:
        """Take an event in, and answer."""
        self.events.append(make_event(len(self.events)).event)
        await self.may_answer.wait()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return Reply(len(self.events), self.outcome, detail="why")


@pytest.fixture
def engine() -> Engine:
    """An engine that takes what comes."""
    return Engine()


async def test_an_event_reaches_the_engine(engine: Engine) -> None:
    reports = RoomReports(engine, 10)
    assert await reports.report(STARTED, "EV_1") == Answer(Taken.NOW)
    assert engine.events == [STARTED]


async def test_an_event_that_comes_again_does_nothing(engine: Engine) -> None:
    reports = RoomReports(engine, 10)
    await reports.report(STARTED, "EV_1")
    assert await reports.report(STARTED, "EV_1") == Answer(Taken.BEFORE)
    assert engine.events == [STARTED]


async def test_ids_of_another_project_are_other_ids(engine: Engine) -> None:
    reports = RoomReports(engine, 10)
    await reports.report(STARTED, "EV_1")
    assert await reports.report(STARTED_ELSEWHERE, "EV_1") == Answer(Taken.NOW)
    assert engine.events == [STARTED, STARTED_ELSEWHERE]


async def test_an_event_without_an_id_is_always_news(engine: Engine) -> None:
    reports = RoomReports(engine, 10)
    await reports.report(STARTED, "")
    assert await reports.report(STARTED, "") == Answer(Taken.NOW)


async def test_an_event_that_could_not_be_taken_is_news_when_it_comes_again(
    engine: Engine,
) -> None:
    reports = RoomReports(engine, 10)
    engine.outcome = Overloaded("too much")
    with pytest.raises(Overloaded):
        await reports.report(STARTED, "EV_1")
    engine.outcome = Outcome.DONE
    assert await reports.report(STARTED, "EV_1") == Answer(Taken.NOW)


async def test_a_refusal_says_why_and_is_not_remembered(engine: Engine) -> None:
    reports = RoomReports(engine, 10)
    engine.outcome = Outcome.REFUSED
    assert await reports.report(STARTED, "EV_1") == Answer(Taken.REFUSED, "why")
    engine.outcome = Outcome.DONE
    assert await reports.report(STARTED, "EV_1") == Answer(Taken.NOW)


async def test_an_event_that_is_not_durable_yet_is_not_said_to_be_taken(engine: Engine) -> None:
    reports = RoomReports(engine, 10)
    engine.may_answer = anyio.Event()
    answers: list[Answer] = []

    async def report() -> None:
        answers.append(await reports.report(STARTED, "EV_1"))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(report)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(BeingTaken) as refused:
                await reports.report(STARTED, "EV_1")
            assert refused.value.retryable
            engine.may_answer.set()
    assert answers == [Answer(Taken.NOW)]
    assert await reports.report(STARTED, "EV_1") == Answer(Taken.BEFORE)


async def test_a_report_that_is_given_up_can_be_made_again(engine: Engine) -> None:
    reports = RoomReports(engine, 10)
    engine.may_answer = anyio.Event()
    with anyio.move_on_after(0):
        await reports.report(STARTED, "EV_1")
    engine.may_answer.set()
    assert await reports.report(STARTED, "EV_1") == Answer(Taken.NOW)


async def test_so_many_ids_are_remembered_and_no_more(engine: Engine) -> None:
    reports = RoomReports(engine, 3)
    for number in range(4):
        await reports.report(STARTED, f"EV_{number}")
    again = [(await reports.report(STARTED, f"EV_{number}")).taken for number in (1, 2, 3, 0)]
    assert again == [Taken.BEFORE] * 3 + [Taken.NOW]


async def test_an_event_is_said_to_be_taken_only_after_the_commit() -> None:
    async with running(RuntimeBench()) as bench, anyio.create_task_group() as tasks:
        answers: list[Answer] = []

        async def report() -> None:
            answers.append(await RoomReports(bench.runtime, 10).report(STARTED, "EV_1"))

        tasks.start_soon(report)
        await bench.until(lambda: bench.store.arrived)
        await bench.quiet()
        assert answers == []
        bench.store.let_pass()
        await bench.until(lambda: answers)
    assert answers == [Answer(Taken.NOW)]


async def test_a_crowd_without_end_is_bounded_by_name() -> None:
    async with running(RuntimeBench()) as bench:
        bench.store.is_open_to_all = True
        reports = RoomReports(bench.runtime, 10)
        bound = RoomLimits().participants_max
        answer = Answer(Taken.NOW)
        for number in range(bound + 100):
            who = Participant(f"p{number}", f"PA_{number}")
            joined = RoomEvent(RoomEventKind.PARTICIPANT_JOINED, "p", RoomInfo("r", "RM_1"), who)
            answer = await reports.report(joined, "")
            assert (answer.taken is Taken.REFUSED) == (number >= bound)
        assert answer.detail == f"room 'r' has {bound} participants, which is the limit"
        assert len(bench.runtime.engine.rooms["p", "r"].members) == bound
