"""Listens to whoever speaks in a room, one job for each of them, and says how much it has heard.

    pip install "callboard[room]"
    python transcriber.py dev
    callboard dispatch create --room lobby --agent-name transcriber

`Recogniser` counts frames of sound; a real one gives them to a model, and returns its words.
"""

from contextlib import aclosing, suppress

import anyio
from livekit import rtc

from worker_sdk import JobContext, JobType, Worker

SAMPLE_RATE = 16_000
# Of the sound that waits for the recogniser; what comes while it is full drops the oldest.
FRAMES_MAX = 500
# Tracks of one speaker that come at the same moment; the first one counts.
TRACKS_MAX = 8
SAY_EVERY_SECONDS = 1.0

worker = Worker(agent_name="transcriber", types=[JobType.PUBLISHER], capacity=50)


class Recogniser:
    """Turns sound into text: here, into how long it was."""

    def __init__(self) -> None:
        self._unsaid_seconds = 0.0
        self.heard_seconds = 0.0

    def hear(self, frame: rtc.AudioFrame) -> str | None:
        """Take some milliseconds of sound; return text when there is some to say."""
        self.heard_seconds += frame.duration
        self._unsaid_seconds += frame.duration
        if self._unsaid_seconds < SAY_EVERY_SECONDS:
            return None
        self._unsaid_seconds = 0.0
        return f"{self.heard_seconds:.0f} s of sound"


@worker.job
async def transcribe(ctx: JobContext) -> None:
    """Listen to the one who publishes, until they stop."""
    speaker = ctx.participant
    assert speaker is not None  # as of every PUBLISHER job
    recogniser = Recogniser()

    def sum_up() -> None:
        ctx.log.info("transcribed", seconds=round(recogniser.heard_seconds, 1))

    # Also when the speaker leaves: the server stops the job then.
    ctx.add_shutdown_callback(sum_up)
    async with ctx.room(rtc.RoomOptions(auto_subscribe=False)) as room:
        if speaker.identity not in room.remote_participants:
            return  # they have left already
        with anyio.CancelScope() as listening:
            stop_when_gone(room, speaker.identity, listening)
            track = await audio_track_of(room, speaker.identity)
            async with aclosing(sound_of(track)) as stream:
                async for event in stream:
                    if text := recogniser.hear(event.frame):
                        await room.local_participant.publish_data(
                            f"{speaker.identity}: {text}", topic="transcript"
                        )


# These set their handlers before the first `await` after joining: nothing is missed.


def stop_when_gone(room: rtc.Room, identity: str, listening: anyio.CancelScope) -> None:
    """Cancel the scope when somebody leaves or takes the track back."""

    def left(participant: rtc.RemoteParticipant) -> None:
        if participant.identity == identity:
            listening.cancel()

    room.on("participant_disconnected", left)
    room.on("track_unsubscribed", lambda _track, _publication, by: left(by))


def sound_of(track: rtc.RemoteAudioTrack) -> rtc.AudioStream:
    """The frames of a track. They do not end with it."""
    return rtc.AudioStream(track, capacity=FRAMES_MAX, sample_rate=SAMPLE_RATE, num_channels=1)


async def audio_track_of(room: rtc.Room, identity: str) -> rtc.RemoteAudioTrack:
    """Subscribe to somebody's first audio track, and wait for it."""
    arrived, arrivals = anyio.create_memory_object_stream[rtc.RemoteAudioTrack](TRACKS_MAX)

    def want(publication: rtc.RemoteTrackPublication, by: rtc.RemoteParticipant) -> None:
        if by.identity == identity and publication.kind == rtc.TrackKind.KIND_AUDIO:
            publication.set_subscribed(True)

    def take(track: rtc.Track, _: rtc.RemoteTrackPublication, by: rtc.RemoteParticipant) -> None:
        if by.identity == identity and isinstance(track, rtc.RemoteAudioTrack):
            with suppress(anyio.WouldBlock, anyio.BrokenResourceError):
                arrived.send_nowait(track)

    room.on("track_published", want)
    room.on("track_subscribed", take)
    speaker = room.remote_participants[identity]
    for publication in speaker.track_publications.values():
        want(publication, speaker)
    async with arrivals:
        return await arrivals.receive()


if __name__ == "__main__":
    worker.run()
