"""Where the server is, and with which key and secret one speaks to it.

Taken from arguments, else from LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET. The secret
never appears in a repr or a log.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit, urlunsplit

from protocol.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Credentials"]

_WEBSOCKET_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_HTTP_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Address, API key and secret of one server."""

    url: str = field(repr=False)  # somebody's password may be in it
    api_key: str
    api_secret: str = field(repr=False)

    @classmethod
    def resolve(
        cls,
        url: str | None = None,
        api_key: str | None = None,
        api_secret: str | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> Credentials:
        """Fill what is None from the environment. Raises ConfigError that names what is missing."""
        found = cls(
            url=_setting("url", url, "LIVEKIT_URL", environment),
            api_key=_setting("api_key", api_key, "LIVEKIT_API_KEY", environment),
            api_secret=_setting("api_secret", api_secret, "LIVEKIT_API_SECRET", environment),
        )
        found._parts()
        return found

    @property
    def worker_url(self) -> str:
        """The address of the worker socket: the URL, as ws or wss, and `/agent`."""
        parts = self._parts()
        path = parts.path.rstrip("/") + "/agent"
        return urlunsplit((_WEBSOCKET_SCHEMES[parts.scheme], _host(parts), path, "", ""))

    @property
    def api_url(self) -> str:
        """The address of the HTTP API, without a slash at its end."""
        parts = self._parts()
        path = parts.path.rstrip("/")
        return urlunsplit((_HTTP_SCHEMES[parts.scheme], _host(parts), path, "", ""))

    def _parts(self) -> SplitResult:
        try:
            parts = urlsplit(self.url)
            is_usable = parts.scheme in _HTTP_SCHEMES and bool(parts.hostname)
            is_usable = is_usable and not any(mark.isspace() for mark in self.url)
            _ = parts.port  # raises for a port that is no number
        except ValueError:
            is_usable = False
        else:
            if is_usable:
                return parts
        raise ConfigError(
            "url (LIVEKIT_URL) must look like ws://127.0.0.1:7880 or https://calls.example.org"
        )


def _host(parts: SplitResult) -> str:
    """Return host and port, without a user and a password, which would go in the token's place."""
    return parts.netloc.rpartition("@")[2]


def _setting(name: str, value: str | None, variable: str, environment: Mapping[str, str]) -> str:
    found = value if value is not None else environment.get(variable, "")
    if not found:
        raise ConfigError(f"{name} is missing: pass {name}=... or set {variable}")
    return found
