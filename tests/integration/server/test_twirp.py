"""Twirp as such: routes, bodies, tokens and errors, as LiveKit answers them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest

from protocol import wire_pb2
from tests.integration.server.peers import (
    CREATE,
    DELETE,
    GET_WORKER,
    LIST,
    LIST_JOBS,
    LIST_WORKERS,
    Caller,
    RawWorker,
    fresh,
    problem,
)
from tests.integration.server.test_upgrades import BAD_TOKENS
from tests.support.server import (
    KEY,
    OTHER_PROJECT_KEY,
    RunningServer,
    admin_token,
    mint,
    room_token,
    worker_token,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("bystander")]

MIB = 1024 * 1024
PROTOBUF = "application/protobuf"


# --- tokens ---


@pytest.mark.parametrize("name", BAD_TOKENS)
async def test_a_bad_token_is_401_in_plain_text(api: Caller, name: str) -> None:
    response = await api.post(CREATE, {"room": "r"}, token=BAD_TOKENS[name]())
    assert response.status_code == 401
    assert response.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(lambda: None, id="none"),
        pytest.param(lambda: room_token("another"), id="for another room"),
        pytest.param(lambda: mint(KEY, room_admin=True), id="for no room"),
        pytest.param(lambda: mint(KEY, room="r"), id="without roomAdmin"),
        pytest.param(worker_token, id="of a worker"),
        pytest.param(admin_token, id="for the queue"),
    ],
)
@pytest.mark.parametrize("path", [CREATE, LIST, DELETE])
async def test_a_missing_grant_is_unauthenticated(
    api: Caller, path: str, token: Callable[[], str | None]
) -> None:
    response = await api.post(path, {"room": "r"}, token=token())
    assert problem(response) == (401, "unauthenticated")
    assert response.json()["msg"] == "permissions denied"


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(lambda: None, id="none"),
        pytest.param(lambda: room_token("r"), id="for a room"),
        pytest.param(worker_token, id="of a worker"),
    ],
)
@pytest.mark.parametrize("path", [LIST_JOBS, "/twirp/callboard.WorkerService/ListWorkers"])
async def test_our_own_services_ask_for_their_own_grant(
    api: Caller, path: str, token: Callable[[], str | None]
) -> None:
    assert problem(await api.post(path, {}, token=token())) == (401, "unauthenticated")


async def test_the_token_may_be_in_the_query(api: Caller) -> None:
    response = await api.post(f"{LIST}?access_token={room_token('r')}", {"room": "r"})
    assert response.status_code == 200


async def test_a_header_that_is_no_bearer_token_is_401(api: Caller) -> None:
    response = await api.post(LIST, {"room": "r"}, headers={"Authorization": "Basic abc"})
    assert response.status_code == 401


# --- routes ---


@pytest.mark.parametrize(
    "path",
    [
        "/twirp/livekit.AgentDispatchService/Nothing",
        "/twirp/callboard.Nothing/CreateDispatch",
        "/twirp/livekit.AgentDispatchService",
        "/twirp/",
        CREATE + "/",
    ],
)
async def test_an_unknown_method_is_a_bad_route(api: Caller, path: str) -> None:
    response = await api.post(path, {"room": "r"}, token=room_token("r"))
    assert problem(response) == (404, "bad_route")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_another_http_method_is_a_bad_route(api: Caller, method: str) -> None:
    response = await api.post(CREATE, {"room": "r"}, token=room_token("r"), method=method)
    assert problem(response) == (404, "bad_route")


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-protobuf", "é" * 99])
async def test_another_content_type_is_a_bad_route(api: Caller, content_type: str) -> None:
    response = await api.post(
        CREATE, {"room": "r"}, token=room_token("r"), content_type=content_type.encode().hex()
    )
    assert problem(response) == (404, "bad_route")


async def test_a_content_type_may_have_parameters(api: Caller) -> None:
    response = await api.post(
        LIST, {"room": "r"}, token=room_token("r"), content_type="Application/JSON; charset=utf-8"
    )
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"


# --- bodies ---


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        pytest.param(b"{", "application/json", id="truncated JSON"),
        pytest.param(b"", "application/json", id="no JSON"),
        pytest.param(b"[]", "application/json", id="a list"),
        pytest.param(b'{"room": 7}', "application/json", id="a wrong type"),
        pytest.param(b'{"room": "\xff"}', "application/json", id="invalid UTF-8 in JSON"),
        pytest.param(b'{"room": "\\ud800"}', "application/json", id="half a surrogate pair"),
        pytest.param(b"[" * 100_000, "application/json", id="JSON nested without end"),
        pytest.param(b"\x12\x01r", "application/json", id="protobuf said to be JSON"),
        pytest.param(b'{"room": "r"}', PROTOBUF, id="JSON said to be protobuf"),
        pytest.param(b"\x12\xff", PROTOBUF, id="truncated protobuf"),
        pytest.param(b"\x12\x01\xff", PROTOBUF, id="invalid UTF-8 in protobuf"),
    ],
)
async def test_a_body_that_cannot_be_read_is_malformed(
    api: Caller, body: bytes, content_type: str
) -> None:
    response = await api.post(CREATE, body, token=room_token("r"), content_type=content_type)
    assert problem(response) == (400, "malformed")


@pytest.mark.parametrize("size", [2 * MIB + 1, 8 * MIB])
async def test_a_body_over_the_limit_is_refused(api: Caller, size: int) -> None:
    response = await api.post(CREATE, b" " * size, token=room_token("r"))
    assert problem(response) == (400, "invalid_argument")


async def test_a_body_that_comes_in_pieces_is_read_whole(server: RunningServer) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'{"ro', b"", b'om": ', b'"r"}'):
            yield piece
            await asyncio.sleep(0.01)

    async with httpx2.AsyncClient(timeout=60) as client:
        response = await client.post(
            server.http_url + LIST,
            content=pieces(),
            headers={
                "Authorization": f"Bearer {room_token('r')}",
                "Content-Type": "application/json",
            },
        )
    assert response.status_code == 200


# --- answers ---


async def test_json_answers_have_snake_case_names_and_defaults(api: Caller) -> None:
    room = fresh("room")
    made = await api.dispatch(fresh("agent"), room)
    assert made["restart_policy"] == "JRP_ON_FAILURE"
    assert made["metadata"] == ""
    assert made["attributes"] == {}
    assert made["state"]["deleted_at"] == "0"
    assert int(made["state"]["created_at"]) > 0
    [job] = made["state"]["jobs"]
    assert job["type"] == "JT_ROOM"
    assert job["state"]["status"] == "JS_PENDING"


async def test_camel_case_and_unknown_fields_are_accepted(api: Caller) -> None:
    room, agent_name = fresh("room"), fresh("agent")
    body = {"agentName": agent_name, "room": room, "restartPolicy": "JRP_NEVER", "news": [1]}
    made = await api.ask(CREATE, body, room_token(room))
    assert (made["agent_name"], made["restart_policy"]) == (agent_name, "JRP_NEVER")


async def test_protobuf_is_answered_in_protobuf(api: Caller) -> None:
    request = wire_pb2.CreateAgentDispatchRequest(agent_name=fresh("agent"), room="r")
    response = await api.post(
        CREATE, request.SerializeToString(), token=room_token("r"), content_type=PROTOBUF
    )
    assert response.status_code == 200
    assert response.headers["content-type"] == PROTOBUF
    assert wire_pb2.AgentDispatch.FromString(response.content).agent_name == request.agent_name


async def test_nothing_of_one_project_is_visible_to_another(
    api: Caller, bystander: RawWorker
) -> None:
    room = fresh("room")
    made = await api.dispatch(fresh("agent"), room)
    job_id = made["state"]["jobs"][0]["id"]
    theirs = room_token(room, OTHER_PROJECT_KEY)
    body = {"room": room, "dispatch_id": made["id"]}
    assert (await api.ask(LIST, body, theirs))["agent_dispatches"] == []
    assert problem(await api.post(DELETE, body, token=theirs)) == (404, "not_found")
    response = await api.post(
        "/twirp/callboard.JobService/GetJob",
        {"job_id": job_id},
        token=admin_token(OTHER_PROJECT_KEY),
    )
    assert problem(response) == (404, "not_found")
    listed = await api.ask(LIST_JOBS, {"room": room}, admin_token(OTHER_PROJECT_KEY))
    assert listed["jobs"] == []
    workers = await api.ask(LIST_WORKERS, {}, admin_token(OTHER_PROJECT_KEY))
    assert bystander.worker_id not in {worker["id"] for worker in workers["workers"]}
    body = {"worker_id": bystander.worker_id}
    response = await api.post(GET_WORKER, body, token=admin_token(OTHER_PROJECT_KEY))
    assert problem(response) == (404, "not_found")
