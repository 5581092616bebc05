"""LiveKit's webhooks at the door: called as ASGI, without a socket, before an engine that we hold."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence

import anyio
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit import api
from starlette.applications import Starlette
from structlog.testing import capture_logs

from dispatcher.config import ApiKey
from dispatcher.core.effects import Outcome, Reply
from dispatcher.core.events import RoomEventReported
from dispatcher.core.room_events import RoomEvent
from dispatcher.runtime import Overloaded
from dispatcher.server.access import Access
from dispatcher.server.limits import ServerLimits
from dispatcher.server.room_reports import RoomReports
from dispatcher.server.webhooks import PATH, Webhooks
from protocol.errors import StoreCorrupt, StoreFull
from protocol.limits import WireLimits
from tests.support.livekit_webhooks import (
    BODIES,
    CONTENT_TYPE,
    contents,
    digest,
    encoded,
    signature,
)

pytestmark = pytest.mark.anyio

KEY, SECRET = "devkey", "a-secret-of-the-tests-that-is-long-enough"
OTHER_KEY, OTHER_SECRET = "otherkey", "another-secret-of-the-tests-long-enough"
KEYS = {KEY: ApiKey(SECRET), OTHER_KEY: ApiKey(OTHER_SECRET, project="other")}
BODY = BODIES[0]
LIMITS = ServerLimits(wire=WireLimits(body_bytes_max=4096), body_timeout_seconds=0.2)


class Engine:
    """Answers as it is told to, and keeps what it was told."""

    def __init__(self) -> None:
        self.events: list[RoomEvent] = []
        self.outcome: Outcome | Exception = Outcome.DONE

    async def ask(self, make_event: Callable[[int], RoomEventReported], /) -> Reply:
        """Take an event in, and answer."""
        if isinstance(self.outcome, Exception):
            raise self.outcome
        self.events.append(make_event(len(self.events)).event)
        return Reply(len(self.events), self.outcome, detail="why")


class Door:
    """The webhooks' door of a server, and what is behind it."""

    def __init__(
        self,
        keys: Sequence[dict[str, ApiKey]] = (KEYS,),
        limits: ServerLimits = LIMITS,
        event_ids_max: int = 100,
    ) -> None:
        self.engine = Engine()
        signers = [Access(each, limits.wire) for each in keys]
        reports = RoomReports(self.engine, event_ids_max)
        webhooks = Webhooks(signers, reports, limits, time.time_ns)
        self._app = Starlette(routes=webhooks.routes())

    async def post(
        self,
        body: bytes | AsyncIterator[bytes] = BODY,
        token: str | None = None,
        content_type: str = CONTENT_TYPE,
    ) -> httpx2.Response:
        """Send a webhook: a right one, unless told otherwise."""
        if token is None:
            assert isinstance(body, bytes)
            token = signature(body, KEY, SECRET)
        headers = {"Authorization": token, "Content-Type": content_type}
        transport = httpx2.ASGITransport(app=self._app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post(PATH, content=body, headers=headers)

    async def refuses(self, status: int, body: bytes = BODY, token: str | None = None) -> str:
        """Send a webhook that must be refused, and reach nothing; return the one line."""
        response = await self.post(body, token)
        assert (response.status_code, self.engine.events) == (status, [])
        assert response.text.count("\n") == 1
        assert response.text.endswith("\n")
        return response.text.rstrip("\n")


@pytest.fixture
def door() -> Door:
    """A door with an engine that takes what comes."""
    return Door()


# --- what is taken ---------------------------------------------------------------------------------


async def test_each_event_of_a_rooms_life_is_taken(door: Door) -> None:
    for body in BODIES:
        assert (await door.post(body)).status_code == 200
    assert [event.kind.value for event in door.engine.events] == [
        content["event"] for content in contents()
    ]


@pytest.mark.parametrize("prefix", ["", "Bearer ", "bearer  "])
async def test_the_token_may_follow_the_word_bearer(door: Door, prefix: str) -> None:
    response = await door.post(BODY, prefix + signature(BODY, KEY, SECRET))
    assert (response.status_code, len(door.engine.events)) == (200, 1)


async def test_livekits_own_token_is_taken(door: Door) -> None:
    token = api.AccessToken(KEY, SECRET).with_sha256(digest(BODY)).to_jwt()
    assert (await door.post(BODY, token)).status_code == 200


@pytest.mark.parametrize(
    "content_type", [CONTENT_TYPE, "application/json", "Application/Webhook+JSON; charset=utf-8"]
)
async def test_the_content_type_is_livekits_or_json(door: Door, content_type: str) -> None:
    assert (await door.post(content_type=content_type)).status_code == 200


@pytest.mark.parametrize(
    ("key", "secret", "project"),
    [(KEY, SECRET, "default"), (OTHER_KEY, OTHER_SECRET, "other")],
)
async def test_the_key_says_which_project_is_meant(
    door: Door, key: str, secret: str, project: str
) -> None:
    await door.post(BODY, signature(BODY, key, secret))
    assert [event.project for event in door.engine.events] == [project]


@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET])
async def test_an_sfu_that_has_the_same_key_with_another_secret_is_known(secret: str) -> None:
    door = Door(keys=[{KEY: ApiKey(OTHER_SECRET)}, KEYS])
    assert (await door.post(BODY, signature(BODY, KEY, secret))).status_code == 200


async def test_what_is_not_about_who_is_in_a_room_is_accepted_and_does_nothing(door: Door) -> None:
    body = encoded({**contents()[1], "event": "participant_connection_aborted"})
    assert (await door.post(body)).status_code == 200
    assert door.engine.events == []


# --- what comes again --------------------------------------------------------------------------------


async def test_a_replay_is_accepted_and_does_nothing(door: Door) -> None:
    token = signature(BODY, KEY, SECRET)
    assert [(await door.post(BODY, token)).status_code for _ in range(2)] == [200, 200]
    assert len(door.engine.events) == 1


async def test_an_event_without_an_id_is_known_again_by_its_body(door: Door) -> None:
    body = encoded({name: said for name, said in contents()[0].items() if name != "id"})
    for _ in range(2):
        assert (await door.post(body)).status_code == 200
    assert len(door.engine.events) == 1


# --- what is refused -------------------------------------------------------------------------------


async def test_a_body_changed_by_one_byte_is_refused(door: Door) -> None:
    changed = BODY.replace(b"call-1", b"call-2")
    line = await door.refuses(401, changed, signature(BODY, KEY, SECRET))
    assert line == "invalid token: the body is not the one that was signed (sha256)"


@pytest.mark.parametrize(
    ("make_token", "why"),
    [
        (lambda: "", "the token is missing"),
        (lambda: "Basic dXNlcjpwYXNz", "the token is not a signed JWT"),
        (lambda: signature(BODY, KEY, OTHER_SECRET), "the signature is wrong"),
        (lambda: signature(BODY, "nokey", SECRET), "the API key (iss) is not known"),
        (lambda: signature(BODY, KEY, SECRET, at_seconds=-3600), "the token has expired"),
        (lambda: signature(BODY, KEY, SECRET, at_seconds=3600), "the token is not valid yet"),
        (lambda: signature(BODY, KEY, SECRET, sha256=None), "claim sha256 is missing"),
        (lambda: signature(BODY, KEY, SECRET, sha256=7), "claim sha256 is not a string"),
        (
            lambda: signature(BODY, KEY, SECRET, sha256="é" * 44),
            "the body is not the one that was signed (sha256)",
        ),
    ],
)
async def test_a_token_that_does_not_sign_the_body_is_refused(
    door: Door, make_token: Callable[[], str], why: str
) -> None:
    assert await door.refuses(401, BODY, make_token()) == f"invalid token: {why}"


async def test_the_token_of_an_sfu_of_another_secret_says_what_is_wrong_with_it() -> None:
    door = Door(keys=[{**KEYS, "sfukey": ApiKey(OTHER_SECRET)}, KEYS])
    token = signature(BODY, "sfukey", OTHER_SECRET, at_seconds=-3600)
    assert await door.refuses(401, BODY, token) == "invalid token: the token has expired"


async def test_another_content_type_is_refused(door: Door) -> None:
    response = await door.post(content_type="text/plain")
    assert (response.status_code, door.engine.events) == (415, [])


@pytest.mark.parametrize("size", [4097, 100_000])
async def test_a_body_over_the_limit_is_refused(door: Door, size: int) -> None:
    line = await door.refuses(413, BODY.ljust(size))
    assert line == "the body has more than 4096 bytes, which is the limit"


async def test_a_body_that_does_not_end_is_refused_in_time(door: Door) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield BODY[:10]
        await anyio.sleep(30)

    with anyio.fail_after(60):
        response = await door.post(slow(), signature(BODY, KEY, SECRET))
    assert (response.status_code, door.engine.events) == (408, [])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b"[]", "the body is not a JSON object"),
        (b'{"event": "room_started", "room": 7}', "the body is not a LiveKit event"),
        (b'{"event": "room_started"}', "room.name is missing"),
        (
            encoded({"event": "room_started", "room": {"name": "r" * 300}}),
            "room.name has 300 bytes, the limit is 256",
        ),
    ],
)
async def test_a_body_that_is_no_event_is_refused(door: Door, body: bytes, why: str) -> None:
    assert await door.refuses(400, body) == why


# --- what LiveKit is to send again, and what not -------------------------------------------------------


@pytest.mark.parametrize(
    "error", [Overloaded("too much at once"), StoreFull("no space left", "/data", "free some")]
)
async def test_what_cannot_be_taken_now_is_to_be_sent_again(door: Door, error: Exception) -> None:
    door.engine.outcome = error
    response = await door.post()
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    door.engine.outcome = Outcome.DONE
    assert (await door.post()).status_code == 200
    assert len(door.engine.events) == 1


async def test_what_is_over_a_bound_of_the_core_is_not_sent_again_and_is_logged(
    door: Door,
) -> None:
    door.engine.outcome = Outcome.REFUSED
    with capture_logs() as entries:
        assert (await door.post()).status_code == 200
    assert entries == [
        {
            "event": "room_event_refused",
            "log_level": "warning",
            "kind": "room_started",
            "project": "default",
            "room": "call-1",
            "reason": "why",
            "times": 1,
        }
    ]


async def test_a_room_that_refuses_any_number_is_logged_now_and_then(door: Door) -> None:
    door.engine.outcome = Outcome.REFUSED
    of_two_rooms = [contents()[0] | {"id": "", "room": {"name": name}} for name in ("full", "too")]
    with capture_logs() as entries:
        for number in range(100):
            body = encoded(of_two_rooms[0] | {"createdAt": 1_000_000 + number})
            assert (await door.post(body)).status_code == 200
        await door.post(encoded(of_two_rooms[1]))
    refused = [entry for entry in entries if entry["event"] == "room_event_refused"]
    assert [entry["times"] for entry in refused] == [1, 2, 4, 8, 16, 32, 64, 1]
    assert [entry["room"] for entry in refused] == ["full"] * 7 + ["too"]


@pytest.mark.parametrize(
    "error",
    [ValueError("a secret of ours"), StoreCorrupt("page 7 is damaged", "/data", "restore it")],
)
async def test_a_bug_is_internal_and_tells_the_sender_nothing(door: Door, error: Exception) -> None:
    door.engine.outcome = error
    with capture_logs() as entries:
        response = await door.post()
    assert (response.status_code, response.text) == (500, "internal error\n")
    assert [entry["event"] for entry in entries] == ["webhook_failed"]


async def test_a_flood_of_refusals_is_logged_now_and_then(door: Door) -> None:
    with capture_logs() as entries:
        for _ in range(100):
            await door.refuses(401, BODY, "no.such.token")
    assert [entry["times"] for entry in entries] == [1, 2, 4, 8, 16, 32, 64]
    assert {entry["event"] for entry in entries} == {"webhook_refused"}


# --- whatever comes ----------------------------------------------------------------------------------


@settings(max_examples=150)
@given(
    token=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)
    | st.just(signature(BODY, KEY, SECRET)),
    content_type=st.sampled_from([CONTENT_TYPE, "text/plain", ";", ""]),
    body=st.binary(max_size=60) | st.just(BODY + b" "),
)
async def test_whatever_comes_unsigned_is_refused_in_one_line(
    token: str, content_type: str, body: bytes
) -> None:
    door = Door()
    response = await door.post(body, token, content_type)
    assert response.status_code in (401, 415)
    assert response.text.count("\n") == 1
    assert door.engine.events == []


@settings(max_examples=150)
@given(st.sampled_from(BODIES), st.data())
async def test_whatever_is_signed_is_taken_or_refused_in_one_line(
    body: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(body) - 1))
    damaged = body[:at] + data.draw(st.binary(max_size=5)) + body[at + 1 :]
    door = Door()
    response = await door.post(damaged)
    assert response.status_code in (200, 400)
    assert response.text.count("\n") == 1
