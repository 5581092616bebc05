"""What a worker says next, decided without a network."""

from __future__ import annotations

import pytest

from protocol import wire_pb2
from protocol.limits import DEFAULT_LIMITS
from worker_sdk.execution import Outcome, OutcomeKind
from worker_sdk.job_request import JobRequest
from worker_sdk.ledger import JobLedger, Refusal, StopReason
from worker_sdk.outbox import StatusOutbox
from worker_sdk.planner import Consider, Order, Planner, Refuse, Send, Start, Stop

SUCCESS = Outcome(OutcomeKind.SUCCESS)
STOPPED = Outcome(OutcomeKind.STOPPED)

OURS = wire_pb2.RegisterWorkerResponse(extensions=["status_receipt"])
STOCK = wire_pb2.RegisterWorkerResponse()


@pytest.fixture
def planner() -> Planner:
    """A planner of a worker with room for two jobs, connected to a server of ours."""
    return connected_planner(OURS)


def connected_planner(response: wire_pb2.RegisterWorkerResponse) -> Planner:
    """A planner of a worker with room for two jobs, registered with this response."""
    planner = Planner(JobLedger(2), StatusOutbox())
    planner.registered(response)
    return planner


def offer(job_id: str, job_type: int = 0) -> wire_pb2.ServerMessage:
    """An offer of a job."""
    message = wire_pb2.ServerMessage()
    message.availability.job.id = job_id
    # As a number: a type that is not known yet is allowed on the wire.
    message.availability.job.MergeFromString(b"\x10" + bytes([job_type]))
    return message


def assignment(job_id: str, epoch: int | None = 1) -> wire_pb2.ServerMessage:
    """An assignment of a job."""
    return wire_pb2.ServerMessage(
        assignment=wire_pb2.JobAssignment(job=wire_pb2.Job(id=job_id), epoch=epoch)
    )


def termination(job_id: str) -> wire_pb2.ServerMessage:
    """An order to stop a job."""
    return wire_pb2.ServerMessage(termination=wire_pb2.JobTermination(job_id=job_id))


def verdict(job_id: str, said: wire_pb2.MigrateVerdict.Verdict) -> wire_pb2.ServerMessage:
    """The answer to a claim."""
    return wire_pb2.ServerMessage(
        migrate_verdicts=[wire_pb2.MigrateVerdict(job_id=job_id, verdict=said)]
    )


def considered(orders: list[Order]) -> JobRequest:
    """The one offer that is to be decided on."""
    (order,) = orders
    assert isinstance(order, Consider)
    return order.request


def sent(orders: list[Order]) -> wire_pb2.WorkerMessage:
    """The one message that is to be sent."""
    (order,) = orders
    assert isinstance(order, Send)
    return order.message


def test_an_accepted_offer_names_the_participant_that_the_handler_chose(planner: Planner) -> None:
    request = considered(planner.received(offer("AJ_1"), 0.0))
    request.accept(identity="me", name="Me", metadata="m", attributes={"a": "b"})
    answer = planner.answer(request).availability
    assert (answer.available, answer.participant_identity) == (True, "me")
    assert (answer.participant_name, answer.participant_metadata) == ("Me", "m")
    assert dict(answer.participant_attributes) == {"a": "b"}


def test_the_default_identity_is_that_of_livekits_sdk(planner: Planner) -> None:
    request = considered(planner.received(offer("AJ_1"), 0.0))
    request.accept()
    assert planner.answer(request).availability.participant_identity == "agent-AJ_1"


def test_an_offer_without_a_decision_is_declined_and_its_room_is_free(planner: Planner) -> None:
    request = considered(planner.received(offer("AJ_1"), 0.0))
    answer = planner.answer(request).availability
    assert (answer.available, answer.terminate) == (False, False)
    assert planner.ledger.held_count == 0


def test_a_handler_may_end_the_job_without_running_it(planner: Planner) -> None:
    request = considered(planner.received(offer("AJ_1"), 0.0))
    request.terminate()
    answer = planner.answer(request).availability
    assert (answer.available, answer.terminate) == (False, True)


def test_offers_that_are_being_considered_count_against_the_capacity(planner: Planner) -> None:
    planner.received(offer("AJ_1"), 0.0)
    planner.received(offer("AJ_2"), 0.0)
    (order,) = planner.received(offer("AJ_3"), 0.0)
    assert isinstance(order, Refuse)
    assert order.why is Refusal.FULL
    assert not order.message.availability.available


def test_no_offer_is_taken_while_too_many_results_are_unconfirmed() -> None:
    planner = Planner(JobLedger(2), StatusOutbox(statuses_max=1))
    planner.registered(OURS)
    planner.received(assignment("AJ_1"), 0.0)
    (order,) = planner.received(offer("AJ_2"), 0.0)
    assert isinstance(order, Refuse)
    assert order.why is Refusal.RESULTS_UNCONFIRMED


def test_no_offer_is_taken_while_no_job_would_run(planner: Planner) -> None:
    planner.is_able = False
    (order,) = planner.received(offer("AJ_1"), 0.0)
    assert isinstance(order, Refuse)
    assert order.why is Refusal.NO_PROCESS
    assert planner.worker_status(0.0).update_worker.status == wire_pb2.WS_FULL
    planner.is_able = True
    considered(planner.received(offer("AJ_1"), 1.0))


def test_a_job_of_an_unknown_type_is_declined(planner: Planner) -> None:
    assert not sent(planner.received(offer("AJ_1", job_type=77), 0.0)).availability.available


def test_an_assignment_starts_the_job_and_says_that_it_runs(planner: Planner) -> None:
    (order,) = planner.received(assignment("AJ_1", epoch=4), 0.0)
    assert isinstance(order, Start)
    assert (order.job.id, order.epoch) == ("AJ_1", 4)
    report = planner.outbox.next_unwritten()
    assert report is not None
    message = planner.job_status(report).update_job
    assert (message.status, message.epoch, message.sequence) == (wire_pb2.JS_RUNNING, 4, 1)


@pytest.mark.parametrize(
    ("registered", "said", "url"),
    [(STOCK, "", "ws://livekit"), (STOCK, "ws://sfu", "ws://sfu"), (OURS, "", "")],
    ids=["stock", "stock-that-says", "ours-without-an-sfu"],
)
def test_rooms_are_at_a_server_of_livekits_itself_where_it_does_not_say(
    registered: wire_pb2.RegisterWorkerResponse, said: str, url: str
) -> None:
    planner = connected_planner(registered)
    planner.server_url = "ws://livekit"
    message = assignment("AJ_1", epoch=None)
    message.assignment.url = said
    (start,) = planner.received(message, 0.0)
    assert isinstance(start, Start)
    assert start.url == url


def test_an_assignment_without_room_is_handed_over(planner: Planner) -> None:
    planner.received(offer("AJ_1"), 0.0)
    planner.received(offer("AJ_2"), 0.0)
    message = sent(planner.received(assignment("AJ_3"), 0.0))
    assert list(message.hand_over.job_ids) == ["AJ_3"]


def test_an_assignment_without_room_fails_at_a_server_of_livekits() -> None:
    planner = connected_planner(STOCK)
    planner.ledger.is_draining = True
    assert planner.received(assignment("AJ_1", epoch=None), 0.0) == []
    report = planner.outbox.next_unwritten()
    assert report is not None
    message = planner.job_status(report).update_job
    assert message.status == wire_pb2.JS_FAILED
    assert not message.HasField("epoch")


def test_a_reconnect_claims_running_and_unconfirmed_jobs_in_one_message(planner: Planner) -> None:
    planner.received(assignment("AJ_1"), 0.0)
    planner.received(assignment("AJ_2"), 0.0)
    planner.ended("AJ_2", 1, SUCCESS)
    (claim,) = planner.registered(OURS)
    claimed = zip(claim.migrate_job.job_ids, claim.migrate_job.epochs, strict=True)
    assert sorted(claimed) == [("AJ_1", 1), ("AJ_2", 1)]


def test_a_job_that_ended_is_not_run_again_by_an_assignment_that_is_sent_again(
    planner: Planner,
) -> None:
    planner.received(assignment("AJ_1"), 0.0)
    planner.ended("AJ_1", 1, SUCCESS)
    planner.registered(OURS)
    assert planner.received(assignment("AJ_1"), 0.0) == []
    assert planner.ledger.running_job_ids == ()


def test_a_reconnect_with_nothing_held_claims_nothing(planner: Planner) -> None:
    assert planner.registered(OURS) == []


def test_a_job_that_may_be_kept_goes_on(planner: Planner) -> None:
    planner.received(assignment("AJ_1"), 0.0)
    assert planner.received(verdict("AJ_1", wire_pb2.MigrateVerdict.KEEP), 0.0) == []
    assert planner.ledger.running_job_ids == ("AJ_1",)


@pytest.mark.parametrize(
    "said",
    [
        wire_pb2.MigrateVerdict.STOP_REASSIGNED,
        wire_pb2.MigrateVerdict.STOP_UNKNOWN,
        wire_pb2.MigrateVerdict.STOP_ENDED,
    ],
)
def test_no_result_is_told_of_a_job_that_is_no_longer_ours(
    planner: Planner, said: wire_pb2.MigrateVerdict.Verdict
) -> None:
    planner.received(assignment("AJ_1"), 0.0)
    orders = planner.received(verdict("AJ_1", said), 0.0)
    assert orders == [Stop("AJ_1", StopReason.FENCED)]
    # Whatever the function made of it: that it has stopped is all that is said.
    message = sent(planner.ended("AJ_1", 1, SUCCESS)).update_job
    assert (message.status, message.epoch) == (wire_pb2.JS_CANCELLED, 1)
    assert not message.HasField("sequence")
    assert len(planner.outbox) == 0


def test_an_unconfirmed_result_is_dropped_when_the_job_is_no_longer_ours(planner: Planner) -> None:
    planner.received(assignment("AJ_1"), 0.0)
    planner.ended("AJ_1", 1, SUCCESS)
    planner.received(verdict("AJ_1", wire_pb2.MigrateVerdict.STOP_REASSIGNED), 0.0)
    assert planner.outbox.next_unwritten() is None


def test_a_terminated_job_that_obeys_is_reported_as_cancelled(planner: Planner) -> None:
    planner.received(assignment("AJ_1"), 0.0)
    orders = planner.received(termination("AJ_1"), 0.0)
    assert orders == [Stop("AJ_1", StopReason.TERMINATED)]
    planner.ended("AJ_1", 1, STOPPED)
    report = planner.outbox.next_unwritten()
    assert report is not None
    assert planner.job_status(report).update_job.status == wire_pb2.JS_CANCELLED


def test_the_termination_of_a_job_that_does_not_run_here_is_answered(planner: Planner) -> None:
    message = sent(planner.received(termination("AJ_9"), 0.0)).update_job
    assert (message.job_id, message.status) == ("AJ_9", wire_pb2.JS_CANCELLED)


def test_a_job_that_does_not_stop_is_reported_once_and_keeps_its_room(planner: Planner) -> None:
    planner.received(assignment("AJ_1"), 0.0)
    planner.received(termination("AJ_1"), 0.0)
    assert planner.did_not_stop("AJ_1", 1, "it goes on")
    assert planner.ledger.active_count == 1
    planner.ended("AJ_1", 1, SUCCESS)
    report = planner.outbox.next_unwritten()
    assert report is not None
    assert planner.job_status(report).update_job.status == wire_pb2.JS_FAILED
    assert len(planner.outbox) == 1


def test_a_worker_that_has_to_end_hands_its_jobs_over(planner: Planner) -> None:
    planner.received(assignment("AJ_1"), 0.0)
    assert planner.stop_all() == [Stop("AJ_1", StopReason.WORKER_STOPPING)]
    message = sent(planner.ended("AJ_1", 1, STOPPED))
    assert list(message.hand_over.job_ids) == ["AJ_1"]
    assert len(planner.outbox) == 0


# ---- drains ----

YIELDING = wire_pb2.RegisterWorkerResponse(extensions=["hand_over_when_room"])


def yielded(orders: list[Order]) -> list[str]:
    """The jobs that others are to go on with when they have room."""
    (message,) = [order.message for order in orders if isinstance(order, Send)]
    assert message.hand_over.when_another_has_room
    return list(message.hand_over.job_ids)


def test_who_hands_over_names_its_jobs_for_others_with_room_and_stops_none() -> None:
    planner = connected_planner(YIELDING)
    planner.received(assignment("AJ_1"), 0.0)
    planner.received(assignment("AJ_2"), 0.0)
    assert yielded(list(planner.drain(yields=True))) == ["AJ_1", "AJ_2"]
    assert planner.ledger.running_job_ids == ("AJ_1", "AJ_2")


def test_an_assignment_that_was_promised_before_the_drain_is_named_too() -> None:
    planner = connected_planner(YIELDING)
    planner.received(assignment("AJ_1"), 0.0)
    planner.received(offer("AJ_2"), 0.0)
    planner.drain(yields=True)
    assert yielded(planner.received(assignment("AJ_2"), 0.0)) == ["AJ_1", "AJ_2"]


def test_a_new_connection_is_told_anew_what_others_shall_go_on_with() -> None:
    planner = connected_planner(YIELDING)
    planner.received(assignment("AJ_1"), 0.0)
    planner.drain(yields=True)
    claim, hand_over = planner.registered(YIELDING)
    assert list(claim.migrate_job.job_ids) == ["AJ_1"]
    assert hand_over.hand_over.when_another_has_room


@pytest.mark.parametrize("response", [OURS, STOCK], ids=["ours", "stock"])
def test_a_server_that_does_not_know_how_is_not_asked_to_give_jobs_away(
    response: wire_pb2.RegisterWorkerResponse,
) -> None:
    planner = connected_planner(response)
    planner.received(assignment("AJ_1"), 0.0)
    assert planner.drain(yields=True) == []
    assert planner.ledger.is_draining


def test_who_waits_for_its_jobs_gives_none_away() -> None:
    planner = connected_planner(YIELDING)
    planner.received(assignment("AJ_1"), 0.0)
    assert planner.drain(yields=False) == []


def test_a_job_that_comes_when_the_worker_ends_is_given_back_unstarted(planner: Planner) -> None:
    planner.received(offer("AJ_1"), 0.0)
    planner.stop_all()
    message = sent(planner.received(assignment("AJ_1"), 0.0))
    assert list(message.hand_over.job_ids) == ["AJ_1"]
    assert planner.ledger.held_count == 0


def test_a_job_that_does_not_stop_in_time_is_given_away_and_its_end_is_not_told(
    planner: Planner,
) -> None:
    planner.received(assignment("AJ_1"), 0.0)
    planner.outbox.written(1)
    planner.stop_all()
    assert list(sent(planner.abandon_all()).hand_over.job_ids) == ["AJ_1"]
    assert planner.abandon_all() == []
    message = sent(planner.ended("AJ_1", 1, SUCCESS))
    assert message.update_job.status == wire_pb2.JS_CANCELLED
    assert len(planner.outbox) == 0


def test_a_worker_counts_what_became_of_its_jobs(planner: Planner) -> None:
    planner.received(assignment("AJ_1"), 0.0)
    planner.received(assignment("AJ_2"), 0.0)
    planner.received(offer("AJ_3"), 0.0)
    planner.ended("AJ_1", 1, SUCCESS)
    planner.stop_all()
    planner.ended("AJ_2", 1, STOPPED)
    counts = planner.counts
    assert (counts.jobs_started, counts.offers_refused, counts.jobs_handed_over) == (2, 1, 1)
    assert counts.jobs_ended == {OutcomeKind.SUCCESS: 1, OutcomeKind.STOPPED: 1}


# ---- what it says of itself ----


def test_a_long_error_is_cut(planner: Planner) -> None:
    planner.received(assignment("AJ_1"), 0.0)
    planner.ended("AJ_1", 1, Outcome(OutcomeKind.FAILED, "x" * 100_000))
    report = planner.outbox.next_unwritten()
    assert report is not None
    assert len(report.error) <= DEFAULT_LIMITS.error_bytes_max


def test_a_full_worker_says_so_and_counts_running_jobs_only(planner: Planner) -> None:
    planner.received(offer("AJ_1"), 0.0)
    planner.received(assignment("AJ_2"), 0.0)
    status = planner.worker_status(0.5).update_worker
    assert (status.status, status.job_count) == (wire_pb2.WS_AVAILABLE, 1)
    planner.received(assignment("AJ_1"), 0.0)
    status = planner.worker_status(1.0).update_worker
    assert (status.status, status.job_count, status.seq) == (wire_pb2.WS_FULL, 2, 2)


def test_a_draining_worker_is_full_at_load_zero(planner: Planner) -> None:
    planner.ledger.is_draining = True
    status = planner.worker_status(0.9).update_worker
    assert (status.status, status.load, status.draining) == (wire_pb2.WS_FULL, 0.0, True)


def test_messages_that_are_not_known_ask_for_nothing(planner: Planner) -> None:
    assert planner.received(wire_pb2.ServerMessage(), 0.0) == []
    assert planner.received(wire_pb2.ServerMessage(pong=wire_pb2.WorkerPong()), 0.0) == []
