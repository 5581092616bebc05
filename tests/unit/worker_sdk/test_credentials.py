"""Where the server is, and with which key."""

from __future__ import annotations

import pytest

from protocol.errors import ConfigError
from worker_sdk.credentials import Credentials

ENVIRONMENT = {
    "LIVEKIT_URL": "ws://127.0.0.1:7880",
    "LIVEKIT_API_KEY": "devkey",
    "LIVEKIT_API_SECRET": "secret",
}


def test_what_is_not_passed_comes_from_the_environment() -> None:
    credentials = Credentials.resolve(environment=ENVIRONMENT)
    assert credentials == Credentials("ws://127.0.0.1:7880", "devkey", "secret")


def test_what_is_passed_wins_over_the_environment() -> None:
    assert Credentials.resolve(api_key="other", environment=ENVIRONMENT).api_key == "other"


@pytest.mark.parametrize("variable", ENVIRONMENT)
def test_a_missing_setting_is_named_with_its_variable(variable: str) -> None:
    environment = {k: v for k, v in ENVIRONMENT.items() if k != variable}
    with pytest.raises(ConfigError, match=variable):
        Credentials.resolve(environment=environment)


@pytest.mark.parametrize("url", ["127.0.0.1:7880", "ftp://host", "ws://", "ws://host:port", "x"])
def test_a_url_that_cannot_be_used_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigError, match="LIVEKIT_URL"):
        Credentials.resolve(url=url, environment=ENVIRONMENT)


@pytest.mark.parametrize(
    ("url", "worker_url", "api_url"),
    [
        ("ws://h:1", "ws://h:1/agent", "http://h:1"),
        ("http://h:1/", "ws://h:1/agent", "http://h:1"),
        ("wss://h/prefix/", "wss://h/prefix/agent", "https://h/prefix"),
        ("https://h", "wss://h/agent", "https://h"),
        ("ws://user:hush@h:1", "ws://h:1/agent", "http://h:1"),
    ],
)
def test_one_url_serves_the_socket_and_the_api(url: str, worker_url: str, api_url: str) -> None:
    credentials = Credentials(url, "key", "secret")
    assert (credentials.worker_url, credentials.api_url) == (worker_url, api_url)


def test_the_secret_is_not_in_the_repr() -> None:
    assert "hush" not in repr(Credentials("ws://user:hush@h", "key", "hush"))
