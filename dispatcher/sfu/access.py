"""Where the SFU is, with which key one speaks to it, and how others' tokens come to fit it.

The address is shown to people without anything that may be secret. A token that one of our keys
signed is signed anew where the SFU does not know that key: the same claims, under the SFU's key.
Whose token is good is left to `server.access`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from protocol.errors import TokenError
from protocol.signing import decode_part, sign

_HTTP_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


@dataclass(frozen=True, slots=True)
class SfuAccess:
    """The SFU's address (ws, wss, http or https), and a key that it knows."""

    url: str
    api_key: str
    api_secret: str = field(repr=False)

    @property
    def api_url(self) -> str:
        """The address of its HTTP API, without a slash at its end."""
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/")
        return urlunsplit((_HTTP_SCHEMES[parts.scheme], parts.netloc, path, "", ""))

    @property
    def shown_url(self) -> str:
        """The address for people: no user, no password, no query."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))

    def knows(self, api_key: str, secret: str) -> bool:
        """Is this the very key that the SFU is known to have?"""
        return (api_key, secret) == (self.api_key, self.api_secret)

    def sign_anew(self, token: str) -> str:
        """Return a verified token's claims under the SFU's key: same grants, same times."""
        claims = json.loads(decode_part(token.split(".", 2)[1]))
        if not isinstance(claims, dict):  # what was verified is an object
            raise TokenError("the claims are not a JSON object")
        claims["iss"] = self.api_key
        return sign(json.dumps(claims, separators=(",", ":")).encode(), self.api_secret)


def sfu_access(
    room_url: str, room_key: str, room_secret: str, secrets: Mapping[str, str]
) -> SfuAccess | None:
    """Return how one reaches the SFU, None where there is none.

    Without a key of its own it knows ours (`secrets`, by key): the first is used.
    """
    if not room_url:
        return None
    if room_key:
        return SfuAccess(room_url, room_key, room_secret)
    api_key, secret = next(iter(secrets.items()))
    return SfuAccess(room_url, api_key, secret)
