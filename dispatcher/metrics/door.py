"""Who may read metrics and scaling signals.

They tell the names of agents, and how busy their owners are. Three ways in:

- `metrics.token`, as a bearer token or as the password of basic auth (any user name): Prometheus, KEDA.
  It opens the server, all projects of it.
- A token of an API key with agent.dispatchAdmin, as for everything of ours: it opens its own project.
- Nothing, where `metrics.access` says so: from this machine (the default), or from anywhere.

From this machine is a connection from a loopback address, that names a loopback host, and that neither
a proxy passed on nor a page in a browser made: both come from here for somebody who is not. Whoever
shows something that opens nothing is refused, also where nothing would have done.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dispatcher.core.jobs import Nanoseconds
from dispatcher.metrics.settings import MetricsAccess, MetricsSettings
from dispatcher.server.access import Access, header
from dispatcher.server.job_service import may_read
from protocol.errors import TokenError

if TYPE_CHECKING:
    from starlette.types import Scope

# A request that has one of these was passed on by a proxy, or comes from a page in a browser.
_FOREIGN_HEADERS = (
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-real-ip",
    b"via",
    b"origin",
    b"sec-fetch-site",
)


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: of all projects, or of one."""

    project: str | None = None


class MetricsDoor:
    """Lets readers in."""

    def __init__(
        self, settings: MetricsSettings, access: Access, clock: Callable[[], Nanoseconds]
    ) -> None:
        self._settings = settings
        self._access = access
        self._clock = clock

    def reader(self, scope: Scope) -> Reader:
        """Return who asks. Raises TokenError, in one line, for who may not."""
        headers = scope["headers"]
        scheme, _, shown = header(headers, b"authorization").partition(" ")
        if scheme.lower() == "basic":
            return self._with_password(shown.strip())
        if scheme.lower() == "bearer" and self._is_token(shown.strip()):
            return Reader()
        bearer = self._access.bearer(headers, scope["query_string"], self._clock())
        if bearer is not None:
            if not may_read(bearer, None):
                raise TokenError("the token lacks the grant agent.dispatchAdmin")
            return Reader(bearer.project)
        access = self._settings.access
        if access is MetricsAccess.OPEN or (access is MetricsAccess.LOCAL and is_local(scope)):
            return Reader()
        raise TokenError(
            "a token is needed: metrics.token of the server as bearer token or password, or one of"
            " an API key with agent.dispatchAdmin"
        )

    def _with_password(self, encoded: str) -> Reader:
        try:
            text = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, ValueError):
            raise TokenError("the Authorization header is not 'Basic <user:password>'") from None
        if not self._is_token(text.partition(":")[2]):
            raise TokenError("the password is not metrics.token")
        return Reader()

    def _is_token(self, shown: str) -> bool:
        token = self._settings.token
        return bool(token) and hmac.compare_digest(shown.encode(), token.encode())


def is_local(scope: Scope) -> bool:
    """Does a program on this machine ask for itself?"""
    client = scope.get("client")
    headers = scope["headers"]
    if client is None or any(header(headers, name) for name in _FOREIGN_HEADERS):
        return False
    return _is_loopback(client[0]) and _names_loopback(header(headers, b"host"))


def _names_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or _is_loopback(name)


def _is_loopback(address: str) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback
