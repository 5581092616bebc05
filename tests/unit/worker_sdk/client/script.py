"""A server of the API client's that says what a test has written down, without a network."""

from __future__ import annotations

import random
import time

import httpx2
from google.protobuf.message import Message

from protocol import wire_pb2
from protocol.errors import TwirpCode
from protocol.tokens import Grants, verify
from worker_sdk import DispatchClient

KEYS = {"devkey": "a-secret-that-is-long-enough-for-hs256"}
# The call by which the client learns whose server it is.
WHOSE_SERVER = "/twirp/callboard.JobService/GetJob"

Answer = httpx2.Response | httpx2.TransportError


class Script:
    """Answers calls one after the other, the last answer for ever; keeps the requests.

    Whose server it is, it says beside the script: Callboard's (a Twirp error), else `whose`.
    """

    def __init__(self, *answers: Answer, whose: httpx2.Response | None = None) -> None:
        self._answers = list(answers)
        self._whose = whose
        self.requests: list[httpx2.Request] = []
        # how often it was asked whose server it is
        self.asked_whose = 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """The next answer."""
        if request.url.path == WHOSE_SERVER and not request.content:
            self.asked_whose += 1
            return self._whose or twirp(TwirpCode.NOT_FOUND, "the job does not exist")
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, httpx2.TransportError):
            raise answer
        return answer

    @property
    def request_ids(self) -> list[str]:
        """The names of the calls, one for each try."""
        return [request.headers["X-Livekit-Request-Id"] for request in self.requests]

    def grants(self) -> Grants:
        """What the last request's token opens."""
        token = self.requests[-1].headers["Authorization"].removeprefix("Bearer ")
        return verify(token, KEYS, time.time_ns())


def ok(message: Message) -> httpx2.Response:
    """A successful answer."""
    return httpx2.Response(
        200,
        content=message.SerializeToString(),
        headers={"Content-Type": "application/protobuf"},
    )


def dispatched(dispatch_id: str = "AD_1") -> httpx2.Response:
    """The answer of a dispatch that was made."""
    return ok(wire_pb2.AgentDispatch(id=dispatch_id))


def twirp(
    code: TwirpCode, msg: str = "so", headers: dict[str, str] | None = None
) -> httpx2.Response:
    """A Twirp error."""
    return httpx2.Response(code.http_status, json={"code": code.value, "msg": msg}, headers=headers)


def client_of(
    script: Script, retry_seconds_max: float = 30.0, call_timeout_seconds: float = 15.0
) -> DispatchClient:
    """A client that asks this script, and pauses hardly at all between its tries."""
    return DispatchClient(
        "ws://dispatcher.example",
        "devkey",
        KEYS["devkey"],
        call_timeout_seconds=call_timeout_seconds,
        retry_seconds_max=retry_seconds_max,
        rng=random.Random(1),
        transport=httpx2.MockTransport(script),
    )
