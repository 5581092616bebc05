"""callboard.RoomConfigurationService: what is kept, who may change it, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from dispatcher.room_configurations import RoomConfigurationLimits
from protocol import wire_pb2
from tests.integration.server.peers import Caller, fresh, problem
from tests.support.server import OTHER_PROJECT_KEY, admin_token, room_token, running_server

pytestmark = pytest.mark.anyio

SERVICE = "/twirp/callboard.RoomConfigurationService"
CREATE = f"{SERVICE}/Create"
UPDATE = f"{SERVICE}/Update"
LIST = f"{SERVICE}/List"
DELETE = f"{SERVICE}/Delete"


def body(name: str, *agents: str, **fields: object) -> dict[str, Any]:
    named = [{"agent_name": agent} for agent in agents]
    return {"configuration": {"name": name, "agents": named, **fields}}


async def listed(api: Caller, token: str) -> dict[str, dict[str, Any]]:
    answer = await api.ask(LIST, {}, token)
    return {each["name"]: each for each in answer["configurations"]}


async def test_what_is_created_is_listed_changed_and_deleted(api: Caller) -> None:
    name, token = fresh("preset"), admin_token()
    made = await api.ask(CREATE, body(name, "usher", empty_timeout=30), token)
    assert (await listed(api, token))[name] == made
    assert (made["agents"][0]["agent_name"], made["empty_timeout"]) == ("usher", 30)

    changed = await api.ask(UPDATE, body(name, "scribe"), token)
    assert (await listed(api, token))[name] == changed
    assert (changed["agents"][0]["agent_name"], changed["empty_timeout"]) == ("scribe", 0)

    assert await api.ask(DELETE, {"name": name}, token) == changed
    assert name not in await listed(api, token)


async def test_the_same_again_is_no_error_and_another_of_that_name_is(api: Caller) -> None:
    name, token = fresh("preset"), admin_token()
    await api.ask(CREATE, body(name, "usher"), token)
    await api.ask(CREATE, body(name, "usher"), token)
    refused = await api.post(CREATE, body(name, "scribe"), token=token)
    assert problem(refused) == (409, "already_exists")
    assert (await listed(api, token))[name]["agents"][0]["agent_name"] == "usher"


@pytest.mark.parametrize("path", [UPDATE, DELETE])
async def test_one_that_is_not_there_is_not_found(api: Caller, path: str) -> None:
    name = fresh("preset")
    request = {"name": name} if path == DELETE else body(name)
    refused = await api.post(path, request, token=admin_token())
    assert problem(refused) == (404, "not_found")
    assert name in refused.json()["msg"]


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        ({"name": ""}, "name is missing"),
        ({"name": "n" * 129}, "128"),
        ({"name": "a", "metadata": "m" * 65_536}, "65536"),
        ({"name": "a", "agents": [{"agent_name": "x"}] * 65}, "64"),
        ({"name": "a", "agents": [{"deployment": "a b"}]}, "deployment"),
        ({"name": "a", "emptyTimout": 5}, "emptyTimout"),
        ({"name": "a", "egress": {"room": {}}}, "room"),
        (None, "configuration is missing"),
    ],
)
async def test_what_may_not_be_is_refused_and_named(
    api: Caller, configuration: dict[str, object] | None, said: str
) -> None:
    request = {"configuration": configuration} if configuration is not None else {}
    refused = await api.post(CREATE, request, token=admin_token())
    assert refused.status_code == 400
    assert said in refused.json()["msg"]
    assert "a" not in await listed(api, admin_token())


@pytest.mark.parametrize("path", [CREATE, UPDATE, LIST, DELETE])
async def test_it_takes_the_grant_of_the_dispatch_queue(api: Caller, path: str) -> None:
    refused = await api.post(path, {}, token=room_token("r"))
    assert problem(refused) == (401, "unauthenticated")


async def test_another_project_has_its_own(api: Caller) -> None:
    name = fresh("preset")
    await api.ask(CREATE, body(name, "usher"), admin_token())
    others = admin_token(OTHER_PROJECT_KEY)
    assert name not in await listed(api, others)
    refused = await api.post(DELETE, {"name": name}, token=others)
    assert problem(refused) == (404, "not_found")


async def test_all_are_there_after_a_restart(data_dir: Path) -> None:
    async with httpx2.AsyncClient(timeout=60) as client:
        async with running_server(data_dir) as server:
            made = await Caller(server, client).ask(CREATE, body("big", "usher"), admin_token())
        async with running_server(data_dir) as server:
            assert await listed(Caller(server, client), admin_token()) == {"big": made}


@pytest.mark.parametrize("path", [CREATE, UPDATE, DELETE])
async def test_one_of_the_servers_file_is_listed_and_cannot_be_changed(
    data_dir: Path, path: str
) -> None:
    of_file = wire_pb2.RoomConfiguration(name="big", empty_timeout=9)
    async with (
        running_server(data_dir, room_configurations={"big": of_file}) as server,
        httpx2.AsyncClient(timeout=60) as client,
    ):
        api = Caller(server, client)
        request = {"name": "big"} if path == DELETE else body("big", "usher")
        refused = await api.post(path, request, token=admin_token())
        assert problem(refused) == (412, "failed_precondition")
        assert "'big' is in the server's configuration file" in refused.json()["msg"]
        assert (await listed(api, admin_token()))["big"]["empty_timeout"] == 9


async def test_more_than_the_limit_are_refused_by_name(data_dir: Path) -> None:
    limits = RoomConfigurationLimits(configurations_max=1)
    async with (
        running_server(data_dir, room_configuration_limits=limits) as server,
        httpx2.AsyncClient(timeout=60) as client,
    ):
        api = Caller(server, client)
        await api.ask(CREATE, body("one"), admin_token())
        refused = await api.post(CREATE, body("two"), token=admin_token())
        assert problem(refused) == (429, "resource_exhausted")
        assert "room_configuration_limits.configurations_max" in refused.json()["msg"]
        await api.ask(UPDATE, body("one", "usher"), admin_token())
