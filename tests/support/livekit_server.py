"""LiveKit's own server on loopback, and people in its rooms.

`make test` puts the program at PROGRAM, where Go is; tests that need it are marked with
`needs_livekit_server`. Each server has ports of its own, which it keeps when it is killed and
started again. `Person` is a participant made with PyPI's `livekit`, as an application makes one.
"""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import anyio
import pytest
from livekit import api, rtc

from tests.conformance.processes import API_KEY, API_SECRET, Process, free_port
from tests.conformance.waiting import eventually

# The Makefile names the version too.
VERSION = "v1.13.3"
PROGRAM = Path(__file__).parents[1] / ".livekit" / f"livekit-server-{VERSION}"
needs_livekit_server = pytest.mark.skipif(
    not PROGRAM.exists(),
    reason=f"livekit-server {VERSION} is not installed: it takes Go to make it",
)

START_SECONDS = 60.0
CALL_SECONDS = 60.0
SAMPLE_RATE, CHANNELS = 48_000, 1


def free_udp_port() -> int:
    """A port that is free for TCP and for UDP: media of another run hold the latter alone."""
    while True:
        port = free_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


@dataclass
class LiveKitServer:
    """One livekit-server on ports that stay the same when it is started again.

    `webhook_urls` are told of its rooms, signed with `webhook_key` (its own key where that is
    empty). `redis` joins nodes to one cluster. Rooms that are empty close after
    `empty_seconds` (nobody came) and `departure_seconds` (the last one left).
    """

    folder: Path
    keys: Mapping[str, str] = field(default_factory=lambda: {API_KEY: API_SECRET})
    webhook_urls: Sequence[str] = ()
    webhook_key: str = ""
    redis: str = ""
    empty_seconds: int = 300
    departure_seconds: int = 2
    settings: Mapping[str, object] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    # media over UDP, all on one port, and over TCP
    udp_port: int = field(default_factory=free_udp_port)
    tcp_port: int = field(default_factory=free_port)
    process: Process | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        """The first of its keys."""
        return next(iter(self.keys))

    @property
    def secret(self) -> str:
        """The secret of that key."""
        return self.keys[self.key]

    async def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        config: dict[str, object] = {
            "port": self.port,
            "bind_addresses": ["127.0.0.1"],
            "keys": dict(self.keys),
            # At info it tells each session description, and a failed test prints the log.
            "logging": {"level": "warn"},
            "rtc": {
                "udp_port": self.udp_port,
                "tcp_port": self.tcp_port,
                "use_external_ip": False,
                "enable_loopback_candidate": True,
            },
            "room": {
                "empty_timeout": self.empty_seconds,
                "departure_timeout": self.departure_seconds,
            },
            **self.settings,
        }
        if self.webhook_urls:
            config["webhook"] = {
                "api_key": self.webhook_key or self.key,
                "urls": list(self.webhook_urls),
            }
        if self.redis:
            config["redis"] = {"address": self.redis}
        path = self.folder / "livekit.yaml"  # JSON is YAML
        path.write_text(json.dumps(config))
        self.process = Process(
            [str(PROGRAM), "--dev", "--node-ip", "127.0.0.1", "--config", str(path)],
            self.folder / "livekit.log",
            {},
        )
        await eventually("livekit-server answers", self._is_ready, seconds=START_SECONDS)

    async def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.is_running(), f"it ended: {self.process.output()[-2000:]}"
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{self.http_url}/") as response,
            ):
                return response.status == 200
        except aiohttp.ClientError:
            return False

    def kill(self) -> None:
        """SIGKILL: all its rooms are gone with it."""
        assert self.process is not None
        self.process.kill()

    def clean_up(self) -> None:
        """Kill what is left of it."""
        if self.process is not None:
            self.process.clean_up()

    def token(self, room: str, identity: str, *, agents: Sequence[str] = (), **claims: str) -> str:
        """A participant's token. `agents` are named in it, to be dispatched by LiveKit.

        `claims`: name, metadata, or any other, which is an attribute.
        """
        token = (
            api.AccessToken(self.key, self.secret)
            .with_identity(identity)
            .with_name(claims.pop("name", ""))
            .with_metadata(claims.pop("metadata", ""))
            .with_attributes(claims)
            .with_grants(api.VideoGrants(room_join=True, room=room))
        )
        if agents:
            token = token.with_room_config(
                api.RoomConfiguration(
                    agents=[api.RoomAgentDispatch(agent_name=name) for name in agents]
                )
            )
        return token.to_jwt()

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[api.LiveKitAPI]:
        """The stock Python client of this server."""
        async with api.LiveKitAPI(self.http_url, self.key, self.secret) as client:
            yield client

    @asynccontextmanager
    async def joined(
        self, room: str, identity: str, *, agents: Sequence[str] = (), **claims: str
    ) -> AsyncIterator[Person]:
        """Somebody in a room, who leaves at the end if not before."""
        person = Person()
        try:
            await person.join(self.url, self.token(room, identity, agents=agents, **claims))
            yield person
        finally:
            await person.leave()


@asynccontextmanager
async def running_livekit_server(
    folder: Path,
    *,
    keys: Mapping[str, str] | None = None,
    webhook_urls: Sequence[str] = (),
    webhook_key: str = "",
    redis: str = "",
    empty_seconds: int = 300,
    departure_seconds: int = 2,
) -> AsyncIterator[LiveKitServer]:
    """Run a livekit-server for as long as the context is open."""
    server = LiveKitServer(
        folder,
        keys or {API_KEY: API_SECRET},
        webhook_urls,
        webhook_key,
        redis,
        empty_seconds,
        departure_seconds,
    )
    try:
        await server.start()
        yield server
    finally:
        server.clean_up()


@dataclass(frozen=True, slots=True)
class Message:
    """A data message that came from somebody."""

    sender: str
    topic: str
    data: bytes


class Person:
    """A participant of a room. Everything it saw is kept, for tests to wait for."""

    def __init__(self) -> None:
        self.room = rtc.Room()
        self.messages: list[Message] = []
        # why it is no longer connected; None while it is
        self.disconnected: int | None = None
        self._source: rtc.AudioSource | None = None
        self._track_sid = ""
        self.room.on("data_received", self._on_data)
        self.room.on("disconnected", self._on_disconnected)

    def _on_data(self, packet: rtc.DataPacket) -> None:
        sender = packet.participant.identity if packet.participant else ""
        self.messages.append(Message(sender, packet.topic or "", bytes(packet.data)))

    def _on_disconnected(self, reason: int) -> None:
        self.disconnected = reason

    @property
    def sid(self) -> str:
        """What the SFU calls this connection."""
        return self.room.local_participant.sid

    def others(self) -> set[str]:
        """The identities of who else is there."""
        return set(self.room.remote_participants)

    async def join(self, url: str, token: str) -> None:
        """Join the room that the token names."""
        with anyio.fail_after(CALL_SECONDS):
            await self.room.connect(url, token)

    async def send(self, data: bytes, topic: str = "") -> None:
        """Send a data message to everybody in the room."""
        with anyio.fail_after(CALL_SECONDS):
            await self.room.local_participant.publish_data(data, reliable=True, topic=topic)

    async def publish_audio(self) -> str:
        """Publish a microphone's track, of silence; return its sid."""
        self._source = rtc.AudioSource(SAMPLE_RATE, CHANNELS)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        with anyio.fail_after(CALL_SECONDS):
            publication = await self.room.local_participant.publish_track(track, options)
        self._track_sid = publication.sid
        return self._track_sid

    async def unpublish(self) -> None:
        """Take the track back."""
        with anyio.fail_after(CALL_SECONDS):
            await self.room.local_participant.unpublish_track(self._track_sid)

    async def leave(self) -> None:
        """Leave the room; nothing, if it has left."""
        with anyio.move_on_after(CALL_SECONDS, shield=True):
            await self.room.disconnect()
            if self._source is not None:
                await self._source.aclose()
                self._source = None
