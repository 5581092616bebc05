"""What an HTTP answer means."""

from __future__ import annotations

import json
from email.utils import formatdate

import pytest

from protocol import wire_pb2
from protocol.errors import TwirpCode, TwirpError
from worker_sdk.client.answers import Answer, failure_of, message_of
from worker_sdk.errors import CredentialsRefused, UnexpectedAnswer

NOW = 1_800_000_000.0


def answer(status: int, body: bytes = b"", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer("http://x/twirp", status, named, body)


def refused(code: TwirpCode, status: int | None = None, **headers: str) -> Answer:
    body = json.dumps({"code": code.value, "msg": "so"}).encode()
    return answer(status or code.http_status, body, content_type="application/json", **headers)


def test_a_message_is_read() -> None:
    dispatch = wire_pb2.AgentDispatch(id="AD_1")
    told = answer(200, dispatch.SerializeToString(), content_type="application/protobuf")
    assert message_of(told, wire_pb2.AgentDispatch) == dispatch


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"OK", "text/plain"), (b"", "text/html"), (b"\xff\xff", "application/protobuf")],
)
def test_an_answer_of_another_program_is_no_message(body: bytes, content_type: str) -> None:
    with pytest.raises(UnexpectedAnswer, match="LIVEKIT_URL"):
        message_of(answer(200, body, content_type=content_type), wire_pb2.AgentDispatch)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_without_a_server_may_have_one_soon(status: int) -> None:
    failure = failure_of(answer(status, b"<html>", content_type="text/html"))
    assert failure.may_have_happened
    assert failure.refusal is None
    assert str(status) in failure.cause


def test_a_server_that_is_unavailable_says_why_and_may_be_asked_again() -> None:
    failure = failure_of(refused(TwirpCode.UNAVAILABLE))
    assert failure.refusal is not None
    assert failure.refusal.msg == "so"


def test_lost_data_is_not_there_when_asked_again() -> None:
    with pytest.raises(TwirpError) as raised:
        failure_of(refused(TwirpCode.DATALOSS))
    assert raised.value.code is TwirpCode.DATALOSS


def test_too_many_requests_have_done_nothing_and_may_come_later() -> None:
    failure = failure_of(answer(429, b"slow down", content_type="text/plain"))
    assert not failure.may_have_happened
    assert failure.refusal is not None
    assert failure.refusal.code is TwirpCode.RESOURCE_EXHAUSTED


def test_a_limit_of_the_servers_is_not_waited_for() -> None:
    with pytest.raises(TwirpError) as raised:
        failure_of(refused(TwirpCode.RESOURCE_EXHAUSTED))
    assert raised.value.code is TwirpCode.RESOURCE_EXHAUSTED


def test_a_limit_with_a_time_is() -> None:
    failure = failure_of(refused(TwirpCode.RESOURCE_EXHAUSTED, retry_after="7"))
    assert failure.retry_after_seconds == 7.0
    assert failure.refusal is not None


@pytest.mark.parametrize("status", [429, 503])
def test_a_time_may_be_a_date(status: int) -> None:
    told = answer(status, retry_after=formatdate(NOW + 90, usegmt=True))
    assert failure_of(told, NOW).retry_after_seconds == 90.0


@pytest.mark.parametrize("text", ["soon", "-5", "1e9", "", formatdate(NOW - 90, usegmt=True)])
def test_a_time_that_is_none_or_over_is_no_time(text: str) -> None:
    assert failure_of(answer(503, retry_after=text), NOW).retry_after_seconds == 0.0


@pytest.mark.parametrize(
    "told",
    [
        answer(401, b"invalid API key: abc\n", content_type="text/plain; charset=utf-8"),
        refused(TwirpCode.UNAUTHENTICATED),
    ],
    ids=["text", "Twirp"],
)
def test_a_token_that_is_refused_names_the_remedy(told: Answer) -> None:
    with pytest.raises(CredentialsRefused, match="LIVEKIT_API_SECRET") as raised:
        failure_of(told)
    assert raised.value.code is TwirpCode.UNAUTHENTICATED


def test_what_the_server_says_of_the_token_is_told() -> None:
    with pytest.raises(CredentialsRefused, match=r"\(invalid API key: abc\)"):
        failure_of(answer(401, b"invalid API key: abc\nmore", content_type="text/plain"))


@pytest.mark.parametrize("body", [b"<html>no</html>", b"\x00\x1b[31m", b""])
def test_what_is_nothing_to_read_is_not_shown(body: bytes) -> None:
    with pytest.raises(CredentialsRefused, match=r"the token was refused; check"):
        failure_of(answer(401, body, content_type="text/html"))


@pytest.mark.parametrize(
    "told",
    [
        answer(404, b"<html>", content_type="text/html"),
        answer(500, b'["no", "error"]'),
        answer(500, b'{"code": "nonsense", "msg": ""}'),
        answer(302, b"", location="https://elsewhere"),
    ],
)
def test_an_answer_of_another_program_is_called_that(told: Answer) -> None:
    with pytest.raises(UnexpectedAnswer, match=f"HTTP {told.status}"):
        failure_of(told)


def test_any_other_error_is_the_servers_own() -> None:
    with pytest.raises(TwirpError) as raised:
        failure_of(refused(TwirpCode.FAILED_PRECONDITION))
    assert (raised.value.code, raised.value.msg) == (TwirpCode.FAILED_PRECONDITION, "so")


def test_a_call_that_livekit_server_has_not_says_so() -> None:
    call = "http://h/twirp/callboard.JobService/ListJobs"
    with pytest.raises(UnexpectedAnswer, match="livekit-server has dispatches alone"):
        failure_of(Answer(call, 404, {}, b"404 page not found"), NOW)
