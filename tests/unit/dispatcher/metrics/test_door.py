"""Who may read metrics: by address, by token, and who never."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest

from dispatcher.config import ApiKey
from dispatcher.metrics.door import MetricsDoor, Reader, is_local
from dispatcher.metrics.settings import MetricsAccess, MetricsSettings
from dispatcher.server.access import Access
from protocol.errors import TokenError
from protocol.limits import WireLimits
from protocol.tokens import mint_api_token

TOKEN = "a-token-of-the-tests"
SECRET = "a-secret-of-the-tests-that-is-long-enough"
KEYS = {"key": ApiKey(SECRET), "otherkey": ApiKey(SECRET + "2", project="other")}


def door(access: MetricsAccess = MetricsAccess.LOCAL, token: str = TOKEN) -> MetricsDoor:
    settings = MetricsSettings(access=access, token=token)
    return MetricsDoor(settings, Access(KEYS, WireLimits()), time.time_ns)


def asked(
    address: str | None = "127.0.0.1", host: str = "127.0.0.1:7880", query: str = "", **headers: str
) -> dict[str, Any]:
    """Return the ASGI scope of a request; header names with _ for -."""
    given = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return {
        "client": (address, 1234) if address is not None else None,
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "query_string": query.encode(),
    }


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def api_token(key: str = "key", **grants: Any) -> str:
    return mint_api_token(key, KEYS[key].secret, now_ns=time.time_ns(), **grants)


LOCAL = asked()
AWAY = asked("10.1.2.3", "callboard.example.org")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "localhost:7880", "127.0.0.1:1", "[::1]:7880"])
def test_a_program_on_this_machine_is_local(address: str, host: str) -> None:
    assert is_local(asked(address, host))


@pytest.mark.parametrize(
    "scope",
    [
        AWAY,
        asked("10.1.2.3"),
        asked("fe80::1"),
        asked(None),
        asked("not an address"),
        asked(x_forwarded_for="10.1.2.3"),
        asked(forwarded="for=10.1.2.3"),
        asked(x_real_ip="10.1.2.3"),
        asked(via="1.1 proxy"),
        # a page in a browser here, and one whose name was made to mean this machine
        asked(origin="https://evil.example"),
        asked(sec_fetch_site="cross-site"),
        asked(host="evil.example:7880"),
        asked(host=""),
        asked(host="[::1"),
    ],
)
def test_who_comes_from_elsewhere_or_through_somebody_here_is_not_local(
    scope: dict[str, Any],
) -> None:
    assert not is_local(scope)
    with pytest.raises(TokenError, match=r"metrics\.token"):
        door().reader(scope)


def test_without_a_token_reads_who_the_setting_lets_in() -> None:
    assert door().reader(LOCAL) == Reader()
    assert door(MetricsAccess.OPEN).reader(AWAY) == Reader()
    for scope in (LOCAL, AWAY):
        with pytest.raises(TokenError):
            door(MetricsAccess.TOKEN).reader(scope)


@pytest.mark.parametrize(
    "shown", [f"Bearer {TOKEN}", f"bearer {TOKEN}", basic("any", TOKEN), basic("", TOKEN)]
)
@pytest.mark.parametrize("access", MetricsAccess)
def test_the_token_opens_from_anywhere(shown: str, access: MetricsAccess) -> None:
    scope = asked("10.1.2.3", "callboard.example.org", authorization=shown)
    assert door(access).reader(scope) == Reader()


@pytest.mark.parametrize(
    "shown",
    [
        "Bearer wrong",
        "Bearer",
        "Bearer ",
        basic("any", "wrong"),
        basic("any", ""),
        basic(TOKEN, ""),
        "Basic !!!",
        "Basic",
        "Digest x",
        f"Bearer {TOKEN}x",
    ],
)
@pytest.mark.parametrize("access", MetricsAccess)
def test_what_opens_nothing_is_refused_also_where_nothing_would_do(
    shown: str, access: MetricsAccess
) -> None:
    with pytest.raises(TokenError):
        door(access).reader(asked(authorization=shown))


@pytest.mark.parametrize("shown", ["Bearer ", basic("any", ""), "Bearer wrong"])
def test_where_no_token_is_set_an_empty_one_opens_nothing(shown: str) -> None:
    with pytest.raises(TokenError):
        door(token="").reader(asked(authorization=shown))


@pytest.mark.parametrize(("key", "project"), [("key", "default"), ("otherkey", "other")])
def test_a_token_of_an_api_key_opens_its_project(key: str, project: str) -> None:
    token = api_token(key, dispatch_admin=True)
    for scope in (
        asked("10.1.2.3", authorization=f"Bearer {token}"),
        asked("10.1.2.3", query=f"access_token={token}"),
    ):
        assert door().reader(scope) == Reader(project)


def test_a_token_of_an_api_key_needs_the_grant() -> None:
    with pytest.raises(TokenError, match=r"agent\.dispatchAdmin"):
        door(MetricsAccess.OPEN).reader(asked(authorization=f"Bearer {api_token(agent=True)}"))
