"""What follows from settings together."""

from __future__ import annotations

import pytest

from dispatcher.config import ApiKey, Config

OURS = {"a": ApiKey("s", "sales"), "b": ApiKey("s"), "c": ApiKey("s", "other")}
GROUPED = {"a": ApiKey("s", "sales"), "c": ApiKey("s", "other")}


@pytest.mark.parametrize(
    ("keys", "room_key", "project"),
    [
        pytest.param(OURS, "c", "other", id="the key is one of ours"),
        pytest.param(OURS, "sfu", "default", id="the key is the SFU's alone"),
        pytest.param(GROUPED, "sfu", "sales", id="every key of ours is grouped"),
        pytest.param(OURS, "", "sales", id="the SFU is called with our first key"),
    ],
)
def test_the_sfus_rooms_are_of_one_project(
    keys: dict[str, ApiKey], room_key: str, project: str
) -> None:
    assert Config(keys, room_key=room_key).room_project == project
