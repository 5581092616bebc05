"""Outgoing webhooks in the configuration: read from file and environment, each mistake one line."""

from pathlib import Path

import pytest

from dispatcher.config import Config, Webhook, load_config
from protocol.errors import ConfigError

KEYS = "projects: {red: {keys: {k1: s1, k2: s2}}, blue: {keys: {k3: s3}}}\n"


def loaded(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "callboard.yaml"
    file.write_text(KEYS + text)
    return load_config({}, {}, file)


def problem(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    return str(caught.value)


def test_webhooks_are_read_from_the_file_with_their_addresses_as_they_are(tmp_path: Path) -> None:
    text = "webhooks: [{url: 'https://a.example/hook/?x=1', key: k1}, {url: http://b:81, key: k3}]"
    assert loaded(tmp_path, text).webhooks == (
        Webhook("https://a.example/hook/?x=1", "k1"),
        Webhook("http://b:81", "k3"),
    )


def test_webhooks_are_read_from_the_environment() -> None:
    env = {"CALLBOARD_WEBHOOKS": "[{url: http://a/hook, key: k}]"}
    assert load_config({"--keys": "k: s"}, env).webhooks == (Webhook("http://a/hook", "k"),)


def test_the_development_key_may_sign() -> None:
    env = {"CALLBOARD_WEBHOOKS": "[{url: http://a/hook, key: devkey}]"}
    assert load_config({"--dev": "true"}, env).webhooks == (Webhook("http://a/hook", "devkey"),)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{url: http://a, key: k1}", "webhooks must be a list of {url: URL, key: KEY}"),
        ("[http://a]", "line 2: webhooks[0] must be {url: URL, key: KEY}"),
        ("[{url: http://a}]", "webhooks[0] must be {url: URL, key: KEY}, both of them"),
        ("[{url: http://a, kee: k1}]", "unknown option 'webhooks[0].kee'; did you mean"),
        ("[{url: ws://a, key: k1}]", "webhooks[0].url must be an address such as https://"),
        ("[{url: 'http://', key: k1}]", "webhooks[0].url must be an address such as https://"),
        ("[{url: 'http://u:hush@a', key: k1}]", "without user and password"),
        ("[{url: http://a, key: other}]", "other is not an API key of this server"),
        ("[{url: http://a, key: k1}, {url: http://a, key: k1}]", "webhooks[1] is there twice"),
        ("[{url: http://a, key: k1}, {url: http://a, key: k2}]", "project red has one address"),
    ],
)
def test_a_mistake_is_one_line_that_says_where(tmp_path: Path, text: str, part: str) -> None:
    said = problem(tmp_path, f"webhooks: {text}")
    assert part in said
    assert "\n" not in said
    assert "hush" not in said


def test_two_projects_may_tell_one_address(tmp_path: Path) -> None:
    text = "webhooks: [{url: http://a, key: k1}, {url: http://a, key: k3}]"
    assert len(loaded(tmp_path, text).webhooks) == 2


def test_an_address_is_not_in_the_repr() -> None:
    assert "hush" not in repr(Webhook("http://a/hook?secret=hush", "k"))
