"""Group commit: what is promised waits until it is durable, in order, and nothing else waits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.commit import GroupCommit, void_jobs
from dispatcher.core.effects import (
    SENT_AT_ONCE,
    CreateDispatch,
    CreateJob,
    Effect,
    Ignored,
    Message,
    NoteIgnored,
    Outcome,
    RecordMove,
    ReleaseJobs,
    Reply,
    SendAssignment,
    SendStatusReceipt,
    SendTermination,
    SendVerdicts,
    StoreRequest,
    Verdict,
)
from dispatcher.core.events import Acceptance, DispatchCreated, MoveRefused, StoreResult
from dispatcher.core.jobs import Dispatch, Job, JobState, Lane, RestartPolicy
from dispatcher.core.lifecycle import JobPhase, JobTrigger


def request(number: int) -> ReleaseJobs:
    """Return a request that can be told from others."""
    return ReleaseJobs((str(number),))


def promise(number: int) -> SendStatusReceipt:
    """Return a message that promises something."""
    return SendStatusReceipt("w", number)


def note(number: int) -> NoteIgnored:
    """Return a message that promises nothing."""
    return NoteIgnored("w", str(number), Ignored.NOT_OFFERED)


def test_what_needs_no_commit_goes_out_at_once() -> None:
    commits = GroupCommit()
    assert commits.add([note(1), promise(2)]) == [note(1), promise(2)]
    assert commits.take() == []


@pytest.mark.parametrize(
    ("behind", "is_urgent"),
    [
        ([], False),
        ([promise(1)], False),
        ([note(1)], False),
        ([SendTermination("w", "AJ_1")], True),
        ([SendVerdicts("w", {"AJ_1": Verdict.KEEP})], True),
        ([Reply(1, Outcome.CREATED)], True),
    ],
    ids=["nobody", "a receipt", "a note", "a stop", "a verdict", "a caller"],
)
def test_a_move_is_in_no_hurry_unless_more_than_a_receipt_waits_for_it(
    behind: list[Message], is_urgent: bool
) -> None:
    commits = GroupCommit()
    commits.add([RecordMove("AJ_1", 1, JobTrigger.STARTED, JobState(JobPhase.RUNNING)), *behind])
    assert commits.has_waiting
    assert commits.is_urgent is is_urgent


def test_what_waits_for_the_batch_under_way_makes_nothing_else_urgent() -> None:
    commits = GroupCommit()
    commits.add([request(1)])
    commits.take()
    commits.add([SendTermination("w", "AJ_1")])
    assert not commits.is_urgent


def test_nothing_is_urgent_any_more_once_it_is_in_a_batch() -> None:
    commits = GroupCommit()
    commits.add([request(1)])
    hurry_before, _, hurry_after = commits.is_urgent, commits.take(), commits.is_urgent
    assert (hurry_before, hurry_after, commits.has_waiting) == (True, False, False)


def test_a_promise_waits_for_every_request_that_was_made_before_it() -> None:
    commits = GroupCommit()
    assert commits.add([request(1), promise(1)]) == []
    assert commits.take() == [request(1)]
    assert commits.add([request(2), promise(2)]) == []
    assert commits.committed() == [promise(1)]
    assert commits.take() == [request(2)]
    assert commits.committed() == [promise(2)]


def test_a_promise_waits_for_earlier_requests_of_others_too() -> None:
    commits = GroupCommit()
    commits.add([request(1)])
    assert commits.add([promise(1)]) == []


def test_a_promise_made_before_a_request_of_its_turn_does_not_wait_for_that() -> None:
    commits = GroupCommit()
    assert commits.add([promise(1), request(1)]) == [promise(1)]


def test_a_message_that_promises_nothing_overtakes_those_that_wait() -> None:
    commits = GroupCommit()
    assert commits.add([request(1), promise(1), note(1)]) == [note(1)]


def test_assignments_receipts_verdicts_and_terminations_promise_something() -> None:
    gated = {SendAssignment, SendStatusReceipt, SendVerdicts, SendTermination}
    assert not gated & set(SENT_AT_ONCE)


def test_what_arrives_during_a_commit_makes_the_next_batch() -> None:
    commits = GroupCommit()
    commits.add([request(1)])
    assert commits.take() == [request(1)]
    commits.add([request(2)])
    commits.add([request(3)])
    assert commits.take() == []
    commits.committed()
    assert commits.take() == [request(2), request(3)]


def test_a_batch_that_failed_is_taken_again_before_what_came_after_it() -> None:
    commits = GroupCommit()
    commits.add([request(1), promise(1)])
    commits.take()
    commits.add([request(2)])
    commits.failed()
    assert commits.take()[0] == request(1)


def batch_sizes(commits: GroupCommit) -> list[int]:
    """Commit all that waits; return how large the batches were."""
    sizes = []
    while batch := commits.take():
        sizes.append(len(batch))
        commits.committed()
    return sizes


def test_a_batch_is_no_larger_than_its_bound() -> None:
    commits = GroupCommit(batch_max=2)
    for number in range(5):
        commits.add([request(number)])
    assert batch_sizes(commits) == [2, 2, 1]


def test_what_one_turn_asks_for_is_one_batch_however_large() -> None:
    commits = GroupCommit(batch_max=3)
    for size in (2, 2, 5, 1):
        commits.add([request(number) for number in range(size)])
    assert batch_sizes(commits) == [2, 2, 5, 1]


def test_a_batch_that_failed_is_not_split() -> None:
    commits = GroupCommit(batch_max=3)
    for _ in range(3):
        commits.add([request(1)])
    commits.take()
    commits.failed()
    commits.add([request(2)])
    assert batch_sizes(commits) == [3, 1]


def test_its_length_is_the_number_of_requests_that_are_not_durable() -> None:
    commits = GroupCommit()
    commits.add([request(1), request(2)])
    assert len(commits) == 2
    commits.take()
    assert len(commits) == 2
    commits.committed()
    assert len(commits) == 0


ACTS = st.lists(
    st.one_of(
        st.lists(st.sampled_from(["request", "promise", "note"]), max_size=5),
        st.sampled_from(["take", "committed", "failed"]),
    ),
    max_size=80,
)


@given(acts=ACTS, batch_max=st.integers(1, 5))
def test_whatever_happens_nothing_is_sent_early_twice_out_of_order_or_never(
    acts: list[list[str] | str], batch_max: int
) -> None:
    commits = GroupCommit(batch_max)
    number = 0
    made: list[StoreRequest] = []
    durable: list[StoreRequest] = []
    underway: list[StoreRequest] = []
    before: dict[int, int] = {}  # promise: how many requests were made before it
    promised: list[int] = []
    turn_ends = {0}
    sent: list[int] = []

    def see(messages: list[Message]) -> None:
        for message in messages:
            if isinstance(message, SendStatusReceipt):
                assert len(durable) >= before[message.sequence]
                sent.append(message.sequence)

    for act in [*acts, *["committed", "take"] * (len(acts) * 5 + 2)]:
        if isinstance(act, list):
            effects: list[Effect] = []
            for kind in act:
                number += 1
                if kind == "request":
                    effects.append(request(number))
                    made.append(request(number))
                elif kind == "promise":
                    effects.append(promise(number))
                    before[number] = len(made)
                    promised.append(number)
                else:
                    effects.append(note(number))
            turn_ends.add(len(made))
            see(commits.add(effects))
        elif act == "take":
            batch = commits.take()
            if underway:
                assert batch == []
            underway = underway or list(batch)
            assert len(durable) + len(underway) in turn_ends, "a turn was split"
        elif underway and act == "committed":
            durable += underway
            underway = []
            see(commits.committed())
        elif underway:
            underway = []
            commits.failed()
    assert durable == made
    assert sent == promised


# --- what the store did not do ---


def dispatch_request(number: int) -> CreateDispatch:
    """Return a request for a dispatch with one job, both named by the number."""
    dispatch = Dispatch(f"AD_{number}", "p", "room", "a", "", RestartPolicy.NEVER, b"", 1)
    job = Job(f"AJ_{number}", dispatch.id, Lane("p", "a"), "room", b"", 1)
    return CreateDispatch(number, dispatch, ((job, JobState(JobPhase.OFFERED)),))


def assignment(number: int, *, is_reserved: bool = False) -> SendAssignment:
    """Return the assignment of that dispatch's job."""
    job, state = dispatch_request(number).jobs[0]
    return SendAssignment("w", job, state, Acceptance(), 9, is_reserved)


def test_void_are_jobs_of_dispatches_that_existed_and_jobs_that_were_not_moved() -> None:
    batch: list[StoreRequest] = [dispatch_request(1), dispatch_request(2), request(3)]
    results: list[StoreResult] = [
        DispatchCreated(1, "AD_1", True),
        DispatchCreated(2, "AD_2", False),
        MoveRefused("AJ_9", 4),
    ]
    assert void_jobs(batch, results) == {"AJ_2", "AJ_9"}


def test_an_assignment_of_a_void_job_is_never_released_however_late_it_is_due() -> None:
    commits = GroupCommit()
    commits.add([dispatch_request(1), dispatch_request(2)])
    commits.take()
    commits.add([assignment(1), request(3), assignment(2), promise(1)])
    assert commits.committed(frozenset({"AJ_2"})) == [assignment(1)]
    commits.take()
    assert commits.committed() == [promise(1)]


@pytest.mark.parametrize("by_rule", [False, True], ids=["of a call", "of a rule"])
def test_the_assignment_of_a_reserved_job_waits_for_its_creation_alone(by_rule: bool) -> None:
    commits = GroupCommit()
    creation: StoreRequest = dispatch_request(1)
    if by_rule:
        creation = CreateJob(*dispatch_request(1).jobs[0])
    commits.add([creation])
    commits.take()
    commits.add([request(2), promise(2)])
    assert (
        commits.add([move("AJ_1", JobTrigger.OFFER_ACCEPTED), assignment(1, is_reserved=True)])
        == []
    )
    assert commits.committed() == [assignment(1, is_reserved=True)]


def test_the_assignment_of_a_reserved_job_that_is_there_goes_out_at_once() -> None:
    commits = GroupCommit()
    commits.add([dispatch_request(1)])
    commits.take()
    commits.committed()
    commits.add([request(2)])
    reserved = assignment(1, is_reserved=True)
    assert commits.add([move("AJ_1", JobTrigger.OFFER_ACCEPTED), reserved]) == [reserved]


def test_an_assignment_of_a_job_that_is_not_reserved_waits_for_its_move() -> None:
    commits = GroupCommit()
    assert commits.add([move("AJ_1", JobTrigger.OFFER_ACCEPTED), assignment(1)]) == []
    assert commits.is_urgent
    commits.take()
    assert commits.committed() == [assignment(1)]


def test_the_assignment_of_a_reserved_job_that_is_void_is_never_released() -> None:
    commits = GroupCommit()
    commits.add([dispatch_request(1)])
    commits.take()
    commits.add([assignment(1, is_reserved=True)])
    assert commits.committed(frozenset({"AJ_1"})) == []
    commits.add([request(2)])
    commits.take()
    assert commits.committed() == []


def test_the_assignment_of_a_reserved_job_whose_creation_was_taken_back_is_never_released() -> None:
    commits = GroupCommit()
    commits.add([dispatch_request(1)])
    commits.take()
    commits.add([assignment(1, is_reserved=True)])
    commits.failed()
    commits.revoke_creations()
    commits.take()
    assert commits.committed() == []


def test_a_void_job_is_not_to_be_kept() -> None:
    commits = GroupCommit()
    commits.add([request(1), SendVerdicts("w", {"AJ_1": Verdict.KEEP, "AJ_2": Verdict.KEEP})])
    commits.take()
    verdicts = {"AJ_1": Verdict.KEEP, "AJ_2": Verdict.STOP_REASSIGNED}
    assert commits.committed(frozenset({"AJ_2"})) == [SendVerdicts("w", verdicts)]


# --- unhurried moves ---------------------------------------------------------------------------


def move(job_id: str, trigger: JobTrigger, epoch: int = 1) -> RecordMove:
    """Return a move of a job that can be told from others by its epoch."""
    return RecordMove(job_id, epoch, trigger, JobState(JobPhase.ORPHANED))


def lost(job_id: str, epoch: int = 1) -> RecordMove:
    """Return the move of a job whose worker was lost."""
    return move(job_id, JobTrigger.WORKER_LOST, epoch)


def ended(job_id: str, epoch: int = 1) -> RecordMove:
    """Return a move that somebody waits for."""
    return move(job_id, JobTrigger.SUCCEEDED, epoch)


def test_a_thousand_jobs_of_lost_workers_do_not_stand_in_the_way_of_a_new_request() -> None:
    commits = GroupCommit(unhurried_max=10)
    commits.add([lost(str(number)) for number in range(1000)])
    commits.take()
    commits.add([request(1), SendTermination("w", "j")])
    commits.committed()
    assert commits.take()[0] == request(1)
    assert commits.committed() == [SendTermination("w", "j")]
    assert len(commits) == 980
    assert commits.backlog == 0


def test_the_moves_of_a_job_stay_in_order_when_one_of_them_is_hurried() -> None:
    commits = GroupCommit(unhurried_max=1)
    commits.add([lost("other"), lost("job"), ended("job")])
    assert commits.take() == [lost("job"), ended("job"), lost("other")]


def test_a_verdict_waits_for_the_unhurried_moves_that_were_made_before_it() -> None:
    commits = GroupCommit(unhurried_max=1)
    verdicts = SendVerdicts("w", {"b": Verdict.KEEP})
    commits.add([lost("a")])
    assert commits.add([lost("b"), verdicts]) == []
    assert commits.add([lost("c")]) == []
    commits.take()
    assert commits.committed() == []
    commits.take()
    assert commits.committed() == [verdicts]


def test_a_verdict_waits_for_a_move_that_changed_the_line() -> None:
    commits = GroupCommit(unhurried_max=1)
    verdicts = SendVerdicts("w", {"b": Verdict.KEEP})
    commits.add([lost("b"), verdicts])
    commits.add([ended("b")])
    assert commits.take() == [lost("b"), ended("b")]
    assert commits.committed() == [verdicts]
    assert len(commits) == 0


def test_a_stop_waits_for_an_unhurried_move_of_its_own_job() -> None:
    commits = GroupCommit()
    of_other, stop = SendTermination("older", "other"), SendTermination("older", "job")
    assert commits.add([lost("a"), move("job", JobTrigger.CLAIMED), of_other, stop]) == [of_other]
    commits.take()
    assert commits.committed() == [stop]


def test_a_stop_waits_for_an_unhurried_move_that_is_under_way() -> None:
    commits = GroupCommit(unhurried_max=2)
    commits.add([lost("job"), lost("other")])
    commits.take()
    stop = SendTermination("older", "job")
    assert commits.add([stop]) == []
    assert commits.committed() == [stop]


def test_a_verdict_of_a_job_that_the_store_refused_to_move_says_stop() -> None:
    commits = GroupCommit()
    commits.add([lost("b"), SendVerdicts("w", {"b": Verdict.KEEP})])
    commits.take()
    told = SendVerdicts("w", {"b": Verdict.STOP_REASSIGNED})
    assert commits.committed(frozenset({"b"})) == [told]


def test_a_job_is_not_assigned_to_a_worker_before_that_was_told_to_stop_an_older_run() -> None:
    commits = GroupCommit(unhurried_max=1)
    stop = SendVerdicts("w", {"AJ_1": Verdict.STOP_REASSIGNED, "b": Verdict.KEEP})
    anew, elsewhere = assignment(1), replace(assignment(1), worker_id="other")
    commits.add([lost("a"), lost("b"), stop])
    assert commits.add([anew, elsewhere]) == [elsewhere]
    commits.take()
    assert commits.committed() == []
    commits.take()
    assert commits.committed() == [stop, anew]
    assert commits.add([anew]) == [anew]


def test_a_job_is_not_assigned_before_a_stop_that_waits_for_a_hurried_request_too() -> None:
    commits = GroupCommit()
    stop = SendVerdicts("w", {"AJ_1": Verdict.STOP_REASSIGNED})
    commits.add([lost("a")])
    commits.take()
    commits.add([request(1), stop])
    commits.committed()
    anew = assignment(1)
    assert commits.add([anew]) == []
    commits.take()
    assert commits.committed() == [stop, anew]


MOVES = st.lists(
    st.one_of(
        st.lists(
            st.tuples(st.sampled_from(["lost", "ended", "request", "promise"]), st.integers(0, 3)),
            max_size=5,
        ),
        st.sampled_from(["take", "committed", "failed"]),
    ),
    max_size=80,
)


@given(acts=MOVES, batch_max=st.integers(1, 5), unhurried_max=st.integers(1, 4))
def test_whatever_is_unhurried_each_job_keeps_its_order_and_no_promise_is_early_or_forgotten(
    acts: list[list[tuple[str, int]] | str], batch_max: int, unhurried_max: int
) -> None:
    commits = GroupCommit(batch_max, unhurried_max)
    number = 0
    made: list[StoreRequest] = []
    durable: list[StoreRequest] = []
    underway: list[StoreRequest] = []
    before: dict[int, list[StoreRequest]] = {}
    sent: list[int] = []

    def see(messages: list[Message]) -> None:
        for message in messages:
            assert isinstance(message, SendStatusReceipt)
            assert all(asked in durable for asked in before[message.sequence])
            sent.append(message.sequence)

    for act in [*acts, *["committed", "take"] * (len(acts) * 5 + 2)]:
        if isinstance(act, list):
            effects: list[Effect] = []
            for kind, job in act:
                number += 1
                if kind == "promise":
                    effects.append(promise(number))
                    before[number] = list(made)
                else:
                    of_kind = {"lost": lost, "ended": ended}
                    asked = of_kind[kind](str(job), number) if kind in of_kind else request(number)
                    effects.append(asked)
                    made.append(asked)
            see(commits.add(effects))
        elif act == "take":
            batch = commits.take()
            underway = underway or list(batch)
        elif underway and act == "committed":
            durable += underway
            underway = []
            see(commits.committed())
        elif underway:
            underway = []
            commits.failed()
        assert len(commits) == len(made) - len(durable)

    assert sorted(map(repr, durable)) == sorted(map(repr, made))
    assert sorted(sent) == sorted(before)
    for job in range(4):
        of_job = [m.epoch for m in durable if isinstance(m, RecordMove) and m.job_id == str(job)]
        assert of_job == sorted(of_job)
    others = [asked for asked in durable if not isinstance(asked, RecordMove)]
    assert others == [asked for asked in made if not isinstance(asked, RecordMove)]
