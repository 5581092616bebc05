"""callboard.JobService on the wire: what made a job, why it waits, and its end by an operator."""

from __future__ import annotations

from typing import Any

import pytest

from protocol import wire_pb2
from tests.integration.server.peers import LIST_JOBS, Caller, fresh, problem, registered
from tests.integration.server.rooms import REPORT
from tests.support.server import (
    OTHER_PROJECT_KEY,
    RunningServer,
    admin_token,
    room_token,
)

pytestmark = pytest.mark.anyio

TERMINATE = "/twirp/callboard.JobService/TerminateJob"
EXPLAIN = "/twirp/callboard.JobService/ExplainJob"
APPLY = "/twirp/callboard.RuleService/ApplyRule"


async def job_of_rule(api: Caller, **fields: object) -> dict[str, Any]:
    """Apply a rule, start a room for it, and return its job's record from a list."""
    name = fresh("rule")
    rule = {"name": name, "agent_name": fresh("agent"), "match": {"room": f"{name}-*"}, **fields}
    await api.ask(APPLY, {"rule": rule}, admin_token())
    event: dict[str, Any] = {"event": "room_started", "room": {"name": f"{name}-1"}}
    if rule.get("type"):
        event = event | {"event": "participant_joined", "participant": {"identity": "ann"}}
    await api.ask(REPORT, {"event": event}, admin_token())
    answer = await api.ask(LIST_JOBS, {"room": f"{name}-1"}, admin_token())
    (record,) = answer["jobs"]
    found: dict[str, Any] = record
    return found


async def explained(api: Caller, job_id: str, workers_max: int = 0) -> dict[str, Any]:
    return await api.ask(EXPLAIN, {"job_id": job_id, "workers_max": workers_max}, admin_token())


def told(answer: dict[str, Any]) -> list[str]:
    """Return the words for each event of the job's timeline."""
    return [event["told"] for event in answer["job"]["timeline"]]


# ---- what made it ----


async def test_a_job_tells_which_rule_made_it_and_for_whom(api: Caller) -> None:
    record = await job_of_rule(
        api,
        type="JT_PARTICIPANT",
        uniqueness_key="{participant.identity}@{room.name}",
        queue_deadline_seconds=77,
        priority=3,
    )
    room = record["job"]["room"]["name"]
    assert (record["made_by"], record["rule"]) == ("rule", room.removesuffix("-1"))
    assert (record["participant_identity"], record["unique_key"]) == ("ann", f"ann@{room}")
    assert (record["queue_deadline_seconds"], record["priority"]) == (77, 3)
    assert record["sfu_dispatch_id"] == ""


async def test_a_job_of_a_dispatch_says_so(api: Caller) -> None:
    made = await api.dispatch(fresh("agent"))
    record = await api.job(made["state"]["jobs"][0]["id"])
    assert (record["made_by"], record["rule"]) == ("dispatch", "")
    assert record["job"]["dispatch_id"] == made["id"]


# ---- its end ----


async def test_a_waiting_job_of_a_rule_is_ended_and_says_why_in_a_list(api: Caller) -> None:
    record = await job_of_rule(api)
    job_id = record["job"]["id"]
    answer = await api.ask(TERMINATE, {"job_id": job_id, "reason": "a test"}, admin_token())
    told = "terminated by an operator: a test"
    assert (answer["job"]["phase"], answer["job"]["timeline"][-1]["detail"]) == ("CANCELLED", told)
    listed = await api.ask(LIST_JOBS, {"room": record["job"]["room"]["name"]}, admin_token())
    assert [(each["phase"], each["detail"]) for each in listed["jobs"]] == [("CANCELLED", told)]
    again = await api.ask(TERMINATE, {"job_id": job_id, "reason": "again"}, admin_token())
    assert again == answer


async def test_a_running_job_is_ended_and_its_worker_is_told_to_stop(
    server: RunningServer, api: Caller
) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name) as worker:
        await api.dispatch(agent_name)
        job_id = (await worker.take_job()).job.id
        await worker.tell(job_id, wire_pb2.JS_RUNNING)
        await api.job_becomes(job_id, "RUNNING")
        answer = await api.ask(TERMINATE, {"job_id": job_id}, admin_token())
        assert answer["job"]["phase"] == "CANCELLED"
        heard = await worker.hear()
        assert heard.termination.job_id == job_id


@pytest.mark.parametrize("path", [TERMINATE, EXPLAIN])
async def test_a_job_that_is_not_there_or_of_another_project_is_not_found(
    api: Caller, path: str
) -> None:
    unknown = await api.post(path, {"job_id": "AJ_none"}, token=admin_token())
    assert problem(unknown) == (404, "not_found")
    job_id = (await job_of_rule(api))["job"]["id"]
    other = await api.post(path, {"job_id": job_id}, token=admin_token(OTHER_PROJECT_KEY))
    assert problem(other) == (404, "not_found")
    assert (await api.job(job_id))["phase"] == "QUEUED"


@pytest.mark.parametrize("path", [TERMINATE, EXPLAIN])
async def test_it_takes_the_grant_of_the_dispatch_queue(api: Caller, path: str) -> None:
    response = await api.post(path, {"job_id": "AJ_none"}, token=room_token("room"))
    assert problem(response) == (401, "unauthenticated")


async def test_a_reason_over_its_bound_is_refused_and_nothing_ends(api: Caller) -> None:
    job_id = (await job_of_rule(api))["job"]["id"]
    body = {"job_id": job_id, "reason": "x" * 10_000}
    response = await api.post(TERMINATE, body, token=admin_token())
    assert response.status_code == 400
    assert "reason" in response.json()["msg"]
    assert (await api.job(job_id))["phase"] == "QUEUED"


# ---- why ----


async def test_a_job_without_any_worker_says_so_and_its_place(api: Caller) -> None:
    agent_name = fresh("agent")
    jobs = [(await api.dispatch(agent_name))["state"]["jobs"][0]["id"] for _ in range(3)]
    first, last = await explained(api, jobs[0]), await explained(api, jobs[2])
    assert last["summary"] == "no worker of this agent is connected"
    assert (first["position"], last["position"], last["waiting"]) == (1, 3, 3)
    assert last["workers"] == []
    assert int(last["until"]) - int(last["since"]) == 300 * 10**9
    assert [event["kind"] for event in last["job"]["timeline"]] == ["created"]
    assert told(last) == [f"made by dispatch {last['job']['job']['dispatch_id']}: queued"]
    assert "start its workers" in last["advice"]
    assert (last["none_since_start"], last["of_higher_priority"]) == (True, 0)


async def test_a_job_whose_agent_is_not_here_says_who_is_and_since_when_it_is_not(
    server: RunningServer, api: Caller
) -> None:
    agent_name, other = fresh("agent"), fresh("other")
    async with registered(server, other), registered(server, agent_name):
        pass
    async with registered(server, other):
        job_id = (await api.dispatch(agent_name))["state"]["jobs"][0]["id"]
        answer = await explained(api, job_id)
    assert {"agent_name": other, "workers": 1} in answer["other_agents"]
    assert not answer["none_since_start"]
    assert int(answer["none_since"]) <= int(answer["since"])


async def test_each_worker_of_the_agent_has_its_reason(server: RunningServer, api: Caller) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name) as full, registered(server, agent_name) as busy:
        await full.report(status=wire_pb2.WS_FULL, load=0.97, job_count=2)
        await busy.report(status=wire_pb2.WS_FULL, load=0.5)
        await full.is_answered()
        await busy.is_answered()
        job_id = (await api.dispatch(agent_name))["state"]["jobs"][0]["id"]
        answer = await explained(api, job_id)
        one = await explained(api, job_id, workers_max=1)
    assert answer["summary"] == "no worker of its lane can take a job now: 2 full"
    assert {each["reason"] for each in answer["workers"]} == {"full"}
    assert (len(one["workers"]), one["workers_left_out"]) == (1, 1)
    assert one["counts"] == [{"reason": "full", "workers": 2}]
    assert any("load 0.97" in each["text"] for each in answer["workers"])


async def test_a_job_on_offer_says_so(server: RunningServer, api: Caller) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name) as worker:
        job_id = (await api.dispatch(agent_name))["state"]["jobs"][0]["id"]
        await worker.offered()
        answer = await explained(api, job_id)
    assert answer["summary"] == "it is on offer, and the answer is not in yet"
    assert answer["job"]["phase"] == "OFFERED"


async def test_a_job_that_ran_tells_its_course(server: RunningServer, api: Caller) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name) as worker:
        await api.dispatch(agent_name)
        job_id = (await worker.take_job()).job.id
        await worker.tell(job_id, wire_pb2.JS_RUNNING)
        worker_id = (await api.job_becomes(job_id, "RUNNING"))["worker_id"]
        running = await explained(api, job_id)
        await worker.tell(job_id, wire_pb2.JS_SUCCESS)
        await api.job_becomes(job_id, "SUCCEEDED")
    ended = await explained(api, job_id)
    assert running["summary"] == f"it runs on worker {worker_id}"
    assert ended["summary"] == "it has ended, succeeded: reported by its worker"
    assert told(ended)[1:] == [
        f"accepted and assigned ({worker_id})",
        f"its worker started it ({worker_id})",
        "succeeded",
    ]


async def test_a_job_whose_worker_is_lost_says_how_and_for_whom_it_is_held(
    server: RunningServer, api: Caller
) -> None:
    agent_name = fresh("agent")
    async with registered(server, agent_name) as worker:
        await api.dispatch(agent_name)
        job_id = (await worker.take_job()).job.id
        await api.job_becomes(job_id, "RUNNING")
    await api.job_becomes(job_id, "ORPHANED")
    lost = "its worker is gone: closed by the worker, code 1000"
    answer = await explained(api, job_id)
    assert answer["summary"] == f"{lost}; it is held for {worker.worker_id} to come back"
    assert told(answer)[-1] == lost
