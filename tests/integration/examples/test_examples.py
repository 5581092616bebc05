"""Each of examples/ does what it says, started as a person starts it."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from livekit import rtc

from examples.long_job import Overtaken, Progress
from tests.conformance.waiting import eventually
from tests.integration.examples.programs import EXAMPLES, Programs, ended
from tests.support.livekit_server import (
    CALL_SECONDS,
    LiveKitServer,
    Person,
    needs_livekit_server,
)
from worker_sdk import DispatchClient
from worker_sdk.client.messages import JobPhase

pytestmark = pytest.mark.anyio
RATE, FRAME = 48_000, 480


def heard(person: Person, topic: str) -> list[str]:
    """What a person was told."""
    return [each.data.decode() for each in person.messages if each.topic == topic]


@needs_livekit_server
async def test_the_greeter_greets_who_is_there_and_who_comes(
    sfu: LiveKitServer, client: DispatchClient, programs: Programs, room: str
) -> None:
    programs.start("greeter")
    async with sfu.joined(room, "ann") as ann:
        await client.create_dispatch(room, "greeter")
        await eventually("ann is greeted", lambda: heard(ann, "greeting"))
        async with sfu.joined(room, "bob") as bob:
            await eventually("bob is greeted", lambda: heard(bob, "greeting"))
            assert heard(bob, "greeting") == ["Hello, bob!"]
        assert heard(ann, "greeting") == ["Hello, ann!"]
    # All have left: the room ends, and the job with it.
    assert (await ended(client, room)).phase in (JobPhase.SUCCEEDED, JobPhase.CANCELLED)


@asynccontextmanager
async def speaking(person: Person) -> AsyncIterator[None]:
    """Somebody who makes sounds into a microphone."""
    source = rtc.AudioSource(RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
    myself = person.room.local_participant
    with anyio.fail_after(CALL_SECONDS):
        publication = await myself.publish_track(track, rtc.TrackPublishOptions())

    async def speak() -> None:
        while True:
            await source.capture_frame(rtc.AudioFrame(b"\x10\x00" * FRAME, RATE, 1, FRAME))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(speak)
        yield
        tasks.cancel_scope.cancel()
    # LiveKit's library may wait for ever for the answer, where its connection has been lost meanwhile.
    with anyio.move_on_after(CALL_SECONDS, shield=True):
        await myself.unpublish_track(publication.sid)
        await source.aclose()


@needs_livekit_server
async def test_the_transcriber_hears_each_who_speaks_until_they_stop(
    sfu: LiveKitServer, client: DispatchClient, programs: Programs, room: str
) -> None:
    worker = programs.start("transcriber")
    # A name that the server has never seen is called once for each room.
    await eventually("it is registered", lambda: "worker_registered" in worker.output())
    async with sfu.joined(room, "listener") as listener, sfu.joined(room, "ann") as ann:
        await client.create_dispatch(room, "transcriber")
        async with speaking(ann):
            await eventually("ann is heard", lambda: heard(listener, "transcript"))
        assert heard(listener, "transcript")[0] == "ann: 1 s of sound"
        assert (await ended(client, room)).phase == JobPhase.SUCCEEDED
    await eventually("it sums up", lambda: '"transcribed"' in worker.output())


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_the_long_job_goes_on_at_another_worker_where_it_was(
    client: DispatchClient, programs: Programs, room: str, tmp_path: Path, end: signal.Signals
) -> None:
    database = tmp_path / "progress.sqlite"
    environment = {"LONG_JOB_DATABASE": str(database), "CALLBOARD_WORKER_GRACE_SECONDS": "0.5"}
    first = programs.start("long_job", environment)
    order = json.dumps({"steps": 20, "step_seconds": 0.1})
    await client.create_dispatch(room, "long-job", metadata=order)
    await eventually("some steps are done", lambda: steps_done(database) >= 2)
    second = programs.start("long_job", environment)
    await eventually("the other worker is there", lambda: "worker_registered" in second.output())
    first.send_signal(end)
    record = await ended(client, room)
    assert record.phase == JobPhase.SUCCEEDED
    (line,) = [json.loads(line) for line in second.lines() if '"working"' in line]
    assert line["done"] >= 2
    assert line["because"].startswith("the worker that ran it ")
    assert steps_done(database) == 20


def steps_done(database: Path) -> int:
    """What is saved."""
    if not database.exists():
        return 0
    connection = sqlite3.connect(database, timeout=10)
    try:
        row = connection.execute("SELECT max(steps) FROM progress").fetchone()
    except sqlite3.OperationalError:  # there is no table yet
        return 0
    finally:
        connection.close()
    return int(row[0] or 0)


def test_the_long_job_saves_nothing_of_an_older_holder(tmp_path: Path) -> None:
    old, new = Progress(str(tmp_path / "p.sqlite")), Progress(str(tmp_path / "p.sqlite"))
    assert old.begin("AJ_1", 1) == 0
    old.save("AJ_1", 1, 5)
    assert new.begin("AJ_1", 2) == 5
    with pytest.raises(Overtaken):
        old.save("AJ_1", 1, 6)
    with pytest.raises(Overtaken):
        old.begin("AJ_1", 1)
    new.save("AJ_1", 2, 6)
    assert new.begin("AJ_1", 2) == 6
    old.close()
    new.close()


async def test_the_cpu_heavy_job_counts_in_a_process_of_its_own(
    client: DispatchClient, programs: Programs, room: str
) -> None:
    worker = programs.start("cpu_heavy")
    await client.create_dispatch(room, "cpu-heavy", metadata="200000")
    assert (await ended(client, room)).phase == JobPhase.SUCCEEDED
    (counted,) = await eventually(
        "it says what it has counted",
        lambda: [json.loads(line) for line in worker.lines() if '"counted"' in line],
    )
    assert counted["primes"] == 17984
    assert counted["pid"] != worker.pid


def test_every_example_is_tried_here() -> None:
    text = Path(__file__).read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f'start("{path.stem}"' in text, path
