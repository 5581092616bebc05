"""Addresses that are shown, keys that are known, tokens that are signed anew."""

from __future__ import annotations

import time

import pytest

from dispatcher.config import ApiKey
from dispatcher.sfu.access import SfuAccess, claimed_key, sfu_access
from protocol.tokens import Grants, mint_api_token, verify

SECRET = "a-secret-of-ours-that-is-long-enough"
SFU_SECRET = "a-secret-of-the-sfu-that-is-long-enough"
KEYS = {"ours": ApiKey(SECRET), "second": ApiKey(SECRET + "2", project="other")}


def token(*, room_join: bool = False, room_admin: bool = False) -> str:
    return mint_api_token(
        "ours",
        SECRET,
        now_ns=time.time_ns(),
        identity="ann",
        room="lobby",
        metadata="words",
        attributes={"tier": "gold"},
        room_join=room_join,
        room_admin=room_admin,
    )


@pytest.mark.parametrize(
    ("url", "api_url"),
    [
        ("ws://127.0.0.1:7880", "http://127.0.0.1:7880"),
        ("wss://rooms.example/", "https://rooms.example"),
        ("https://rooms.example/sfu/", "https://rooms.example/sfu"),
    ],
)
def test_the_api_is_at_the_address_of_the_rooms(url: str, api_url: str) -> None:
    assert SfuAccess(url, "k", "s").api_url == api_url


def test_a_shown_address_has_no_user_no_password_and_no_query() -> None:
    access = SfuAccess("wss://user:password@rooms.example:7880/sfu?token=x", "k", "s")
    assert access.shown_url == "wss://rooms.example:7880/sfu"


def test_a_secret_is_in_no_repr() -> None:
    assert SFU_SECRET not in repr(SfuAccess("ws://sfu", "k", SFU_SECRET))


def test_without_an_address_there_is_no_sfu() -> None:
    assert sfu_access("", "", "", KEYS) is None


def test_an_sfu_without_a_key_of_its_own_is_opened_with_our_first_one() -> None:
    access = sfu_access("ws://sfu", "", "", KEYS)
    assert access == SfuAccess("ws://sfu", "ours", SECRET, knows_ours=True)
    assert access.opens_with("second", SECRET + "2")


def test_an_sfu_with_a_key_of_its_own_is_opened_with_that_alone() -> None:
    access = sfu_access("ws://sfu", "ours", SECRET, KEYS)
    assert access is not None
    assert access.opens_with("ours", SECRET)
    assert not access.opens_with("ours", SECRET + "2")
    assert not access.opens_with("second", SECRET + "2")


def test_a_token_signed_anew_says_the_same_under_the_other_key() -> None:
    before = token(room_join=True, room_admin=True)
    after = SfuAccess("ws://sfu", "sfu", SFU_SECRET).sign_anew(before)

    def fields(grants: Grants) -> dict[str, object]:
        return {name: getattr(grants, name) for name in Grants.__slots__ if name != "api_key"}

    said = verify(after, {"sfu": SFU_SECRET}, time.time_ns())
    assert said.api_key == "sfu"
    assert fields(said) == fields(verify(before, {"ours": SECRET}, time.time_ns()))


def test_the_key_that_a_token_names_is_read() -> None:
    assert claimed_key(token()) == "ours"


@pytest.mark.parametrize(
    "text",
    ["", "a", "a.b", "a.b.c", "..", "a.W10.c", "a.eyJpc3MiOjF9.c", "a.\u00e4.c", "a.bnVsbA.c"],
)
def test_what_is_no_token_names_no_key(text: str) -> None:
    assert claimed_key(text) == ""
