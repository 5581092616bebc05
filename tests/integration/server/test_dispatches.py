"""The rules of CreateDispatch, ListDispatch and DeleteDispatch."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from protocol import wire_pb2
from tests.integration.server.peers import (
    CREATE,
    DELETE,
    LIST,
    WAIT_SECONDS,
    Caller,
    fresh,
    problem,
    registered,
)
from tests.support.server import OTHER_PROJECT_KEY, RunningServer, room_token

pytestmark = pytest.mark.anyio

KIB = 1024


async def _listed(api: Caller, room: str, dispatch_id: str = "") -> list[dict[str, Any]]:
    body = {"room": room, "dispatch_id": dispatch_id}
    found: list[dict[str, Any]] = (await api.ask(LIST, body, room_token(room)))["agent_dispatches"]
    return found


async def _delete(api: Caller, room: str, dispatch_id: str) -> dict[str, Any]:
    return await api.ask(DELETE, {"room": room, "dispatch_id": dispatch_id}, room_token(room))


# --- create ---


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"deployment": "a_b"}, id="underscore in the deployment"),
        pytest.param({"deployment": "a b"}, id="white space in the deployment"),
        pytest.param({"deployment": "a\x00b"}, id="control character in the deployment"),
        pytest.param({"deployment": "d" * 65}, id="long deployment"),
        pytest.param({"metadata": "m" * (512 * KIB + 1)}, id="metadata over its limit"),
        pytest.param({"metadata": "é" * (256 * KIB + 1)}, id="metadata of more bytes than letters"),
        pytest.param({"attributes": {"a": "b" * 64 * KIB}}, id="attributes over their limit"),
        pytest.param({"agent_name": "a" * 1024 * KIB}, id="agent name of 1 MB"),
        pytest.param({"restart_policy": 77}, id="unknown restart policy"),
    ],
)
@pytest.mark.usefixtures("bystander")
async def test_a_field_that_is_not_allowed_is_refused(
    api: Caller, fields: dict[str, object]
) -> None:
    room = fresh("room")
    body = {"agent_name": "a", "room": room, **fields}
    response = await api.post(CREATE, body, token=room_token(room))
    assert problem(response) == (400, "invalid_argument")
    assert await _listed(api, room) == []


@pytest.mark.parametrize("room", ["", "r" * 257])
@pytest.mark.usefixtures("bystander")
async def test_a_room_that_is_not_allowed_is_refused(api: Caller, room: str) -> None:
    response = await api.post(CREATE, {"room": room}, token=room_token(room))
    assert problem(response) == (400, "invalid_argument")


@pytest.mark.usefixtures("bystander")
async def test_a_room_name_of_1_mb_is_no_room_of_any_token(api: Caller) -> None:
    response = await api.post(CREATE, {"room": "r" * 1024 * KIB}, token=room_token("r"))
    assert problem(response) == (401, "unauthenticated")


async def test_fields_at_their_limits_are_accepted(api: Caller) -> None:
    made = await api.dispatch(
        "a" * 256, deployment="d" * 64, metadata="m" * (512 * KIB), attributes={"a": "b" * 65535}
    )
    assert len(made["metadata"]) == 512 * KIB


@pytest.mark.parametrize("name", ["X-Livekit-Request-Id", "Idempotency-Key"])
async def test_the_same_request_id_makes_one_dispatch(api: Caller, name: str) -> None:
    room, headers = fresh("room"), {name: fresh("request")}
    body = {"agent_name": "a", "room": room}
    first = await api.ask(CREATE, body, room_token(room), headers=headers)
    second = await api.ask(CREATE, body, room_token(room), headers=headers)
    assert first["id"] == second["id"]
    assert [job["id"] for job in first["state"]["jobs"]] == [
        job["id"] for job in second["state"]["jobs"]
    ]
    assert len(await _listed(api, room)) == 1


async def test_the_same_request_id_at_once_makes_one_dispatch(api: Caller) -> None:
    room, headers = fresh("room"), {"X-Livekit-Request-Id": fresh("request")}
    ids = set()

    async def create() -> None:
        body = {"agent_name": "a", "room": room}
        ids.add((await api.ask(CREATE, body, room_token(room), headers=headers))["id"])

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(create)
    assert len(ids) == 1
    assert len(await _listed(api, room)) == 1


async def test_a_repeated_request_id_returns_what_is_there_whatever_else_differs(
    api: Caller,
) -> None:
    room, headers = fresh("room"), {"X-Livekit-Request-Id": fresh("request")}
    body = {"agent_name": "a", "room": room, "metadata": "first"}
    first = await api.ask(CREATE, body, room_token(room), headers=headers)
    second = await api.ask(
        CREATE, {**body, "metadata": "second"}, room_token(room), headers=headers
    )
    assert (second["id"], second["metadata"]) == (first["id"], "first")


@pytest.mark.parametrize("other", ["room", "agent_name", "deployment"])
async def test_a_request_id_for_another_room_agent_or_deployment_is_another_request(
    api: Caller, other: str
) -> None:
    headers = {"X-Livekit-Request-Id": fresh("request")}
    body = {"agent_name": "a", "room": fresh("room"), "deployment": "blue"}
    changed = {**body, other: fresh("other")}
    first = await api.ask(CREATE, body, room_token(body["room"]), headers=headers)
    second = await api.ask(CREATE, changed, room_token(changed["room"]), headers=headers)
    assert first["id"] != second["id"]


async def test_an_unknown_restart_policy_is_malformed_and_makes_nothing(api: Caller) -> None:
    room = fresh("room")
    body = {"agent_name": "a", "room": room, "restartPolicy": "JRP_SOMETIMES"}
    response = await api.post(CREATE, body, token=room_token(room))
    assert problem(response) == (400, "malformed")
    assert "restartPolicy: 'JRP_SOMETIMES'" in response.json()["msg"]
    assert await _listed(api, room) == []


async def test_calls_without_a_request_id_make_a_dispatch_each(api: Caller) -> None:
    room = fresh("room")
    for _ in range(3):
        await api.dispatch("a", room)
    assert len(await _listed(api, room)) == 3


async def test_a_request_id_of_another_project_is_another_request(api: Caller) -> None:
    room, headers = fresh("room"), {"X-Livekit-Request-Id": fresh("request")}
    body = {"agent_name": "a", "room": room}
    ours = await api.ask(CREATE, body, room_token(room), headers=headers)
    theirs = await api.ask(CREATE, body, room_token(room, OTHER_PROJECT_KEY), headers=headers)
    assert ours["id"] != theirs["id"]


async def test_a_request_id_over_its_limit_is_refused(api: Caller) -> None:
    response = await api.post(
        CREATE,
        {"agent_name": "a", "room": "r"},
        token=room_token("r"),
        headers={"Idempotency-Key": "k" * 257},
    )
    assert problem(response) == (400, "invalid_argument")


# --- list ---


async def test_a_list_of_an_unknown_room_or_id_is_empty(api: Caller) -> None:
    assert await _listed(api, fresh("room")) == []
    assert await _listed(api, fresh("room"), "AD_unknown") == []


async def test_a_dispatch_is_listed_with_its_jobs_and_what_became_of_them(
    server: RunningServer, api: Caller
) -> None:
    agent_name, room = fresh("agent"), fresh("room")
    async with registered(server, agent_name) as worker:
        made = await api.dispatch(agent_name, room, metadata="m")
        job_id = (await worker.take_job()).job.id
        await api.job_becomes(job_id, "RUNNING")
        [listed] = await _listed(api, room)
        [job] = listed["state"]["jobs"]
        assert (listed["id"], listed["metadata"]) == (made["id"], "m")
        assert job["id"] == job_id
        assert job["state"]["status"] == "JS_RUNNING"
        assert job["state"]["worker_id"] == worker.worker_id
        assert job["state"]["participant_identity"] == f"agent-{job_id}"
        assert int(job["state"]["started_at"]) > 0
        await worker.tell(job_id, wire_pb2.JS_SUCCESS)
        await api.job_becomes(job_id, "SUCCEEDED")
    [listed] = await _listed(api, room, made["id"])
    [job] = listed["state"]["jobs"]
    assert job["state"]["status"] == "JS_SUCCESS"
    assert int(job["state"]["ended_at"]) > 0


async def test_a_dispatch_is_found_by_id_in_its_own_room_only(api: Caller) -> None:
    room = fresh("room")
    made = await api.dispatch("a", room)
    assert [one["id"] for one in await _listed(api, room, made["id"])] == [made["id"]]
    assert await _listed(api, fresh("room"), made["id"]) == []


@pytest.mark.usefixtures("bystander")
async def test_an_id_of_1_mb_is_refused(api: Caller) -> None:
    body = {"room": "r", "dispatch_id": "AD_" + "x" * 1024 * KIB}
    for path in (LIST, DELETE):
        response = await api.post(path, body, token=room_token("r"))
        assert problem(response) == (400, "invalid_argument")


# --- delete ---


async def test_a_deleted_dispatch_is_listed_by_its_id_alone(api: Caller) -> None:
    room = fresh("room")
    made = await api.dispatch("a", room)
    assert (await _delete(api, room, made["id"]))["id"] == made["id"]
    assert await _listed(api, room) == []
    with anyio.fail_after(WAIT_SECONDS):
        while True:
            [deleted] = await _listed(api, room, made["id"])
            if deleted["state"]["deleted_at"] != "0":
                break
            await anyio.sleep(0.01)
    [job] = deleted["state"]["jobs"]
    assert (job["state"]["status"], job["state"]["reason"]) == (
        "JS_CANCELLED",
        "JSR_DISPATCH_DELETED",
    )


async def test_deleting_ends_the_running_job(server: RunningServer, api: Caller) -> None:
    agent_name, room = fresh("agent"), fresh("room")
    async with registered(server, agent_name) as worker:
        made = await api.dispatch(agent_name, room)
        job_id = (await worker.take_job()).job.id
        await api.job_becomes(job_id, "RUNNING")
        await _delete(api, room, made["id"])
        assert (await worker.hear()).termination.job_id == job_id
        await api.job_becomes(job_id, "CANCELLED")


@pytest.mark.parametrize("dispatch_id", ["AD_unknown", "", "nonsense"])
async def test_deleting_an_unknown_dispatch_is_not_found(api: Caller, dispatch_id: str) -> None:
    body = {"room": "r", "dispatch_id": dispatch_id}
    assert problem(await api.post(DELETE, body, token=room_token("r"))) == (404, "not_found")


async def test_deleting_twice_is_not_found(api: Caller) -> None:
    room = fresh("room")
    made = await api.dispatch("a", room)
    await _delete(api, room, made["id"])
    body = {"room": room, "dispatch_id": made["id"]}
    assert problem(await api.post(DELETE, body, token=room_token(room))) == (404, "not_found")


async def test_deleting_in_another_room_is_not_found_and_deletes_nothing(api: Caller) -> None:
    room, other = fresh("room"), fresh("room")
    made = await api.dispatch("a", room)
    body = {"room": other, "dispatch_id": made["id"]}
    assert problem(await api.post(DELETE, body, token=room_token(other))) == (404, "not_found")
    assert len(await _listed(api, room)) == 1
