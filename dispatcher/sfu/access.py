"""Where the SFU is, with which key one speaks to it, and how others' tokens come to fit it.

The address is shown to people without anything that may be secret. A token that one of our keys
signed is signed anew where the SFU does not know that key: the same claims, under the SFU's key.
Whose token is good is left to `server.access`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from protocol.errors import TokenError
from protocol.signing import decode_part, sign

_HTTP_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class OurKey(Protocol):
    """What is configured for an API key of ours (`dispatcher.config.ApiKey`)."""

    @property
    def secret(self) -> str:
        """The secret that signs the key's tokens."""
        ...


@dataclass(frozen=True, slots=True)
class SfuAccess:
    """The SFU's address (ws, wss, http or https), and a key that it knows.

    `knows_ours`: the SFU knows every key of ours too, so that a token of theirs opens it as it is.
    """

    url: str
    api_key: str
    api_secret: str = field(repr=False)
    knows_ours: bool = False

    @property
    def api_url(self) -> str:
        """The address of its HTTP API, without a slash at its end."""
        parts = urlsplit(self.shown_url)
        return urlunsplit((_HTTP_SCHEMES[parts.scheme], parts.netloc, parts.path, "", ""))

    @property
    def shown_url(self) -> str:
        """The address for people: no user, no password, no query."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))

    def opens_with(self, api_key: str, secret: str) -> bool:
        """Does the SFU know this key of ours?"""
        return self.knows_ours or (api_key, secret) == (self.api_key, self.api_secret)

    def sign_anew(self, token: str) -> str:
        """Return a verified token's claims under the SFU's key: same grants, same times."""
        claims = json.loads(decode_part(token.split(".", 2)[1]))
        if not isinstance(claims, dict):  # what was verified is an object
            raise TokenError("the claims are not a JSON object")
        claims["iss"] = self.api_key
        return sign(json.dumps(claims, separators=(",", ":")).encode(), self.api_secret)


def sfu_access(
    room_url: str, room_key: str, room_secret: str, keys: Mapping[str, OurKey]
) -> SfuAccess | None:
    """Return how one reaches the SFU, None where there is none.

    Without a key of its own it knows ours: the first is used.
    """
    if not room_url:
        return None
    if room_key:
        return SfuAccess(room_url, room_key, room_secret)
    api_key, key = next(iter(keys.items()))
    return SfuAccess(room_url, api_key, key.secret, knows_ours=True)


def claimed_key(token: str) -> str:
    """Return the API key that a token names, empty where it names none: nothing is verified."""
    try:
        claims = json.loads(decode_part(token.split(".", 2)[1]))
        api_key = claims["iss"]
    except (TokenError, ValueError, LookupError, TypeError, RecursionError):
        return ""
    return api_key if isinstance(api_key, str) else ""
