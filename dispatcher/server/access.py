"""Who is asking: the token of a request, and the project that its API key serves.

A token comes as `Authorization: Bearer <JWT>`, or as `?access_token=` or `?worker_token=` (the
header wins). What a bearer may do is asked of its grants by each door.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote_plus

from dispatcher.core.jobs import Nanoseconds
from protocol.errors import TokenError
from protocol.limits import WireLimits
from protocol.tokens import Grants, verify
from protocol.values import quick

_QUERY_NAMES = (b"access_token", b"worker_token")


class ApiKey(Protocol):
    """What is configured for an API key (`dispatcher.config.ApiKey`)."""

    @property
    def secret(self) -> str:
        """The secret that signs the key's tokens."""
        ...

    @property
    def project(self) -> str:
        """The project that the key serves."""
        ...


@quick
@dataclass(frozen=True, slots=True)
class Bearer:
    """Somebody with a valid token."""

    grants: Grants
    project: str

    @property
    def api_key(self) -> str:
        """The key that signed the token."""
        return self.grants.api_key


class Access:
    """Verifies tokens against the configured API keys."""

    def __init__(self, keys: Mapping[str, ApiKey], limits: WireLimits) -> None:
        self._secrets = {name: key.secret for name, key in keys.items()}
        self._projects = {name: key.project for name, key in keys.items()}
        self._limits = limits

    def bearer(
        self, headers: Iterable[tuple[bytes, bytes]], query: bytes, now: Nanoseconds
    ) -> Bearer | None:
        """Return who is asking, None where there is no token at all. Raises TokenError."""
        token = find_token(headers, query)
        if token is None:
            return None
        return self.verified(token, now)

    def verified(self, token: str, now: Nanoseconds) -> Bearer:
        """Return whose token this is. Raises TokenError."""
        grants = verify(token, self._secrets, now, self._limits)
        return Bearer(grants, self._projects[grants.api_key])

    def secret(self, api_key: str) -> str:
        """Return the secret of a configured key."""
        return self._secrets[api_key]


def find_token(headers: Iterable[tuple[bytes, bytes]], query: bytes) -> str | None:
    """Return the token of a request, None where it has none. Raises TokenError for another scheme.

    `headers` and `query` are ASGI's: header names in lower case, the query without its mark.
    """
    for name, value in headers:
        if name == b"authorization" and value:
            scheme, _, token = value.decode("latin-1").partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                raise TokenError("the Authorization header is not 'Bearer <token>'")
            return token.strip()
    if query:
        for pair in query.split(b"&"):
            name, _, value = pair.partition(b"=")
            if name in _QUERY_NAMES and value:
                return unquote_plus(value.decode("latin-1"))
    return None


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    """Return the first header of that name (lower case), empty where there is none."""
    for candidate, value in headers:
        if candidate == name:
            return value.decode("latin-1")
    return ""
