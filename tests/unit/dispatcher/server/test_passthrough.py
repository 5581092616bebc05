"""Calls passed on to an SFU that a test plays: bounds, outages, and CreateRoom on its way."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import pytest
from google.protobuf import json_format
from structlog.testing import capture_logs

from dispatcher.config import ApiKey
from dispatcher.runtime import Overloaded
from dispatcher.server.create_room import NOBODY, RoomMaking, mark_of
from dispatcher.server.limits import ServerLimits
from dispatcher.server.passthrough import Passthrough, is_of_media
from dispatcher.sfu.access import sfu_access
from dispatcher.sfu.client import SfuError
from dispatcher.sfu.limits import SfuLimits
from protocol import wire_pb2
from protocol.errors import TwirpCode, TwirpError
from protocol.tokens import mint_api_token, verify
from tests.conformance.waiting import eventually

pytestmark = pytest.mark.anyio

SECRET = "a-secret-of-ours-that-is-long-enough"
KEYS = {"ours": ApiKey(SECRET), "theirs": ApiKey(SECRET + "2", project="other")}
SFU_URL = "ws://sfu.example:7880"
CREATE = "/twirp/livekit.RoomService/CreateRoom"
LIST = "/twirp/livekit.RoomService/ListRooms"
PROTOBUF, JSON = "application/protobuf", "application/json"
GREETED = {"name": "lobby", "agents": [{"agentName": "greeter"}]}


@dataclass
class FakeSfu:
    """Keeps the requests that reach it, and answers all of them the same."""

    status: int = 200
    content: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": JSON})
    # it answers when this is set
    is_open: anyio.Event = field(default_factory=anyio.Event)
    requests: list[httpx2.Request] = field(default_factory=list)
    given_up: int = 0

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        try:
            await self.is_open.wait()
        except anyio.get_cancelled_exc_class():
            self.given_up += 1
            raise
        stream = httpx2.ByteStream(self.content)  # not read yet, as from the network
        return httpx2.Response(self.status, stream=stream, headers=self.headers)


@pytest.fixture
def sfu() -> FakeSfu:
    fake = FakeSfu()
    fake.is_open.set()
    return fake


Handler = Callable[[httpx2.Request], Coroutine[None, None, httpx2.Response]]


def passthrough_to(handler: Handler, rooms: RoomMaking | None = None, **limits: Any) -> Passthrough:
    return Passthrough(
        sfu_access(SFU_URL, "", "", KEYS),
        KEYS,
        "rooms-of-the-sfu",
        time.time_ns,
        ServerLimits(),
        SfuLimits(**limits),
        rooms,
        transport=httpx2.MockTransport(handler),
    )


def caller_of(app: Passthrough, key: str = "ours") -> httpx2.AsyncClient:
    secret = KEYS[key].secret if key in KEYS else "a-secret-of-a-key-that-only-the-sfu-knows"
    token = mint_api_token(key, secret, now_ns=time.time_ns(), room_create=True)
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app),
        base_url="http://callboard",
        headers={"authorization": f"Bearer {token}", "content-type": JSON},
    )


# --- there and back ---


async def test_a_call_goes_on_with_all_that_it_has(sfu: FakeSfu) -> None:
    headers = {"x-livekit-request-id": "r1", "user-agent": "backend/1", "accept": "*/*"}
    async with caller_of(passthrough_to(sfu)) as caller:
        await caller.post(f"{LIST}?a=%2F&b=c", content=b'{"names": []}', headers=headers)
        authorization = caller.headers["authorization"]

    (request,) = sfu.requests
    assert str(request.url) == f"http://sfu.example:7880{LIST}?a=%2F&b=c"
    assert request.content == b'{"names": []}'
    assert request.headers["host"] == "sfu.example:7880"
    assert request.headers["authorization"] == authorization
    assert headers.items() <= dict(request.headers).items()


async def test_headers_of_one_connection_stay_on_it(sfu: FakeSfu) -> None:
    sfu.headers["keep-alive"] = "timeout=5"
    async with caller_of(passthrough_to(sfu)) as caller:
        answer = await caller.post(LIST, content=b"{}", headers={"te": "trailers"})

    assert "te" not in sfu.requests[0].headers
    assert "keep-alive" not in answer.headers


async def test_a_redirect_comes_back_and_is_not_followed(sfu: FakeSfu) -> None:
    sfu.status, sfu.headers = 302, {"location": "http://elsewhere.example/"}
    async with caller_of(passthrough_to(sfu)) as caller:
        answer = await caller.post(LIST, content=b"{}")

    assert (answer.status_code, answer.headers["location"]) == (302, "http://elsewhere.example/")
    assert len(sfu.requests) == 1


@pytest.mark.parametrize(
    ("method", "path", "is_taken"),
    [
        ("POST", LIST, True),
        ("POST", "/twirp/livekit.SIP/CreateSIPParticipant", True),
        ("GET", LIST, True),
        ("OPTIONS", LIST, True),
        ("POST", "/twirp/livekit.RoomService/", False),
        ("POST", "/twirp/livekit.RoomService/../../rtc", False),
        ("POST", "/twirp/livekit.RoomService/ListRooms/more", False),
        ("POST", "/twirp/livekit.RoomService/List\nRooms", False),
        ("POST", "/twirp/livekit.RoomService/ListRooms\n", False),
        ("POST", "/twirp/callboard.RuleService/ApplyRule", False),
    ],
)
async def test_only_what_has_the_form_of_a_call_is_taken(
    method: str, path: str, is_taken: bool
) -> None:
    assert Passthrough.takes({"method": method, "path": path}) is is_taken


@pytest.mark.parametrize(
    ("path", "is_media"),
    [("/rtc", True), ("/rtc/v1", True), ("//rtc", True), ("/rtcs", False), ("/agent", False)],
)
async def test_paths_of_media_are_known(path: str, is_media: bool) -> None:
    assert is_of_media(path) is is_media


# --- tokens ---

SFU_SECRET = "a-secret-of-the-sfu-that-is-long-enough"


def own_key_passthrough_to(handler: Handler) -> Passthrough:
    """In front of an SFU that knows none of our keys."""
    return Passthrough(
        sfu_access(SFU_URL, "sfukey", SFU_SECRET, KEYS),
        KEYS,
        "default",
        time.time_ns,
        ServerLimits(),
        transport=httpx2.MockTransport(handler),
    )


def sent_token(request: httpx2.Request) -> str:
    return request.headers["authorization"].removeprefix("Bearer ")


async def test_a_token_of_ours_goes_on_under_the_sfus_key_wherever_it_stood(sfu: FakeSfu) -> None:
    async with caller_of(own_key_passthrough_to(sfu)) as caller:
        token = caller.headers.pop("authorization").removeprefix("Bearer ")
        await caller.post(LIST, content=b"{}", headers={"authorization": f"Bearer {token}"})
        await caller.post(f"{LIST}?access_token={token}", content=b"{}")

    for request in sfu.requests:
        grants = verify(sent_token(request), {"sfukey": SFU_SECRET}, time.time_ns())
        assert (grants.room_create, grants.room_list) == (True, False)


def forged(secret: str = SECRET, at_seconds: float = 0.0) -> str:
    now_ns = time.time_ns() + round(at_seconds * 1e9)
    return mint_api_token("ours", secret, now_ns=now_ns, room_list=True, life_seconds=60)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(forged(secret="a-secret-that-somebody-has-guessed-wrongly"), id="secret"),
        pytest.param(forged(at_seconds=-3600), id="expired"),
        pytest.param(forged()[:-4] + "AAAA", id="signature"),
        pytest.param(forged().rpartition(".")[0] + ".", id="no signature"),
        pytest.param("." + forged().partition(".")[2], id="no header"),
    ],
)
async def test_a_token_that_we_cannot_verify_is_never_signed_anew(sfu: FakeSfu, token: str) -> None:
    async with caller_of(own_key_passthrough_to(sfu)) as caller:
        headers = {"authorization": f"Bearer {token}"}
        answer = await caller.post(LIST, content=b"{}", headers=headers)

    assert answer.status_code == 401
    assert sfu.requests == []


async def test_a_token_of_a_key_that_is_not_ours_goes_on_as_it_is(sfu: FakeSfu) -> None:
    async with caller_of(own_key_passthrough_to(sfu), "sfukey") as caller:
        await caller.post(LIST, content=b"{}")
        assert sfu.requests[0].headers["authorization"] == caller.headers["authorization"]


# --- bounds ---


async def test_a_body_over_its_limit_is_refused_and_does_not_go_on(sfu: FakeSfu) -> None:
    async with caller_of(passthrough_to(sfu, passthrough_body_bytes_max=100)) as caller:
        answer = await caller.post(LIST, content=b"x" * 101)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument")
    assert "100 bytes" in answer.json()["msg"]
    assert sfu.requests == []


async def test_an_answer_over_its_limit_is_refused(sfu: FakeSfu) -> None:
    sfu.content = b"x" * 101
    async with caller_of(passthrough_to(sfu, answer_bytes_max=100)) as caller:
        answer = await caller.post(LIST, content=b"{}")

    assert (answer.status_code, answer.json()["code"]) == (429, "resource_exhausted")


async def test_an_sfu_that_hangs_is_given_up_at_the_deadline(sfu: FakeSfu) -> None:
    sfu.is_open = anyio.Event()
    async with caller_of(passthrough_to(sfu, passthrough_timeout_seconds=0.05)) as caller:
        with anyio.fail_after(60):
            answer = await caller.post(LIST, content=b"{}")

    assert (answer.status_code, answer.json()["code"]) == (408, "deadline_exceeded")
    assert SFU_URL in answer.json()["msg"]


async def test_calls_beyond_the_limit_are_refused_until_one_is_answered(sfu: FakeSfu) -> None:
    sfu.is_open = anyio.Event()
    async with caller_of(passthrough_to(sfu, passthrough_calls_max=1)) as caller:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: caller.post(LIST, content=b"{}"))
            await eventually("the first call is under way", lambda: sfu.requests)
            refused = await caller.post(LIST, content=b"{}")
            sfu.is_open.set()
        passed = await caller.post(LIST, content=b"{}")

    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert passed.status_code == 200


async def test_an_sfu_that_cannot_be_reached_is_unavailable_and_named() -> None:
    async def fail(_request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    async with caller_of(passthrough_to(fail)) as caller:
        answer = await caller.post(LIST, content=b"{}")

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert SFU_URL in answer.json()["msg"]


async def test_the_sfu_sees_that_a_caller_went_away(sfu: FakeSfu) -> None:
    sfu.is_open = anyio.Event()
    gone = anyio.Event()
    body: list[dict[str, object]] = [{"type": "http.request", "body": b"{}", "more_body": False}]

    async def receive() -> dict[str, object]:
        if body:
            return body.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(_message: object) -> None: ...

    scope = {"method": "POST", "path": LIST, "query_string": b"", "headers": []}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(passthrough_to(sfu), scope, receive, send)
        await eventually("the call is under way", lambda: sfu.requests)
        gone.set()

    assert sfu.given_up == 1


# --- CreateRoom ---


@dataclass
class Board:
    """Takes what CreateRoom asked for, or fails as it is told; has one preset, "big"."""

    taken: list[tuple[str, wire_pb2.CreateRoomRequest]] = field(default_factory=list)
    rooms: list[wire_pb2.Room] = field(default_factory=list)
    # what it was told, in order
    told: list[str] = field(default_factory=list)
    tells_names: bool | None = None
    # what the preset has for an egress
    egress: bytes = b""
    failure: Exception | None = None

    def resolve(
        self, project: str, request: wire_pb2.CreateRoomRequest, *, tells_names: bool
    ) -> wire_pb2.CreateRoomRequest:
        self.tells_names = tells_names
        if not request.room_preset:
            return request
        if request.room_preset != "big":
            raise TwirpError(TwirpCode.INVALID_ARGUMENT, f"no preset {request.room_preset!r}")
        resolved = wire_pb2.CreateRoomRequest()
        resolved.CopyFrom(request)
        resolved.room_preset = ""
        resolved.max_participants = 500
        if self.egress:
            resolved.egress.ParseFromString(self.egress)
        if not request.agents:
            resolved.agents.add(agent_name=f"usher-of-{project}")
        return resolved

    def announce(self, project: str, wanted: wire_pb2.CreateRoomRequest) -> None:
        self.told.append(f"announced {wanted.name}")

    def withdraw(self, project: str, wanted: wire_pb2.CreateRoomRequest) -> None:
        self.told.append(f"withdrawn {wanted.name}")

    async def created(
        self, project: str, wanted: wire_pb2.CreateRoomRequest, room: wire_pb2.Room
    ) -> None:
        if self.failure is not None:
            raise self.failure
        self.told.append(f"created {wanted.name}")
        self.taken.append((project, wanted))
        self.rooms.append(room)


@pytest.fixture
def board() -> Board:
    return Board()


def asked(*agents: str) -> wire_pb2.CreateRoomRequest:
    request = wire_pb2.CreateRoomRequest(name="lobby", metadata="words")
    for name in agents:
        request.agents.add(agent_name=name, metadata="m")
    return request


async def test_the_sfu_is_asked_for_a_room_with_nobody_and_the_board_gets_the_agents(
    sfu: FakeSfu, board: Board
) -> None:
    # A field that our schema does not have goes on with the rest.
    unknown = bytes([0xFA, 0x3E, 0x01, 0x7F])
    body = asked("greeter", "scribe").SerializeToString() + unknown
    async with caller_of(passthrough_to(sfu, board)) as caller:
        await caller.post(CREATE, content=body, headers={"content-type": PROTOBUF})

    sent = wire_pb2.CreateRoomRequest.FromString(sfu.requests[0].content)
    (nobody,) = sent.agents
    assert (nobody.agent_name, len(nobody.metadata)) == (NOBODY, 64)
    assert (sent.name, sent.metadata) == ("lobby", "words")
    assert sfu.requests[0].content.endswith(unknown)
    ((project, request),) = board.taken
    assert project == "default"
    assert [agent.agent_name for agent in request.agents] == ["greeter", "scribe"]


async def test_a_room_without_agents_is_made_with_nobody_and_is_no_business_of_the_board(
    sfu: FakeSfu, board: Board
) -> None:
    async with caller_of(passthrough_to(sfu, board)) as caller:
        await caller.post(CREATE, json={"name": "lobby"})

    assert json.loads(sfu.requests[0].content) == {
        "name": "lobby",
        "agents": [{"agent_name": NOBODY}],
    }
    assert board.told == []


async def test_the_mark_tells_agents_apart_in_whatever_form_they_came(
    sfu: FakeSfu, board: Board
) -> None:
    one = asked("greeter", "scribe").agents
    other = asked("greetersc", "ribe").agents
    async with caller_of(passthrough_to(sfu, board)) as caller:
        agents = [{"agentName": name, "metadata": "m"} for name in ("greeter", "scribe")]
        await caller.post(CREATE, json={"name": "lobby", "agents": agents})

    sent = json.loads(sfu.requests[0].content)
    assert sent["agents"] == [{"agent_name": NOBODY, "metadata": mark_of(one)}]
    assert mark_of(one) != mark_of(other) != mark_of(one[::-1]) != mark_of(one)
    assert mark_of([]) == ""


async def test_agents_in_json_are_replaced_and_all_else_is_as_it_came(
    sfu: FakeSfu, board: Board
) -> None:
    content = {
        "name": "lobby",
        "emptyTimeout": 30,
        "egress": {"room": {"audioOnly": True}},
        "newField": [1],
        "agents": [{"agentName": "greeter"}],
    }
    async with caller_of(passthrough_to(sfu, board)) as caller:
        await caller.post(CREATE, json=content)

    ((_, request),) = board.taken
    mark = mark_of(request.agents)
    nobody = {"agent_name": NOBODY, "metadata": mark}
    assert json.loads(sfu.requests[0].content) == {**content, "agents": [nobody]}
    assert [agent.agent_name for agent in request.agents] == ["greeter"]
    assert request.empty_timeout == 30


@pytest.mark.parametrize("form", [PROTOBUF, JSON])
async def test_a_preset_is_resolved_before_the_sfu_is_asked(
    sfu: FakeSfu, board: Board, form: str
) -> None:
    content = {"name": "lobby", "roomPreset": "big", "newField": 1, "maxParticipants": 2}
    request = json_format.ParseDict(
        content, wire_pb2.CreateRoomRequest(), ignore_unknown_fields=True
    )
    body = json.dumps(content).encode() if form == JSON else request.SerializeToString()
    async with caller_of(passthrough_to(sfu, board)) as caller:
        await caller.post(CREATE, content=body, headers={"content-type": form})

    if form == JSON:
        assert json.loads(sfu.requests[0].content) == {
            "name": "lobby",
            "newField": 1,
            "max_participants": 500,
            "agents": [{"agent_name": NOBODY, "metadata": mark_of(board.taken[0][1].agents)}],
        }
    else:
        sent = wire_pb2.CreateRoomRequest.FromString(sfu.requests[0].content)
        assert (sent.room_preset, sent.max_participants) == ("", 500)
        assert [agent.agent_name for agent in sent.agents] == [NOBODY]
    ((_, taken),) = board.taken
    assert [agent.agent_name for agent in taken.agents] == ["usher-of-default"]


@pytest.mark.parametrize(("form", "status"), [(PROTOBUF, 200), (JSON, 412)])
async def test_an_egress_of_a_preset_is_given_to_calls_that_can_carry_it(
    sfu: FakeSfu, board: Board, form: str, status: int
) -> None:
    board.egress = b"\x0a\x02hi"  # of LiveKit's own: our schema carries it without reading it
    request = wire_pb2.CreateRoomRequest(name="lobby", room_preset="big")
    body = request.SerializeToString() if form == PROTOBUF else b'{"name":"x","room_preset":"big"}'
    async with caller_of(passthrough_to(sfu, board)) as caller:
        answer = await caller.post(CREATE, content=body, headers={"content-type": form})

    assert answer.status_code == status
    sent = [wire_pb2.CreateRoomRequest.FromString(each.content) for each in sfu.requests]
    assert [each.egress.SerializeToString() for each in sent] == [board.egress] * (status == 200)


async def test_a_preset_that_is_unknown_asks_for_nothing(sfu: FakeSfu, board: Board) -> None:
    async with caller_of(passthrough_to(sfu, board)) as caller:
        answer = await caller.post(CREATE, json={"name": "lobby", "room_preset": "small"})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument")
    assert sfu.requests == []
    assert board.taken == []


async def test_the_board_is_told_only_after_the_sfu_said_yes(sfu: FakeSfu, board: Board) -> None:
    sfu.is_open = anyio.Event()
    async with caller_of(passthrough_to(sfu, board)) as caller, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: caller.post(CREATE, json=GREETED))
        await eventually("the SFU is asked", lambda: sfu.requests)
        await anyio.wait_all_tasks_blocked()
        assert board.told == ["announced lobby"]
        sfu.is_open.set()

    assert board.told == ["announced lobby", "created lobby"]


@pytest.mark.parametrize("form", [PROTOBUF, JSON])
async def test_the_board_is_told_which_room_it_is(sfu: FakeSfu, board: Board, form: str) -> None:
    room = wire_pb2.Room(sid="RM_1", name="lobby", creation_time_ms=5)
    sfu.headers["content-type"] = form
    sfu.content = (
        room.SerializeToString()
        if form == PROTOBUF
        else b'{"sid":"RM_1","name":"lobby","creationTimeMs":"5","new":1}'
    )
    async with caller_of(passthrough_to(sfu, board)) as caller:
        answer = await caller.post(CREATE, json=GREETED, headers={"accept-encoding": "gzip"})

    assert board.rooms == [room]
    assert answer.content == sfu.content
    assert "accept-encoding" not in sfu.requests[0].headers


async def test_an_answer_that_is_no_room_is_an_error_and_not_a_room_without_agents(
    sfu: FakeSfu, board: Board
) -> None:
    sfu.content = b"<html>"
    async with caller_of(passthrough_to(sfu, board)) as caller:
        answer = await caller.post(CREATE, json=GREETED)

    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "no room" in answer.json()["msg"]


async def test_one_of_ours_that_may_not_create_rooms_learns_nothing(
    sfu: FakeSfu, board: Board
) -> None:
    token = mint_api_token("ours", SECRET, now_ns=time.time_ns(), room_list=True)
    async with caller_of(passthrough_to(sfu, board)) as caller:
        answer = await caller.post(
            CREATE,
            json={"name": "lobby", "room_preset": "small"},
            headers={"authorization": f"Bearer {token}"},
        )

    assert (answer.status_code, answer.json()["msg"]) == (401, "permissions denied")
    assert sfu.requests == []


@pytest.mark.parametrize(("key", "is_told"), [("ours", True), ("of-the-sfu", False)])
async def test_names_of_presets_are_told_to_callers_of_ours_alone(
    sfu: FakeSfu, board: Board, key: str, is_told: bool
) -> None:
    async with caller_of(passthrough_to(sfu, board), key) as caller:
        await caller.post(CREATE, json={"name": "lobby", "room_preset": "small"})

    assert board.tells_names is is_told


async def test_a_room_that_the_sfu_refuses_has_no_agents(sfu: FakeSfu, board: Board) -> None:
    sfu.status, sfu.content = 400, b'{"code":"invalid_argument","msg":"unknown preset"}'
    async with caller_of(passthrough_to(sfu, board)) as caller:
        answer = await caller.post(CREATE, json={"name": "lobby", "agents": [{}]})

    assert (answer.status_code, answer.content) == (400, sfu.content)
    assert board.told == ["announced lobby", "withdrawn lobby"]


async def test_a_caller_whose_agents_could_not_be_taken_is_told_to_try_again(
    sfu: FakeSfu, board: Board
) -> None:
    board.failure = Overloaded("the store is full")
    async with caller_of(passthrough_to(sfu, board)) as caller:
        answer = await caller.post(CREATE, json=GREETED)

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_an_sfu_that_refuses_what_we_ask_of_a_new_room_is_one_line_of_the_log(
    sfu: FakeSfu, board: Board
) -> None:
    board.failure = SfuError(SFU_URL, "ListDispatch: permissions denied", TwirpCode.UNAUTHENTICATED)
    with capture_logs() as entries:
        async with caller_of(passthrough_to(sfu, board)) as caller:
            answer = await caller.post(CREATE, json=GREETED)

    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    (entry,) = entries
    assert (entry["event"], entry["log_level"]) == ("sfu_call_failed", "warning")
    assert "ListDispatch: permissions denied" in entry["reason"]
    assert "exc_info" not in entry


async def test_a_body_that_cannot_be_read_asks_for_nothing(sfu: FakeSfu, board: Board) -> None:
    async with caller_of(passthrough_to(sfu, board)) as caller:
        answer = await caller.post(CREATE, content=b"{", headers={"content-type": JSON})

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert sfu.requests == []
    assert board.taken == []


@pytest.mark.parametrize(
    ("key", "project"),
    [("ours", "default"), ("theirs", "other"), ("of-the-sfu", "rooms-of-the-sfu")],
)
async def test_the_agents_are_of_the_project_of_the_callers_key(
    sfu: FakeSfu, board: Board, key: str, project: str
) -> None:
    async with caller_of(passthrough_to(sfu, board), key) as caller:
        await caller.post(CREATE, json=GREETED)

    assert board.taken[0][0] == project


async def test_with_the_bridge_create_room_goes_on_as_it_came(sfu: FakeSfu) -> None:
    body = asked("greeter").SerializeToString()
    async with caller_of(passthrough_to(sfu, None)) as caller:
        await caller.post(CREATE, content=body, headers={"content-type": PROTOBUF})

    assert sfu.requests[0].content == body
