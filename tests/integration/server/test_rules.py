"""callboard.RuleService on the wire: rules that are applied, read, refused, deleted and explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from dispatcher.config import Config
from dispatcher.rule_checks import RuleLimits
from tests.integration.server.peers import (
    LIST_JOBS,
    Caller,
    RawWorker,
    fresh,
    problem,
    registered,
)
from tests.integration.server.rooms import REPORT
from tests.support.server import (
    OTHER_PROJECT_KEY,
    RunningServer,
    admin_token,
    room_token,
    running_server,
    worker_token,
)

pytestmark = pytest.mark.anyio

SERVICE = "/twirp/callboard.RuleService"
APPLY = f"{SERVICE}/ApplyRule"
GET = f"{SERVICE}/GetRule"
LIST = f"{SERVICE}/ListRules"
DELETE = f"{SERVICE}/DeleteRule"
EXPLAIN = f"{SERVICE}/ExplainEvent"


def _rule(**fields: object) -> dict[str, Any]:
    """Return a rule for rooms of its own."""
    name = fresh("rule")
    return {"name": name, "agent_name": "nobody", "match": {"room": f"{name}-*"}, **fields}


async def _apply(api: Caller, rule: dict[str, Any], key: str = "") -> dict[str, Any]:
    token = admin_token(key) if key else admin_token()
    return await api.ask(APPLY, {"rule": rule}, token)


async def _refused(api: Caller, rule: object, path: str = APPLY) -> tuple[int, str, str]:
    response = await api.post(path, {"rule": rule}, token=admin_token())
    status, code = problem(response)
    return status, code, response.json()["msg"]


async def _tell(api: Caller, event: str, room: str, **fields: object) -> None:
    body = {"event": {"event": event, "room": {"name": room}, **fields}}
    await api.ask(REPORT, body, admin_token())


async def _jobs(api: Caller, room: str) -> list[dict[str, Any]]:
    answer = await api.ask(LIST_JOBS, {"room": room}, admin_token())
    jobs: list[dict[str, Any]] = answer["jobs"]
    return jobs


# ---- applying ----


async def test_a_rule_is_created_changed_and_left_alone(api: Caller) -> None:
    rule = _rule()
    made = await _apply(api, rule)
    assert (made["changed"], made["rule"]["version"]) == (True, "1")
    assert made["rule"]["match"]["room"] == rule["match"]["room"]
    assert int(made["rule"]["created_at"]) > 0
    again = await _apply(api, rule)
    assert (again["changed"], again["rule"]) == (False, made["rule"])
    changed = await _apply(api, {**rule, "priority": 5})
    assert (changed["changed"], changed["rule"]["version"]) == (True, "2")
    assert changed["rule"]["created_at"] == made["rule"]["created_at"]


async def test_a_stale_change_is_refused_with_both_versions(api: Caller) -> None:
    rule = _rule()
    await _apply(api, rule)
    await _apply(api, {**rule, "priority": 1, "version": 1})
    status, code, message = await _refused(api, {**rule, "priority": 2, "version": 1})
    assert (status, code) == (412, "failed_precondition")
    assert rule["name"] in message
    assert "version 2" in message
    assert "not at 1" in message
    assert (await api.ask(GET, {"name": rule["name"]}, admin_token()))["priority"] == 1


async def test_the_same_change_again_is_no_stale_one(api: Caller) -> None:
    rule = _rule()
    await _apply(api, rule)
    change = {**rule, "priority": 1, "version": 1}
    await _apply(api, change)
    # As a caller does whose answer was lost.
    again = await _apply(api, change)
    assert (again["changed"], again["rule"]["version"]) == (False, "2")


async def test_true_and_1_are_two_rules(api: Caller) -> None:
    rule = _rule()
    for value in (True, 1):
        rule["match"]["room_metadata"] = {"recorded": value}
        assert (await _apply(api, rule))["changed"]


async def test_a_rule_that_is_not_there_has_no_version_to_change(api: Caller) -> None:
    status, code, _ = await _refused(api, _rule(version=3))
    assert (status, code) == (412, "failed_precondition")


@pytest.mark.parametrize(
    ("fields", "code", "named"),
    [
        ({"matches": {"room": "x"}}, "malformed", 'no field named "matches"'),
        ({"match": {"rooms": "x"}}, "malformed", 'no field named "rooms"'),
        ({"match": {"room": "["}}, "invalid_argument", "match.room is not a glob"),
        ({"concurrency_limit": -1}, "malformed", "concurrency_limit"),
        ({"delay_seconds": -1}, "invalid_argument", "delay_seconds must be"),
        (
            {"match": {"attributes": {str(number): "x" for number in range(10_000)}}},
            "invalid_argument",
            "match has 10000 conditions, the limit is 100",
        ),
        ({"match": {"metadata": {"a..b": 1}}}, "invalid_argument", "'a..b', which is not a path"),
        ({"metadata": "{roon.name}"}, "invalid_argument", "{roon.name}"),
        ({"agent_name": ""}, "invalid_argument", "agent_name is missing"),
        ({"deployment": "a_b"}, "invalid_argument", "deployment must not hold"),
    ],
)
async def test_a_bad_rule_is_refused_by_name_and_calls_nobody(
    api: Caller, bystander: RawWorker, fields: dict[str, Any], code: str, named: str
) -> None:
    rule = _rule(**fields)
    _, found, message = await _refused(api, rule)
    assert found == code
    assert named in message
    response = await api.post(GET, {"name": rule["name"]}, token=admin_token())
    assert problem(response) == (404, "not_found")
    assert bystander.worker_id


async def test_a_path_into_nothing_is_a_rule_that_matches_nobody(api: Caller) -> None:
    rule = _rule(type="JT_PARTICIPANT")
    rule["match"]["metadata"] = {"customer.tier": "gold"}
    await _apply(api, rule)
    room = f"{rule['name']}-1"
    for identity, metadata in (("a", ""), ("b", "not json"), ("c", '{"customer": []}')):
        who = {"identity": identity, "metadata": metadata}
        await _tell(api, "participant_joined", room, participant=who)
    assert await _jobs(api, room) == []
    who = {"identity": "d", "metadata": '{"customer": {"tier": "gold"}}'}
    await _tell(api, "participant_joined", room, participant=who)
    assert len(await _jobs(api, room)) == 1


async def test_a_project_has_a_bound_of_rules(data_dir: Path) -> None:
    limits = RuleLimits(rules_max=2)
    async with (
        running_server(data_dir, rules=limits) as server,
        httpx2.AsyncClient(timeout=60) as client,
    ):
        api = Caller(server, client)
        rules = [_rule() for _ in range(3)]
        for rule in rules[:2]:
            await _apply(api, rule)
        status, code, message = await _refused(api, rules[2])
        assert (status, code) == (429, "resource_exhausted")
        assert "2 rules, which is the limit" in message
        # What is there may be changed, and another project has rules of its own.
        await _apply(api, {**rules[0], "priority": 1})
        await _apply(api, rules[2], OTHER_PROJECT_KEY)


async def test_a_rule_that_is_mended_calls_who_is_there(api: Caller, server: RunningServer) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name) as worker:
        rule = _rule(agent_name=f"{agent_name}-mistyped")
        await _apply(api, rule)
        room = f"{rule['name']}-1"
        await _tell(api, "room_started", room)
        [wrong] = await _jobs(api, room)
        await _apply(api, {**rule, "agent_name": agent_name})
        offer = await worker.offered()
        assert offer.job.room.name == room
        assert offer.job.id != wrong["job"]["id"]
        await api.job_becomes(wrong["job"]["id"], "CANCELLED")


# ---- who may ----


@pytest.mark.parametrize("path", [APPLY, GET, LIST, DELETE, EXPLAIN])
async def test_only_who_administers_the_queue_may_ask(api: Caller, path: str) -> None:
    for token in (None, worker_token(), room_token("lobby")):
        response = await api.post(path, {}, token=token)
        assert problem(response) == (401, "unauthenticated")


async def test_nothing_of_one_project_is_visible_to_another(api: Caller) -> None:
    rule = _rule()
    await _apply(api, rule)
    other = admin_token(OTHER_PROJECT_KEY)
    for path in (GET, DELETE):
        response = await api.post(path, {"name": rule["name"]}, token=other)
        assert problem(response) == (404, "not_found")
    listed = await api.ask(LIST, {"page_size": 1000}, other)
    assert rule["name"] not in [found["name"] for found in listed["rules"]]
    told = {"event": {"event": "room_started", "room": {"name": f"{rule['name']}-1"}}}
    explained = await api.ask(EXPLAIN, told, other)
    assert rule["name"] not in [verdict["rule"] for verdict in explained["verdicts"]]


# ---- reading and deleting ----


async def test_rules_come_in_pages_by_name(api: Caller) -> None:
    agent_name = fresh("agent")
    names = sorted(
        [(await _apply(api, _rule(agent_name=agent_name)))["rule"]["name"] for _ in "123"]
    )
    await _apply(api, _rule())
    pages, token = [], ""
    while True:
        body = {"agent_name": agent_name, "page_size": 2, "page_token": token}
        answer = await api.ask(LIST, body, admin_token())
        pages.append([rule["name"] for rule in answer["rules"]])
        token = answer["next_page_token"]
        if not token:
            break
    assert pages == [names[:2], names[2:]]


async def test_a_rule_is_deleted_and_was_what_it_was(api: Caller) -> None:
    rule = _rule(priority=7)
    await _apply(api, rule)
    response = await api.post(DELETE, {"name": rule["name"], "version": 9}, token=admin_token())
    assert problem(response) == (412, "failed_precondition")
    gone = await api.ask(DELETE, {"name": rule["name"]}, admin_token())
    assert (gone["name"], gone["priority"]) == (rule["name"], 7)
    for path in (GET, DELETE):
        response = await api.post(path, {"name": rule["name"]}, token=admin_token())
        assert problem(response) == (404, "not_found")


async def test_rules_outlast_the_server(data_dir: Path) -> None:
    rule = _rule(
        type="JT_PUBLISHER", metadata="{room.name}", restart_policy="JRP_NEVER", enabled=False
    )
    rule["match"].update({"kind": ["SIP"], "metadata": {"a": True, "b": None}})
    for _ in range(2):
        async with (
            running_server(data_dir) as server,
            httpx2.AsyncClient(timeout=60) as client,
        ):
            made = await _apply(Caller(server, client), rule)
            assert made["rule"]["version"] == "1"
            assert made["rule"]["match"]["metadata"] == {"a": True, "b": None}


# ---- what a rule does ----


async def test_a_rule_calls_a_worker_with_values_of_room_and_participant(
    server: RunningServer, api: Caller
) -> None:
    agent_name = fresh("agent")
    rule = _rule(
        agent_name=agent_name,
        type="JT_PARTICIPANT",
        metadata='{{"room": "{room.name}"}}',
        attributes={"who": "{participant.identity}", "tier": "{participant.attributes.tier}"},
    )
    await _apply(api, rule)
    room = f"{rule['name']}-1"
    who = {"identity": "ann", "attributes": {"tier": "gold"}}
    async with registered(server, agent_name, type=2) as worker:
        await _tell(api, "participant_joined", room, participant=who)
        job = (await worker.take_job()).job
        assert job.metadata == f'{{"room": "{room}"}}'
        assert dict(job.attributes) == {"who": "ann", "tier": "gold"}
        assert job.participant.identity == "ann"


# ---- explaining ----


async def test_an_event_is_explained_and_calls_nobody(api: Caller) -> None:
    matching, other = _rule(type="JT_PARTICIPANT"), _rule(type="JT_PARTICIPANT")
    for rule in (matching, other):
        await _apply(api, rule)
    room = f"{matching['name']}-1"
    event = {
        "event": "participant_joined",
        "room": {"name": room},
        "participant": {"identity": "ann"},
    }
    answer = await api.ask(EXPLAIN, {"event": event}, admin_token())
    found = {verdict["rule"]: verdict for verdict in answer["verdicts"]}
    assert found[matching["name"]]["matches"]
    assert found[matching["name"]]["participant"] == "ann"
    assert found[other["name"]]["mismatch"] == {
        "condition": "match.room",
        "wanted": f"{other['name']}-*",
        "found": room,
    }
    # Those that match come first.
    matches = [verdict["matches"] for verdict in answer["verdicts"]]
    assert matches == sorted(matches, reverse=True)
    assert await _jobs(api, room) == []


async def test_a_live_room_is_explained_with_the_jobs_that_it_has(api: Caller) -> None:
    rule = _rule()
    await _apply(api, rule)
    room = f"{rule['name']}-1"
    await _tell(api, "room_started", room)
    body = {"room": room, "rule": rule["name"]}
    [verdict] = (await api.ask(EXPLAIN, body, admin_token()))["verdicts"]
    [job] = await _jobs(api, room)
    assert (verdict["matches"], verdict["job_id"]) == (True, job["job"]["id"])


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({}, (400, "invalid_argument")),
        ({"room": "a", "event": {"event": "room_started"}}, (400, "invalid_argument")),
        ({"event": {"event": "nothing", "room": {"name": "a"}}}, (400, "invalid_argument")),
        ({"event": {"event": "room_started"}}, (400, "invalid_argument")),
        ({"room": "nowhere"}, (404, "not_found")),
        (
            {"rule": "nobody-has-it", "event": {"event": "room_started", "room": {"name": "a"}}},
            (404, "not_found"),
        ),
    ],
)
async def test_what_cannot_be_explained_is_refused(
    api: Caller, body: dict[str, Any], answer: tuple[int, str]
) -> None:
    assert problem(await api.post(EXPLAIN, body, token=admin_token())) == answer


async def test_an_explanation_that_is_too_long_is_refused_by_name(data_dir: Path) -> None:
    async with (
        running_server(data_dir, rules=RuleLimits(verdicts_max=3)) as server,
        httpx2.AsyncClient(timeout=60) as client,
    ):
        api = Caller(server, client)
        rules = [_rule(match={}, type="JT_PARTICIPANT") for _ in range(2)]
        for rule in rules:
            await _apply(api, rule)
        for identity in ("ann", "bob"):
            await _tell(api, "participant_joined", "r", participant={"identity": identity})
        response = await api.post(EXPLAIN, {"room": "r"}, token=admin_token())
        assert problem(response) == (429, "resource_exhausted")
        assert "2 rules and 2 participants are 4 verdicts, the limit is 3" in response.text
        one = {"room": "r", "rule": rules[0]["name"]}
        assert len((await api.ask(EXPLAIN, one, admin_token()))["verdicts"]) == 2


def test_the_default_bounds_are_those_of_the_configuration() -> None:
    assert Config(keys={}).rules == RuleLimits()
