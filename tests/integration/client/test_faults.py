"""Calls whose answer was lost, cut, or late, and a server that was killed in between."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from protocol import api_pb2, wire_pb2
from tests.integration.cli.callboard import KEY, SECRET, Server, served
from tests.integration.client.forms import asker, both_forms
from tests.integration.client.relay import Fault, relay_to
from worker_sdk import CallTimedOut, CredentialsRefused, ServerUnreachable

pytestmark = both_forms


def test_a_server_that_is_killed_before_it_could_answer_makes_one_dispatch(
    tmp_path: Path, form: str
) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(served(tmp_path))

        def restart() -> None:
            first.process.kill()
            first.process.wait()
            stack.enter_context(served(tmp_path, "--port", str(first.port)))

        relay = stack.enter_context(relay_to(first.port, Fault.LOST, on_fault=restart))
        ask = asker(form, relay.url, KEY, SECRET)
        made = ask("create_dispatch", "lobby", "nobody")
        assert [answer.split()[1] for answer in relay.answers] == ["200", "404", "200"]
        (kept,) = ask("list_dispatches", "lobby")
        assert kept.id == made.id
        (job,) = ask("list_jobs", room="lobby").jobs
        assert job.job.dispatch_id == made.id


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.CUT, Fault.LATE])
def test_a_dispatch_whose_answer_did_not_come_is_made_once(
    server: Server, form: str, fault: Fault
) -> None:
    room = f"once-{fault.value}-{form}"
    with relay_to(server.port, fault, fault) as relay:
        # Whoever waits in vain does so for less long than a busy machine may take for other answers.
        seconds = 1.5 if fault is Fault.LATE else 60.0
        ask = asker(form, relay.url, KEY, SECRET, call_timeout_seconds=seconds)
        made = ask("create_dispatch", room, "nobody")
        answers = len(relay.answers)  # with the question whose server it is, which was lost too
        assert answers == 4 or (fault is Fault.LATE and answers > 4)
        assert [each.id for each in ask("list_dispatches", room)] == [made.id]


def test_an_answer_that_does_not_come_in_time_is_one_clear_error(server: Server, form: str) -> None:
    with relay_to(server.port, Fault.LATE) as relay:
        ask = asker(form, relay.url, KEY, SECRET, call_timeout_seconds=0.5, retry_seconds_max=0)
        with pytest.raises(CallTimedOut, match=r"1 attempt \(none within 0.5 s\).*slow"):
            ask("list_jobs")


def test_a_rule_that_may_have_been_applied_is_not_applied_again(server: Server, form: str) -> None:
    rule = api_pb2.Rule(name=f"once-{form}", type=wire_pb2.JT_ROOM, agent_name="nobody")
    with relay_to(server.port, Fault.LOST) as relay:
        ask = asker(form, relay.url, KEY, SECRET)
        with pytest.raises(ServerUnreachable, match="may be done or not") as raised:
            ask("apply_rule", rule)
        assert raised.value.may_have_happened
        assert len(relay.answers) == 1
        found = ask("get_rule", rule.name)
        assert found.version == 1
        # With its version it is, and the server knows what it has done.
        found.priority = 7
        relay._faults.append(Fault.LOST)
        assert ask("apply_rule", found).rule.version == 2
        relay._faults.append(Fault.LOST)
        assert ask("delete_rule", rule.name).name == rule.name


def test_a_room_event_whose_answer_was_lost_happens_once(server: Server, form: str) -> None:
    event = api_pb2.RoomEvent(event="room_started", room=wire_pb2.Room(name=f"told-{form}"))
    with relay_to(server.port, Fault.LOST) as relay:
        told = asker(form, relay.url, KEY, SECRET)("report_room_event", event)
        assert told.told_before
        assert len(relay.answers) == 2


def test_a_secret_that_is_wrong_is_one_clear_error(server: Server, form: str) -> None:
    ask = asker(form, server.env["LIVEKIT_URL"], KEY, "another-secret-that-is-long-enough-too")
    with pytest.raises(CredentialsRefused, match=r"signature.*LIVEKIT_API_SECRET are a pair"):
        ask("list_jobs")
    with pytest.raises(CredentialsRefused):
        ask("create_dispatch", "lobby", "nobody")
