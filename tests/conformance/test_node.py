"""An unmodified Node worker and an unmodified Node client."""

import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from tests.conformance.conftest import StartWorker
from tests.conformance.dispatches import Caller, new_room
from tests.conformance.processes import API_KEY, API_SECRET, NODE, Server
from tests.conformance.waiting import eventually

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.requires("node"),
    pytest.mark.skipif(
        not (NODE / "node_modules").exists(),
        reason="the Node packages are not installed: npm ci --prefix tests/conformance/node",
    ),
]


def call(server: Server, *calls: list[object], secret: str = API_SECRET) -> list[Any]:
    """Make the calls with the stock Node client, and return what each gave."""
    done = subprocess.run(
        ["node", str(NODE / "client.mjs")],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={
            **os.environ,
            "LIVEKIT_URL": server.http_url,
            "LIVEKIT_API_KEY": API_KEY,
            "LIVEKIT_API_SECRET": secret,
        },
    )
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers


def result(answer: Mapping[str, Any]) -> Any:
    assert "error" not in answer, answer
    return answer["result"]


async def test_client_creates_reads_lists_and_deletes_dispatches(server: Server) -> None:
    room = new_room("node")

    created, listed = call(
        server,
        ["createDispatch", room, "nobody", {"metadata": "words", "deployment": "blue"}],
        ["listDispatch", room],
    )
    dispatch = result(created)
    read, deleted = call(
        server, ["getDispatch", dispatch["id"], room], ["deleteDispatch", dispatch["id"], room]
    )

    assert dispatch["agentName"] == "nobody"
    assert dispatch["room"] == room
    assert dispatch["metadata"] == "words"
    assert dispatch["deployment"] == "blue"
    assert [each["id"] for each in result(listed)] == [dispatch["id"]]
    (job,) = result(listed)[0]["state"]["jobs"]
    assert job["dispatchId"] == dispatch["id"]
    assert job["room"]["name"] == room
    assert result(read)["id"] == dispatch["id"]
    assert result(deleted) is None


async def test_errors_reach_the_client_with_their_code(server: Server) -> None:
    room = new_room("node")

    unknown, invalid = call(
        server,
        ["deleteDispatch", "AD_unknown", room],
        ["createDispatch", room, "nobody", {"deployment": "not_valid"}],
    )
    (wrong_secret,) = call(server, ["listDispatch", room], secret=API_SECRET[::-1])

    assert (unknown["error"]["status"], unknown["error"]["code"]) == (404, "not_found")
    assert (invalid["error"]["status"], invalid["error"]["code"]) == (400, "invalid_argument")
    assert wrong_secret["error"]["status"] == 401


async def test_worker_takes_a_job_and_the_client_lists_it_as_running(
    server: Server, start_worker: StartWorker
) -> None:
    room = new_room("node")
    worker = start_worker(server, "node", script="worker.mjs", mode="start")
    await worker.registered()

    (created,) = call(server, ["createDispatch", room, "node", {"metadata": "words"}])

    job = await worker.job_started()
    assert job.text("dispatch_id") == result(created)["id"]
    assert job.text("room") == room
    assert job.text("metadata") == "words"
    (listed,) = call(server, ["listDispatch", room])
    (listed_job,) = result(listed)[0]["state"]["jobs"]
    assert listed_job["id"] == job.job_id
    assert listed_job["state"]["status"] == "JS_RUNNING"


async def test_deleting_the_dispatch_ends_the_job_of_a_node_worker(
    server: Server, caller: Caller, start_worker: StartWorker
) -> None:
    """The Node SDK never reports that a job ended: to tell it to stop is what ends it."""
    worker = start_worker(server, "node-stopped", script="worker.mjs", mode="start")
    await worker.registered()
    dispatch = await caller.create("node-stopped")
    job = await worker.job_started()

    call(server, ["deleteDispatch", dispatch.id, dispatch.room])

    await eventually("the end of the job", lambda: worker.records("ended", job.job_id))


async def test_worker_is_back_after_the_server_was_killed_and_takes_jobs_again(
    own_server: Server, own_caller: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker(own_server, "node-back", script="worker.mjs", mode="start")
    await worker.registered()

    own_server.kill()
    await own_server.start()
    dispatch = await own_caller.create("node-back")

    assert (await worker.job_started()).text("dispatch_id") == dispatch.id
