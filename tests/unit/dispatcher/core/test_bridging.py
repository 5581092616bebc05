"""One job for each job that the SFU asks for: offers, lists, rules for the same, restarts of both."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.core.bridged import (
    AgentServed,
    BridgeDispatchEnded,
    BridgeDispatchesListed,
    BridgeOffered,
    DispatchesOfRoom,
    Served,
    SfuCall,
)
from dispatcher.core.effects import Outcome
from dispatcher.core.jobs import SECOND, Job, JobStateReason, JobType
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.room_events import DisconnectReason
from dispatcher.store.contract import JobFilter
from tests.support.engine_bench import AGENT, PROJECT, EngineBench
from tests.unit.dispatcher.core.board_checks import watched

MINUTE_SECONDS = 60


class SfuBench(EngineBench):
    """A bench with an SFU's words. Sids are those of `room_words`."""

    def call(
        self,
        dispatch: str = "AD_1",
        *,
        room: str = "room",
        session: int = 1,
        who: str = "",
        connection: int = 1,
        job_type: JobType | None = None,
        agent: str = AGENT,
        deployment: str = "",
    ) -> SfuCall:
        """Return a call: of a ROOM job, or of a PARTICIPANT job for `who`."""
        kind = job_type or (JobType.PARTICIPANT if who else JobType.ROOM)
        sid = f"PA_{who}_{connection}" if who else ""
        served = Served(agent, kind, deployment)
        return SfuCall(PROJECT, room, f"RM_{room}_{session}", dispatch, served, sid, who)

    def job_for(self, call: SfuCall) -> Job:
        """Return a fresh job for a call."""
        served = call.served
        job = self.new_job(
            call.room,
            agent=served.agent_name,
            job_type=served.job_type,
            deployment=served.deployment,
        )
        return replace(job, order=call.order, unique_key=call.key)

    def offer(
        self, call: SfuCall, *, after_outage: bool = False, beside: frozenset[str] | None = None
    ) -> int:
        """The SFU offers a job; return the number of the request. `beside`: its room's dispatches."""
        self._requests += 1
        self.tell(BridgeOffered(self._requests, call, self.job_for(call), after_outage, beside))
        return self._requests

    def lists(
        self,
        *calls: SfuCall,
        rooms: tuple[tuple[str, int], ...] = (("room", 1),),
        asked_ago_seconds: float = -1,
        after_outage: bool = False,
    ) -> None:
        """The SFU lists these rooms, with the dispatches of these calls."""
        listed = tuple(
            DispatchesOfRoom(
                name,
                f"RM_{name}_{session}",
                frozenset(call.dispatch_id for call in calls if call.room == name),
                tuple(
                    (call, self.job_for(call))
                    for call in calls
                    if call.room == name and (PROJECT, call.key) not in self.engine.calls
                ),
            )
            for name, session in rooms
        )
        asked_at = self.now - round(asked_ago_seconds * SECOND)
        self.tell(BridgeDispatchesListed(PROJECT, asked_at, listed, after_outage))

    def all_jobs(self) -> list[str]:
        """Return all jobs, oldest first."""
        return [s.job.id for s in reversed(self.database.list_jobs(JobFilter(PROJECT), 1_000))]

    def only(self) -> str:
        """Return the one job that was ever made."""
        jobs = self.all_jobs()
        assert len(jobs) == 1, jobs
        return jobs[0]

    def take(self) -> str:
        """Let a worker run the one job."""
        job = self.only()
        self.accept(job)
        self.start(job)
        return job


@pytest.fixture
def bench() -> SfuBench:
    """Return a bench with the default policy."""
    made = SfuBench(watch=watched)
    made.worker("a")
    return made


# --- offers ---


def test_an_offer_becomes_a_job_which_is_answered_only_when_it_is_durable(
    bench: SfuBench,
) -> None:
    bench.holds_commits = True
    request = bench.offer(bench.call())
    assert bench.outcome(request) is None
    bench.release_commits()
    assert bench.outcome(request) is Outcome.CREATED
    assert bench.offered(bench.only()) == "a"


def test_the_same_offer_again_is_the_same_job(bench: SfuBench) -> None:
    bench.offer(bench.call())
    assert bench.outcome(bench.offer(bench.call())) is Outcome.EXISTED
    bench.only()


def test_the_same_offer_on_another_socket_is_answered_after_the_first_is_durable(
    bench: SfuBench,
) -> None:
    bench.holds_commits = True
    bench.offer(bench.call())
    again = bench.offer(bench.call())
    assert bench.outcome(again) is None
    bench.release_commits()
    assert bench.outcome(again) is Outcome.EXISTED
    bench.only()


def test_the_same_offer_after_a_restart_of_ours_is_the_same_job(bench: SfuBench) -> None:
    bench.offer(bench.call())
    bench.restart()
    assert bench.outcome(bench.offer(bench.call())) is Outcome.EXISTED
    bench.only()


def test_an_offer_that_was_lost_before_its_commit_is_made_when_it_comes_again(
    bench: SfuBench,
) -> None:
    bench.holds_commits = True
    bench.offer(bench.call())
    bench.restart()
    assert bench.all_jobs() == []
    assert bench.outcome(bench.offer(bench.call())) is Outcome.CREATED
    bench.only()


def test_the_same_offer_finds_a_job_that_has_ended_also_after_a_restart(bench: SfuBench) -> None:
    bench.offer(bench.call())
    job = bench.take()
    bench.succeed(job)
    assert bench.outcome(bench.offer(bench.call())) is Outcome.EXISTED
    bench.restart()
    assert bench.outcome(bench.offer(bench.call())) is Outcome.EXISTED
    bench.only()


def test_each_type_dispatch_and_connection_is_a_call_of_its_own(bench: SfuBench) -> None:
    calls = [
        bench.call(),
        bench.call("AD_2"),
        bench.call(who="ada"),
        bench.call(who="ada", connection=2),
        bench.call(who="ada", job_type=JobType.PUBLISHER),
        bench.call("AD_3", deployment="blue"),
    ]
    for call in calls:
        assert bench.outcome(bench.offer(call)) is Outcome.CREATED
    assert len(bench.all_jobs()) == len(calls)


# --- lists ---


def test_a_dispatch_without_a_job_is_adopted(bench: SfuBench) -> None:
    bench.lists(bench.call())
    assert bench.offered(bench.only()) == "a"
    assert bench.outcome(bench.offer(bench.call())) is Outcome.EXISTED


def test_a_job_ends_when_its_dispatch_is_gone_from_a_room_that_is_there(bench: SfuBench) -> None:
    bench.offer(bench.call())
    job = bench.take()
    bench.lists()
    assert bench.phase(job) is JobPhase.CANCELLED
    assert bench.state(job).reason is JobStateReason.DISPATCH_DELETED
    assert bench.stops("a") == [job]
    assert not bench.engine.calls


def test_a_list_that_was_asked_for_before_the_offer_ends_nothing(bench: SfuBench) -> None:
    bench.pass_time(10)
    bench.offer(bench.call())
    job = bench.take()
    bench.lists(asked_ago_seconds=1)
    bench.lists(rooms=(), asked_ago_seconds=1)
    assert bench.phase(job) is JobPhase.RUNNING
    bench.pass_time(2)
    bench.lists(asked_ago_seconds=1)
    assert bench.phase(job) is JobPhase.CANCELLED


def test_a_job_ends_when_its_room_is_no_longer_there(bench: SfuBench) -> None:
    bench.offer(bench.call())
    job = bench.take()
    bench.lists(rooms=())
    assert bench.phase(job) is JobPhase.CANCELLED
    assert bench.state(job).reason is JobStateReason.ROOM_CLOSED


def test_a_job_that_waits_ends_with_its_room_too(bench: SfuBench) -> None:
    bench.offer(bench.call(agent="nobody"))
    job = bench.only()
    bench.lists(rooms=())
    assert bench.phase(job) is JobPhase.CANCELLED
    assert not bench.engine.calls


def test_after_an_outage_a_missing_room_may_come_back(bench: SfuBench) -> None:
    bench.offer(bench.call())
    job = bench.take()
    bench.lists(rooms=(), after_outage=True)
    assert bench.phase(job) is JobPhase.RUNNING
    assert bench.engine.calls


def test_an_ended_call_is_forgotten_when_its_dispatch_is_gone(bench: SfuBench) -> None:
    bench.offer(bench.call())
    bench.succeed(bench.take())
    assert bench.engine.calls
    bench.lists()
    assert not bench.engine.calls
    bench.restart()
    assert not bench.engine.calls


def test_what_the_sfu_says_of_one_dispatch_ends_its_job_with_the_reason(bench: SfuBench) -> None:
    bench.offer(bench.call())
    bench.offer(bench.call("AD_2", room="other"))
    one, two = bench.all_jobs()
    bench.tell(BridgeDispatchEnded(PROJECT, "room", "AD_1", room_is_there=True))
    bench.tell(BridgeDispatchEnded(PROJECT, "other", "AD_2", room_is_there=False))
    for job in (one, two):
        bench.accept(job)
    assert bench.state(one).reason is JobStateReason.DISPATCH_DELETED
    assert bench.state(two).reason is JobStateReason.ROOM_CLOSED


# --- webhooks ---


def test_the_end_of_its_room_ends_the_job(bench: SfuBench) -> None:
    bench.offer(bench.call())
    job = bench.take()
    bench.room_finishes()
    assert bench.phase(job) is JobPhase.CANCELLED
    assert bench.state(job).reason is JobStateReason.ROOM_CLOSED
    assert not bench.engine.calls


def test_late_news_of_an_older_session_ends_nothing(bench: SfuBench) -> None:
    bench.offer(bench.call(session=2))
    job = bench.take()
    bench.room_finishes(session=1)
    assert bench.phase(job) is JobPhase.RUNNING


def test_a_participant_that_leaves_ends_the_job_that_was_for_it_alone(bench: SfuBench) -> None:
    bench.worker("p", types=(JobType.PARTICIPANT,))
    bench.offer(bench.call())
    bench.offer(bench.call(who="ada"))
    bench.offer(bench.call(who="ada", connection=2))
    for job in bench.all_jobs():
        bench.accept(job)
        bench.start(job)
    bench.leaves("ada", reason=DisconnectReason.DUPLICATE_IDENTITY)
    assert [bench.phase(job) for job in bench.all_jobs()] == [JobPhase.RUNNING] * 3
    bench.leaves("ada")
    ends = [JobPhase.RUNNING, JobPhase.CANCELLED, JobPhase.RUNNING]
    assert [bench.phase(job) for job in bench.all_jobs()] == ends


def test_what_was_on_offer_when_its_participant_left_ends_also_over_a_restart(
    bench: SfuBench,
) -> None:
    bench.worker("p", types=(JobType.PARTICIPANT,))
    bench.offer(bench.call(who="ada"))
    job = bench.only()
    assert bench.offered(job) == "p"
    bench.leaves("ada")
    bench.restart()
    bench.worker("q", types=(JobType.PARTICIPANT,))
    bench.pass_time(60)
    assert bench.phase(job) is JobPhase.CANCELLED
    assert bench.assignments(job) == []
    assert not bench.engine.calls


@pytest.mark.parametrize("is_held", [True, False])
def test_a_restart_of_ours_ends_nothing(bench: SfuBench, is_held: bool) -> None:
    bench.offer(bench.call(agent=AGENT if is_held else "nobody"))
    job = bench.take() if is_held else bench.only()
    bench.restart()
    if is_held:
        bench.worker("a")
        bench.claim("a", job)
    assert bench.phase(job) is (JobPhase.RUNNING if is_held else JobPhase.QUEUED)
    assert len(bench.engine.calls) == 1


# --- the SFU restarted, and other sessions ---


def test_a_live_job_takes_over_the_call_of_a_room_that_was_rebuilt(bench: SfuBench) -> None:
    bench.offer(bench.call())
    job = bench.take()
    rebuilt = bench.call("AD_2", session=2)
    assert bench.outcome(bench.offer(rebuilt, after_outage=True)) is Outcome.EXISTED
    bench.lists(rebuilt, rooms=(("room", 2),))
    assert bench.phase(bench.only()) is JobPhase.RUNNING
    bench.room_finishes(session=2)
    assert bench.phase(job) is JobPhase.CANCELLED


def test_a_list_after_an_outage_hands_over_as_an_offer_does(bench: SfuBench) -> None:
    bench.offer(bench.call())
    job = bench.take()
    rebuilt = bench.call("AD_2", session=2)
    bench.lists(rebuilt, rooms=(("room", 2),), after_outage=True)
    assert bench.phase(bench.only()) is JobPhase.RUNNING
    bench.restart()
    assert [called.job_id for called in bench.engine.calls.values()] == [job]
    assert list(bench.engine.calls) == [(PROJECT, rebuilt.key)]


def test_a_participant_is_known_again_after_an_outage_by_its_identity(bench: SfuBench) -> None:
    bench.worker("p", types=(JobType.PARTICIPANT,))
    bench.offer(bench.call(who="ada"))
    bench.take()
    other = bench.call("AD_2", session=2, who="bob", connection=2)
    same = bench.call("AD_2", session=2, who="ada", connection=2)
    assert bench.outcome(bench.offer(other, after_outage=True)) is Outcome.CREATED
    assert bench.outcome(bench.offer(same, after_outage=True)) is Outcome.EXISTED
    assert len(bench.all_jobs()) == 2


def test_a_room_that_is_back_before_its_dispatch_ends_nothing_at_first(bench: SfuBench) -> None:
    bench.offer(bench.call())
    job = bench.take()
    bench.lists(rooms=(("room", 2),), after_outage=True)
    assert bench.phase(job) is JobPhase.RUNNING
    bench.lists(rooms=(("room", 2),))
    assert bench.phase(job) is JobPhase.CANCELLED


def test_each_of_two_jobs_of_one_agent_is_taken_over_once(bench: SfuBench) -> None:
    bench.offer(bench.call("AD_1"))
    bench.offer(bench.call("AD_2"))
    for dispatch in ("AD_3", "AD_4"):
        call = bench.call(dispatch, session=2)
        assert bench.outcome(bench.offer(call, after_outage=True)) is Outcome.EXISTED
    assert len({called.job_id for called in bench.engine.calls.values()}) == 2
    call = bench.call("AD_5", session=2)
    assert bench.outcome(bench.offer(call, after_outage=True)) is Outcome.CREATED


def test_a_room_that_another_node_took_over_has_its_old_sid_and_new_dispatches(
    bench: SfuBench,
) -> None:
    bench.offer(bench.call("AD_1"))
    bench.offer(bench.call("AD_2"))
    kept = bench.call("AD_3")
    beside = frozenset({"AD_2", "AD_3"})
    assert bench.outcome(bench.offer(kept, after_outage=True, beside=beside)) is Outcome.EXISTED
    assert {key for _, key in bench.engine.calls} == {"AD_2|0|", "AD_3|0|"}
    new = bench.call("AD_4")
    beside |= {"AD_4"}
    assert bench.outcome(bench.offer(new, after_outage=True, beside=beside)) is Outcome.CREATED


def test_a_list_that_is_older_than_an_offer_takes_nothing_back(bench: SfuBench) -> None:
    old, new = bench.call("AD_1"), bench.call("AD_2")
    bench.pass_time(10)
    bench.offer(new)
    job = bench.take()
    bench.lists(old, asked_ago_seconds=1, after_outage=True)
    assert bench.only() == job
    assert [called.call for called in bench.engine.calls.values()] == [new]


def test_a_job_that_has_ended_takes_nothing_over(bench: SfuBench) -> None:
    bench.offer(bench.call())
    bench.succeed(bench.take())
    call = bench.call("AD_2", session=2)
    assert bench.outcome(bench.offer(call, after_outage=True)) is Outcome.CREATED


def test_a_second_dispatch_in_the_same_session_is_no_restart(bench: SfuBench) -> None:
    bench.offer(bench.call())
    call = bench.call("AD_2")
    assert bench.outcome(bench.offer(call, after_outage=True)) is Outcome.CREATED


def test_without_an_outage_another_session_of_a_name_has_a_job_of_its_own(
    bench: SfuBench,
) -> None:
    bench.offer(bench.call())
    old = bench.take()
    new = bench.call("AD_2", session=2)
    assert bench.outcome(bench.offer(new)) is Outcome.CREATED
    bench.lists(new, rooms=(("room", 2),))
    assert bench.phase(old) is JobPhase.CANCELLED
    assert not bench.phase(bench.all_jobs()[1]).is_ended


# --- rules for the same ---


def test_an_offer_for_what_a_rule_has_called_is_answered_by_the_rules_job(
    bench: SfuBench,
) -> None:
    bench.rule()
    bench.room_starts()
    job = bench.only()
    assert bench.outcome(bench.offer(bench.call())) is Outcome.EXISTED
    assert bench.only() == job
    assert bench.engine.calls[PROJECT, bench.call().key].job_id == job


def test_a_rule_leaves_to_the_sfu_what_that_has_called(bench: SfuBench) -> None:
    bench.rule()
    bench.offer(bench.call())
    job = bench.only()
    bench.room_starts()
    assert bench.only() == job
    bench.restart()
    bench.worker("b")
    bench.room_starts()
    bench.pass_time(1)
    assert bench.only() == job


def test_a_rule_and_an_offer_for_one_participant_are_one_job_in_both_orders(
    bench: SfuBench,
) -> None:
    bench.worker("p", types=(JobType.PARTICIPANT,))
    bench.rule("each", JobType.PARTICIPANT)
    bench.joins("ada")
    assert bench.outcome(bench.offer(bench.call(who="ada"))) is Outcome.EXISTED
    assert bench.outcome(bench.offer(bench.call(who="bob"))) is Outcome.CREATED
    bench.joins("bob")
    assert len(bench.all_jobs()) == 2


def test_an_offer_after_the_end_of_a_rules_job_has_a_job_of_its_own(bench: SfuBench) -> None:
    bench.rule()
    bench.room_starts()
    bench.succeed(bench.take())
    assert bench.outcome(bench.offer(bench.call())) is Outcome.CREATED


@pytest.mark.parametrize("other", ["agent", "type", "deployment"])
def test_a_rule_for_something_else_is_another_job(bench: SfuBench, other: str) -> None:
    bench.rule()
    bench.room_starts()
    call = {
        "agent": bench.call(agent="other"),
        "type": bench.call(who="ada"),
        "deployment": bench.call(deployment="blue"),
    }[other]
    assert bench.outcome(bench.offer(call)) is Outcome.CREATED
    assert len(bench.all_jobs()) == 2


def test_a_rules_job_outlives_a_dispatch_that_it_answered(bench: SfuBench) -> None:
    bench.rule()
    bench.room_starts()
    bench.offer(bench.call())
    job = bench.take()
    bench.lists()
    assert bench.phase(job) is JobPhase.RUNNING
    assert not bench.engine.calls
    bench.room_finishes()
    assert bench.phase(job) is JobPhase.CANCELLED


# --- who is served ---


def test_what_workers_serve_is_remembered_across_a_restart_and_forgotten_after_long(
    bench: SfuBench,
) -> None:
    one, two = Served(AGENT), Served("other", JobType.PUBLISHER, "blue")
    bench.tell(AgentServed(PROJECT, one))
    bench.restart()
    assert set(bench.engine.served) == {(PROJECT, one)}
    bench.pass_time(31 * 86_400)
    bench.tell(AgentServed(PROJECT, two))
    assert set(bench.engine.served) == {(PROJECT, two)}
    bench.restart()
    assert set(bench.engine.served) == {(PROJECT, two)}


# --- a room that the SFU rebuilds for an agent that rejoins ---


def test_a_rebuilt_room_that_calls_the_unnamed_has_its_named_agent(bench: SfuBench) -> None:
    bench.worker("u", agent="")
    bench.offer(bench.call())
    job = bench.take()
    automatic = bench.call("AD_2", session=2, agent="")
    request = bench.offer(automatic, after_outage=True, beside=frozenset({"AD_2"}))
    assert bench.outcome(request) is Outcome.EXISTED
    bench.lists(automatic, rooms=(("room", 2),), after_outage=True)
    bench.lists(automatic, rooms=(("room", 2),))  # the outage is over
    assert bench.phase(job) is JobPhase.RUNNING
    assert bench.only() == job
    bench.restart()
    bench.lists(automatic, rooms=(("room", 2),))
    bench.claim(bench.worker("a2"), job)
    bench.lists(rooms=())
    assert bench.phase(job) is JobPhase.CANCELLED
    assert bench.only() == job


def test_a_rebuilt_room_that_calls_both_has_its_named_agent_alone(bench: SfuBench) -> None:
    bench.worker("u", agent="")
    bench.offer(bench.call())
    job = bench.take()
    both = bench.call("AD_3", session=2), bench.call("AD_2", session=2, agent="")
    bench.lists(*both, rooms=(("room", 2),), after_outage=True)
    bench.lists(*both, rooms=(("room", 2),))
    assert bench.phase(job) is JobPhase.RUNNING
    assert bench.only() == job
    bench.lists(both[1], rooms=(("room", 2),))  # the named dispatch is deleted
    assert bench.phase(job) is JobPhase.CANCELLED


def test_a_new_session_without_an_outage_calls_the_unnamed(bench: SfuBench) -> None:
    bench.worker("u", agent="")
    bench.offer(bench.call())
    bench.take()
    assert bench.outcome(bench.offer(bench.call("AD_2", session=2, agent=""))) is Outcome.CREATED
