"""A backend with one LIVEKIT_URL, ours: LiveKit's API answers behind us as it does without us."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import websockets
from livekit import api, rtc

from tests.conformance.processes import NODE
from tests.support.livekit_server import (
    LiveKitServer,
    Person,
    needs_livekit_server,
    running_livekit_server,
)
from tests.support.server import KEY, SECOND_KEY, SECRET, RunningServer, mint, running_server

pytestmark = [pytest.mark.anyio, needs_livekit_server]

ROOMS = "/twirp/livekit.RoomService"
SFU_KEYS = {"sfukey": "a-secret-of-the-sfu-that-nobody-else-knows"}
# What differs from answer to answer, and what belongs to one connection.
OF_ONE_ANSWER = {"date", "connection", "keep-alive"}


async def test_the_python_client_works_rooms_through_us(
    sfu: LiveKitServer, client: api.LiveKitAPI, room: str
) -> None:
    created = await client.room.create_room(api.CreateRoomRequest(name=room, metadata="words"))
    async with sfu.joined(room, "ann") as ann:
        await client.room.update_participant(
            api.UpdateParticipantRequest(room=room, identity="ann", metadata="told")
        )
        listed = await client.room.list_rooms(api.ListRoomsRequest(names=[room]))
        present = await client.room.list_participants(api.ListParticipantsRequest(room=room))
        await client.room.delete_room(api.DeleteRoomRequest(room=room))
        left = await client.room.list_rooms(api.ListRoomsRequest(names=[room]))

        assert created.metadata == "words"
        assert [each.sid for each in listed.rooms] == [created.sid]
        assert [(each.sid, each.metadata) for each in present.participants] == [(ann.sid, "told")]
        assert list(left.rooms) == []


@pytest.mark.requires("node")
@pytest.mark.skipif(
    not (NODE / "node_modules").exists(),
    reason="the Node packages are not installed: npm ci --prefix tests/conformance/node",
)
async def test_the_node_client_works_rooms_through_us(
    sfu: LiveKitServer, server: RunningServer, room: str
) -> None:
    async with sfu.joined(room, "ann") as ann:
        created, updated, listed, present, deleted, again = await call_node(
            server,
            ["createRoom", {"name": room}],
            ["updateParticipant", room, "ann", "told"],
            ["listRooms", [room]],
            ["listParticipants", room],
            ["deleteRoom", room],
            ["deleteRoom", room],
        )

        assert created["result"]["name"] == room
        assert updated["result"]["metadata"] == "told"
        assert [each["sid"] for each in listed["result"]] == [created["result"]["sid"]]
        assert [each["sid"] for each in present["result"]] == [ann.sid]
        assert "error" not in deleted
        assert (again["error"]["status"], again["error"]["code"]) == (404, "not_found")


async def call_node(server: RunningServer, *calls: list[object]) -> list[Any]:
    """Make the calls with the stock Node client, and return what each gave."""
    with anyio.fail_after(60):
        done = await anyio.run_process(
            ["node", str(NODE / "rooms.mjs")],
            input=json.dumps(calls).encode(),
            check=False,
            env={
                **os.environ,
                "LIVEKIT_URL": server.http_url,
                "LIVEKIT_API_KEY": KEY,
                "LIVEKIT_API_SECRET": SECRET,
            },
        )
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers


ADMIN = mint(KEY, room_create=True, room_list=True, room_admin=True, room="r")


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        pytest.param("/DeleteRoom", b'{"room":"unknown"}', {}, id="not found"),
        pytest.param(
            "/GetParticipant", b'{"room":"r","identity":"unknown"}', {}, id="nobody of that name"
        ),
        pytest.param("/ListParticipants", b'{"room":"another"}', {}, id="a grant for another room"),
        pytest.param("/ListRooms", b"{", {}, id="no JSON"),
        pytest.param(
            "/ListRooms", b"\xff", {"content-type": "application/protobuf"}, id="no proto"
        ),
        pytest.param("/ListRooms", b"{}", {"content-type": "text/plain"}, id="another type"),
        pytest.param("/Nothing", b"{}", {}, id="no such method"),
        pytest.param("/ListRooms", b"{}", {"authorization": ""}, id="no token"),
        pytest.param("/ListRooms", b"{}", {"authorization": "Basic abc"}, id="no bearer"),
        pytest.param("/ListRooms", b"{}", {"authorization": "Bearer a.b.c"}, id="a broken token"),
        pytest.param(
            "/ListRooms",
            b"{}",
            {"authorization": f"Bearer {mint(SECOND_KEY, room_list=True)}"},
            id="a key that the SFU does not know",
        ),
        pytest.param(
            "/ListRooms",
            b"{}",
            {"authorization": f"Bearer {mint(KEY, at_seconds=-9999, room_list=True)}"},
            id="an old token",
        ),
        pytest.param("/ListRooms", b'{"names":["none"]}', {}, id="an answer in JSON"),
        pytest.param(
            "/ListRooms",
            b"\x0a\x04none",
            {"content-type": "application/protobuf"},
            id="an answer in protobuf",
        ),
        pytest.param(
            f"/ListRooms?access_token={ADMIN}",
            b'{"names":["none"]}',
            {"authorization": ""},
            id="token in the query",
        ),
    ],
)
async def test_an_answer_is_the_same_with_us_and_without_us(
    sfu: LiveKitServer, server: RunningServer, path: str, body: bytes, headers: dict[str, str]
) -> None:
    headers = {"content-type": "application/json", "authorization": f"Bearer {ADMIN}", **headers}
    if not headers["authorization"]:
        del headers["authorization"]
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        direct = await http.post(f"{sfu.http_url}{ROOMS}{path}", content=body)
        passed = await http.post(f"{server.http_url}{ROOMS}{path}", content=body)

    assert (passed.status_code, passed.content) == (direct.status_code, direct.content)
    assert headers_of(passed) == headers_of(direct)


PAGE = {"origin": "https://page.example"}
PREFLIGHT = {
    **PAGE,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
}


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        pytest.param("GET", {}, id="GET"),
        pytest.param("GET", PAGE, id="GET of a page"),
        pytest.param("POST", PAGE, id="POST of a page"),
        pytest.param("OPTIONS", {}, id="OPTIONS"),
        pytest.param("OPTIONS", PREFLIGHT, id="a preflight"),
        pytest.param(
            "OPTIONS", {**PREFLIGHT, "access-control-request-method": "PUT"}, id="a refused one"
        ),
    ],
)
@pytest.mark.parametrize("path", [f"{ROOMS}/ListRooms", "/twirp/livekit.Egress/ListEgress"])
async def test_any_method_and_a_browser_are_answered_as_the_sfu_answers(
    sfu: LiveKitServer, server: RunningServer, method: str, headers: dict[str, str], path: str
) -> None:
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        direct = await http.request(method, f"{sfu.http_url}{path}")
        passed = await http.request(method, f"{server.http_url}{path}")

    assert (passed.status_code, passed.content) == (direct.status_code, direct.content)
    assert headers_of(passed) == headers_of(direct)


@pytest.mark.parametrize("headers", [PAGE, PREFLIGHT], ids=["a page", "a preflight"])
async def test_our_own_services_let_a_page_call_as_the_sfu_does(
    sfu: LiveKitServer, server: RunningServer, headers: dict[str, str]
) -> None:
    method = "OPTIONS" if headers is PREFLIGHT else "POST"
    path = "/twirp/livekit.AgentDispatchService/ListDispatch"
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        direct = await http.request(method, f"{sfu.http_url}{path}")
        ours = await http.request(method, f"{server.http_url}{path}")

    assert ours.status_code == direct.status_code
    assert {n: v for n, v in ours.headers.items() if n.startswith(("access-", "vary"))} == {
        n: v for n, v in direct.headers.items() if n.startswith(("access-", "vary"))
    }


async def test_a_large_call_is_passed_on(sfu: LiveKitServer, server: RunningServer) -> None:
    body = json.dumps({"names": ["none"], "unknown": "x" * (9 << 20)}).encode()
    headers = {"authorization": f"Bearer {ADMIN}", "content-type": "application/json"}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        direct = await http.post(f"{sfu.http_url}{ROOMS}/ListRooms", content=body)
        passed = await http.post(f"{server.http_url}{ROOMS}/ListRooms", content=body)

    assert (passed.status_code, passed.content) == (direct.status_code, direct.content)


def headers_of(response: httpx2.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name not in OF_ONE_ANSWER}


async def test_a_service_of_the_sfu_that_we_do_not_know_is_passed_on(
    sfu: LiveKitServer, server: RunningServer
) -> None:
    path = "/twirp/livekit.Egress/ListEgress"
    headers = {"authorization": f"Bearer {ADMIN}", "content-type": "application/json"}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        direct = await http.post(f"{sfu.http_url}{path}", content=b"{}")
        passed = await http.post(f"{server.http_url}{path}", content=b"{}")

    assert passed.json() == direct.json()
    assert passed.status_code == direct.status_code


async def test_the_calls_of_dispatch_stay_with_us(
    sfu: LiveKitServer, client: api.LiveKitAPI, room: str
) -> None:
    ours = await client.agent_dispatch.create_dispatch(
        api.CreateAgentDispatchRequest(agent_name="nobody", room=room)
    )
    async with sfu.calling() as direct:
        await direct.room.create_room(api.CreateRoomRequest(name=room))
        theirs = await direct.agent_dispatch.list_dispatch(room)

    assert ours.id not in {each.id for each in theirs}


# --- an SFU with a key of its own ---


@pytest.fixture(scope="module")
async def own_key_sfu(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LiveKitServer]:
    """A LiveKit server that knows none of our keys."""
    async with running_livekit_server(tmp_path_factory.mktemp("own"), keys=SFU_KEYS) as running:
        yield running


@pytest.fixture(scope="module")
async def own_key_server(
    own_key_sfu: LiveKitServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningServer]:
    """Our server, which knows that SFU's key."""
    async with running_server(
        tmp_path_factory.mktemp("server") / "data",
        room_url=own_key_sfu.url,
        room_key=own_key_sfu.key,
        room_secret=own_key_sfu.secret,
    ) as running:
        yield running


@pytest.mark.parametrize("key", [KEY, SECOND_KEY])
async def test_a_token_of_ours_opens_an_sfu_with_a_key_of_its_own(
    own_key_sfu: LiveKitServer, own_key_server: RunningServer, room: str, key: str
) -> None:
    token = mint(key, room_create=True, room_list=True)
    async with api.LiveKitAPI(own_key_server.http_url, token=token) as client:
        await client.room.create_room(api.CreateRoomRequest(name=room))
    async with own_key_sfu.calling() as direct:
        listed = await direct.room.list_rooms(api.ListRoomsRequest(names=[room]))

    assert len(listed.rooms) == 1


async def test_a_token_that_is_signed_anew_opens_no_more_than_before(
    own_key_server: RunningServer, room: str
) -> None:
    token = mint(KEY, room_admin=True, room=room)
    async with api.LiveKitAPI(own_key_server.http_url, token=token) as client:
        await client.room.list_participants(api.ListParticipantsRequest(room=room))
        for refused_call in (
            client.room.list_participants(api.ListParticipantsRequest(room="another")),
            client.room.list_rooms(api.ListRoomsRequest()),
        ):
            with pytest.raises(api.TwirpError) as refused:
                await refused_call
            assert refused.value.status == 401


async def test_a_token_of_ours_that_is_not_valid_is_refused_before_the_sfu(
    own_key_server: RunningServer,
) -> None:
    token = mint(KEY, at_seconds=-9999, room_list=True)
    async with httpx2.AsyncClient(timeout=60) as http:
        answer = await http.post(
            f"{own_key_server.http_url}{ROOMS}/ListRooms",
            json={},
            headers={"authorization": f"Bearer {token}"},
        )

    assert answer.status_code == 401
    assert "expired" in answer.text


async def test_a_token_of_the_sfus_own_key_is_passed_on_as_it_is(
    own_key_sfu: LiveKitServer, own_key_server: RunningServer
) -> None:
    async with api.LiveKitAPI(
        own_key_server.http_url, own_key_sfu.key, own_key_sfu.secret
    ) as client:
        await client.room.list_rooms(api.ListRoomsRequest())


# --- no SFU, or one that is away ---


async def test_without_an_sfu_the_client_is_told_of_the_option(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path / "data") as server,
        api.LiveKitAPI(server.http_url, KEY, SECRET) as client,
    ):
        with pytest.raises(api.TwirpError) as refused:
            await client.room.list_rooms(api.ListRoomsRequest())

    assert (refused.value.code, refused.value.status) == ("unavailable", 503)
    assert "--room-url" in refused.value.message


async def test_without_an_sfu_a_caller_without_a_token_learns_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server, httpx2.AsyncClient(timeout=60) as http:
        answer = await http.post(f"{server.http_url}{ROOMS}/ListRooms", json={})

    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthenticated"


async def test_calls_are_refused_while_the_sfu_is_away_and_pass_when_it_is_back(
    tmp_path: Path, room: str
) -> None:
    async with (
        running_livekit_server(tmp_path / "sfu", keys={KEY: SECRET}) as sfu,
        running_server(tmp_path / "data", room_url=sfu.url) as server,
        api.LiveKitAPI(server.http_url, KEY, SECRET) as client,
    ):
        await client.room.list_rooms(api.ListRoomsRequest())
        sfu.kill()
        with pytest.raises(api.TwirpError) as refused:
            await client.room.list_rooms(api.ListRoomsRequest())
        await sfu.start()
        created = await client.room.create_room(api.CreateRoomRequest(name=room))

    assert (refused.value.code, refused.value.status) == ("unavailable", 503)
    assert sfu.url in refused.value.message
    assert SECRET not in refused.value.message
    assert created.name == room


# --- who looks for a room at our address ---


@pytest.mark.parametrize("path", ["/rtc", "/rtc/v1", "/rtc/validate?access_token=x", "//rtc"])
async def test_who_asks_us_for_a_room_is_told_where_the_rooms_are(
    sfu: LiveKitServer, server: RunningServer, path: str
) -> None:
    async with httpx2.AsyncClient(timeout=60) as http:
        answer = await http.get(f"{server.http_url}{path}")

    assert answer.status_code == 404
    assert answer.text.count("\n") == 1
    assert sfu.url in answer.text


async def test_a_socket_that_looks_for_a_room_is_told_where_the_rooms_are(
    sfu: LiveKitServer, server: RunningServer
) -> None:
    url = server.agent_url.replace("/agent", "/rtc?access_token=x")
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(url)

    assert refused.value.response.status_code == 404
    assert sfu.url in (refused.value.response.body or b"").decode()


async def test_without_an_sfu_who_looks_for_a_room_is_told_of_the_option(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server, httpx2.AsyncClient(timeout=60) as http:
        answer = await http.get(f"{server.http_url}/rtc/validate")

    assert answer.status_code == 404
    assert "--room-url" in answer.text


async def test_livekits_own_client_shows_the_line_to_who_joins_at_our_address(
    sfu: LiveKitServer, server: RunningServer, room: str
) -> None:
    person = Person()
    try:
        with pytest.raises(rtc.ConnectError) as refused:
            await person.join(server.agent_url.removesuffix("/agent"), sfu.token(room, "lost"))
    finally:
        await person.leave()

    assert sfu.url in str(refused.value)
