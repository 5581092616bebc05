"""All rows of a list, page by page."""

from __future__ import annotations

import pytest

from protocol import api_pb2
from protocol.errors import TwirpCode, TwirpError
from tests.unit.worker_sdk.client.script import Script, client_of, ok, twirp
from worker_sdk import UnexpectedAnswer

pytestmark = pytest.mark.anyio


def page(*names: str, token: str = "") -> api_pb2.ListRulesResponse:
    return api_pb2.ListRulesResponse(
        rules=[api_pb2.Rule(name=name) for name in names], next_page_token=token
    )


async def test_all_pages_are_read_also_those_that_are_empty() -> None:
    script = Script(ok(page("a", "b", token="b")), ok(page(token="c")), ok(page("d")))
    async with client_of(script) as client:
        assert [rule.name async for rule in client.iterate_rules(page_size=2)] == ["a", "b", "d"]
    asked = [api_pb2.ListRulesRequest.FromString(each.content) for each in script.requests]
    assert [each.page_token for each in asked] == ["", "b", "c"]
    assert {each.page_size for each in asked} == {2}


async def test_a_page_is_not_asked_for_before_it_is_wanted() -> None:
    script = Script(ok(page("a", "b", token="b")))
    async with client_of(script) as client:
        rules = client.iterate_rules()
        assert script.requests == []
        assert [(await anext(rules)).name for _ in range(2)] == ["a", "b"]
        assert len(script.requests) == 1


async def test_a_page_that_could_not_be_fetched_is_asked_for_again() -> None:
    script = Script(ok(page("a", token="a")), twirp(TwirpCode.INTERNAL), ok(page("b")))
    async with client_of(script) as client:
        rules = client.iterate_rules()
        assert (await anext(rules)).name == "a"
        with pytest.raises(TwirpError):
            await anext(rules)
        assert [rule.name async for rule in rules] == ["b"]


async def test_pages_that_lead_to_themselves_are_not_read_for_ever() -> None:
    script = Script(ok(page("a", token="a")))
    async with client_of(script) as client:
        with pytest.raises(UnexpectedAnswer, match="leads to itself"):
            _ = [rule async for rule in client.iterate_rules()]


async def test_the_filters_of_each_list_reach_the_server() -> None:
    script = Script(
        ok(api_pb2.ListJobsResponse()),
        ok(api_pb2.ListWorkersResponse()),
        ok(api_pb2.ListRoomsResponse()),
    )
    phases = [api_pb2.QUEUED, api_pb2.RUNNING]
    available = [api_pb2.AVAILABLE]
    async with client_of(script) as client:
        jobs = client.iterate_jobs(
            phases=phases,
            agent_name="a",
            room="r",
            worker_id="w",
            dispatch_id="d",
            page_size=3,
        )
        assert [job async for job in jobs] == []
        workers = client.iterate_workers(
            phases=available, agent_name="a", room="r", dispatch_id="d", page_size=4
        )
        assert [worker async for worker in workers] == []
        assert [room async for room in client.iterate_rooms(page_size=5)] == []
    jobs_asked, workers_asked, rooms_asked = (each.content for each in script.requests)
    assert api_pb2.ListJobsRequest.FromString(jobs_asked) == api_pb2.ListJobsRequest(
        phases=phases, agent_name="a", room="r", worker_id="w", dispatch_id="d", page_size=3
    )
    assert api_pb2.ListWorkersRequest.FromString(workers_asked) == api_pb2.ListWorkersRequest(
        phases=available, agent_name="a", room="r", dispatch_id="d", page_size=4
    )
    assert api_pb2.ListRoomsRequest.FromString(rooms_asked).page_size == 5
