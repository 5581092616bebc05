"""Greets everybody in a room, and everybody who comes, until the room ends.

pip install "callboard[room]"
python greeter.py dev
callboard dispatch create --room lobby --agent-name greeter
"""

from collections.abc import Iterable

import anyio
from livekit import rtc

from worker_sdk import JobContext, Worker

# Who came and was not greeted yet; more than these at once are not greeted.
ARRIVALS_MAX = 1000

worker = Worker(agent_name="greeter")


@worker.job
async def greet(ctx: JobContext) -> None:
    """Be in the room for as long as it lasts."""
    arrived, arrivals = anyio.create_memory_object_stream[str](ARRIVALS_MAX)
    greeted: set[str] = set()

    def note(participants: Iterable[rtc.RemoteParticipant]) -> None:
        for participant in participants:
            if participant.sid not in greeted and len(greeted) < ARRIVALS_MAX:
                greeted.add(participant.sid)
                arrived.send_nowait(participant.identity)

    with arrived, arrivals:
        async with ctx.room() as room:
            # Set before the first `await` in the block: nobody is missed. Who is "active" can hear us.
            room.on("participant_active", lambda participant: note([participant]))
            note(room.remote_participants.values())
            async for identity in arrivals:
                ctx.log.info("greeting", who=identity)
                await room.local_participant.publish_data(
                    f"Hello, {identity}!", topic="greeting", destination_identities=[identity]
                )
        # The room has ended, or we were removed from it: the job has succeeded.


if __name__ == "__main__":
    worker.run()
