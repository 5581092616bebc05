"""POST /webhooks/livekit: what LiveKit tells becomes what is known of rooms, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.integration.server.peers import Caller, RawWorker, fresh
from tests.integration.server.rooms import Life, Sfu, identities, room_of
from tests.support.livekit_webhooks import encoded
from tests.support.server import OTHER_PROJECT_KEY, SECOND_KEY, running_server

pytestmark = pytest.mark.anyio

SFU_SECRET = "a-secret-that-only-the-sfu-of-the-tests-has"


@pytest.fixture
def sfu(api: Caller) -> Sfu:
    """An SFU that signs with a key of ours."""
    return Sfu(api)


# --- a room's life -------------------------------------------------------------------------------


async def test_a_rooms_life_is_followed(api: Caller, sfu: Sfu) -> None:
    life = Life()
    await sfu.tell(life.started)
    room = await room_of(api, life.room)
    assert room is not None
    assert (room["sid"], room["participants"]) == (life.started["room"]["sid"], [])
    assert room["started_at"] == f"{life.started['room']['creationTimeMs']}000000"

    await sfu.tell(life.alice_joined, life.agent_joined)
    room = await room_of(api, life.room)
    assert room is not None
    agent, alice = room["participants"]
    assert (agent["identity"], agent["kind"]) == ("agent-AJ_example", "AGENT")
    assert (alice["identity"], alice["kind"]) == ("alice", "STANDARD")
    assert (alice["metadata"], alice["attributes"]) == ('{"lang":"de"}', {"tier": "gold"})

    await sfu.tell(life.published)
    room = await room_of(api, life.room)
    assert room is not None
    assert [who["is_publisher"] for who in room["participants"]] == [False, True]
    # A track event says of alice only who she is: what was known of her stays.
    assert room["participants"][1]["attributes"] == {"tier": "gold"}

    await sfu.tell(life.unpublished, life.alice_left)
    assert await identities(api, life.room) == ["agent-AJ_example"]
    await sfu.tell(life.agent_left, life.finished)
    assert await room_of(api, life.room) is None


async def test_any_key_of_the_project_may_sign(api: Caller) -> None:
    life = Life()
    await Sfu(api, SECOND_KEY).tell(life.started)
    assert await room_of(api, life.room) is not None


async def test_the_sfus_own_key_may_sign(data_dir: Path) -> None:
    life = Life()
    async with (
        running_server(
            data_dir, room_url="ws://127.0.0.1:9", room_key="sfukey", room_secret=SFU_SECRET
        ) as server,
        httpx2.AsyncClient(timeout=60) as client,
    ):
        api = Caller(server, client)
        await Sfu(api, "sfukey", SFU_SECRET).tell(life.started)
        assert await room_of(api, life.room) is not None


# --- what is not to be believed ------------------------------------------------------------------


async def test_a_wrong_signature_changes_nothing(
    api: Caller, sfu: Sfu, bystander: RawWorker
) -> None:
    life = Life()
    await sfu.tell(life.started, life.alice_joined)
    forged = await Sfu(api, secret=SFU_SECRET).post(life.finished)
    assert (forged.status_code, forged.text) == (
        401,
        "invalid token: the signature is wrong\n",
    )
    assert await identities(api, life.room) == ["alice"]


async def test_a_body_changed_by_one_byte_changes_nothing(
    api: Caller, sfu: Sfu, bystander: RawWorker
) -> None:
    life = Life()
    await sfu.tell(life.started)
    changed = encoded(life.alice_joined).replace(b"alice", b"alicf", 1)
    response = await sfu.post(life.alice_joined, body=changed)
    assert response.status_code == 401
    assert await identities(api, life.room) == []


async def test_a_signature_of_an_hour_ago_changes_nothing(api: Caller, sfu: Sfu) -> None:
    life = Life()
    response = await sfu.post(life.started, at_seconds=-3600)
    assert (response.status_code, response.text) == (
        401,
        "invalid token: the token has expired\n",
    )
    assert await room_of(api, life.room) is None


async def test_an_old_event_that_is_sent_again_changes_nothing(api: Caller, sfu: Sfu) -> None:
    life = Life()
    await sfu.tell(life.started, life.alice_joined, life.alice_left)
    await sfu.tell(life.alice_joined)
    assert await identities(api, life.room) == []
    await sfu.tell(life.finished, life.started)
    assert await room_of(api, life.room) is None


async def test_an_old_event_that_is_sent_again_after_a_restart_changes_nothing(
    data_dir: Path,
) -> None:
    """What has been is known durably; the ids of events, which are not, are not needed for it."""
    stays, ended = Life(), Life()
    async with running_server(data_dir) as server, httpx2.AsyncClient(timeout=60) as client:
        sfu = Sfu(Caller(server, client))
        await sfu.tell(stays.started, stays.alice_joined, stays.alice_left)
        await sfu.tell(ended.started, ended.alice_joined, ended.finished)
    async with running_server(data_dir) as server, httpx2.AsyncClient(timeout=60) as client:
        api = Caller(server, client)
        assert await room_of(api, stays.room) is not None
        await Sfu(api).tell(stays.alice_joined, ended.started, ended.alice_joined)
        assert await identities(api, stays.room) == []
        assert await room_of(api, ended.room) is None


async def test_another_projects_key_does_not_touch_a_room_of_ours(
    api: Caller, sfu: Sfu, bystander: RawWorker
) -> None:
    life = Life()
    await sfu.tell(life.started, life.alice_joined)
    before = await room_of(api, life.room)
    theirs = Sfu(api, OTHER_PROJECT_KEY)
    # They know every sid of ours, and tell of them first what we are told later.
    await theirs.tell(life.started, life.alice_joined, life.alice_left, life.finished)
    assert await room_of(api, life.room) == before
    await sfu.tell(life.agent_joined)
    assert await identities(api, life.room) == ["agent-AJ_example", "alice"]
    assert await room_of(api, life.room, OTHER_PROJECT_KEY) is None


async def test_an_event_of_another_projects_room_ends_no_job_of_ours(
    api: Caller, bystander: RawWorker
) -> None:
    """The bystander's own room is said to be over, by somebody who may not say so."""
    worker = await api.worker(bystander.worker_id)
    job = await api.job(worker["job_ids"][0])
    life = Life(job["job"]["room"]["name"])
    await Sfu(api, OTHER_PROJECT_KEY).tell(life.started, life.finished)
    forged = await Sfu(api, secret=SFU_SECRET).post(life.finished)
    assert forged.status_code == 401


async def test_an_event_that_says_too_much_changes_nothing(
    api: Caller, sfu: Sfu, bystander: RawWorker
) -> None:
    life = Life()
    await sfu.tell(life.started)
    life.alice_joined["participant"]["attributes"] = {"a": "v" * 65_536}
    response = await sfu.post(life.alice_joined)
    assert (response.status_code, response.text) == (
        400,
        "participant.attributes has 65537 bytes, the limit is 65536\n",
    )
    assert await identities(api, life.room) == []


async def test_a_body_over_the_limit_is_refused(sfu: Sfu, bystander: RawWorker) -> None:
    response = await sfu.post({"event": "room_started", "news": "n" * (2 << 20)})
    assert response.status_code == 413


async def test_only_posts_are_taken(api: Caller) -> None:
    response = await api.post("/webhooks/livekit", b"", method="GET")
    assert response.status_code == 405


async def test_events_of_other_things_are_accepted_and_change_nothing(
    api: Caller, sfu: Sfu
) -> None:
    room = fresh("room")
    await sfu.tell(
        {"event": "egress_started", "id": fresh("EV"), "egressInfo": {"roomName": room}},
        {
            "event": "participant_connection_aborted",
            "id": fresh("EV"),
            "room": {"name": room, "sid": "RM_1"},
            "participant": {"identity": "ann", "sid": "PA_1"},
        },
    )
    assert await room_of(api, room) is None
