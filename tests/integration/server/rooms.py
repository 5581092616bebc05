"""What tests do with rooms: webhooks sent as LiveKit sends them, and what the server knows after."""

from __future__ import annotations

from typing import Any

import httpx2

from dispatcher.server.webhooks import PATH
from tests.integration.server.peers import Caller, fresh
from tests.support.livekit_webhooks import CONTENT_TYPE, contents, encoded, renamed, signature
from tests.support.server import KEY, KEYS, admin_token

REPORT = "/twirp/callboard.RoomService/ReportRoomEvent"
LIST_ROOMS = "/twirp/callboard.RoomService/ListRooms"
GET_ROOM = "/twirp/callboard.RoomService/GetRoom"


class Life:
    """The life of a room of its own: call-1's, under another name and with other sids."""

    def __init__(self, room: str = "") -> None:
        self.room = room or fresh("room")
        (
            self.started,
            self.alice_joined,
            self.agent_joined,
            self.published,
            self.unpublished,
            self.alice_left,
            self.agent_left,
            self.finished,
        ) = (renamed(content, self.room) for content in contents())


class Sfu:
    """Sends webhooks, signed with one key."""

    def __init__(self, api: Caller, key: str = KEY, secret: str = "") -> None:
        self._api = api
        self._key = key
        self._secret = secret or KEYS[key].secret

    async def post(
        self, content: object, *, body: bytes | None = None, **options: Any
    ) -> httpx2.Response:
        """Send an event; `body` is sent in place of the one that was signed."""
        signed = encoded(content)
        token = signature(signed, self._key, self._secret, **options)
        return await self._api.post(
            PATH,
            signed if body is None else body,
            content_type=CONTENT_TYPE,
            headers={"Authorization": token},
        )

    async def tell(self, *told: dict[str, Any]) -> None:
        """Send events that must be taken."""
        for content in told:
            response = await self.post(content)
            assert (response.status_code, response.text) == (200, "OK\n")


async def room_of(api: Caller, name: str, key: str = KEY) -> dict[str, Any] | None:
    """Return all that is known of a room, None if it is not there."""
    response = await api.post(GET_ROOM, {"name": name}, token=admin_token(key))
    if response.status_code == 404:
        return None
    assert response.status_code == 200, response.text
    record: dict[str, Any] = response.json()
    return record


async def identities(api: Caller, name: str) -> list[str]:
    """Return who is in a room."""
    room = await room_of(api, name)
    return [who["identity"] for who in room["participants"]] if room else []
