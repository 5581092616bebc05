"""`callboard room` against a real server: a room's life, told and shown at the command line."""

from __future__ import annotations

from typing import Any

from tests.integration.cli.callboard import Result, Server, callboard, callboard_on_terminal


def room(server: Server, *arguments: str) -> Result:
    """Run a `room` command that must succeed."""
    result = callboard("room", *arguments, env=server.env)
    assert (result.code, result.err) == (0, "")
    return result


def listed(server: Server) -> dict[str, dict[str, Any]]:
    """Return the rooms that are listed, by name."""
    return {each["name"]: each for each in room(server, "list", "--json").json["rooms"]}


def test_a_rooms_life_is_told_and_shown(server: Server) -> None:
    name = "cli-life"
    room(server, "event", "room_started", "-r", name, "--sid", "RM_cli", "--metadata", "{}")
    assert (listed(server)[name]["sid"], listed(server)[name]["metadata"]) == ("RM_cli", "{}")
    who = ("--identity", "ann", "--participant-sid", "PA_cli")
    more = ("--kind", "SIP", "--attribute", "tier=gold", "--metadata", "m")
    room(server, "event", "participant_joined", "-r", name, *who, *more)
    room(server, "event", "track_published", "-r", name, *who, "--track-sid", "TR_cli")
    [shown] = room(server, "show", name, "--json").json["participants"]
    assert {key: shown[key] for key in ("identity", "sid", "kind", "metadata", "attributes")} == {
        "identity": "ann",
        "sid": "PA_cli",
        "kind": "SIP",
        "metadata": "m",
        "attributes": {"tier": "gold"},
    }
    assert shown["is_publisher"]
    rows = room(server, "show", name).out.splitlines()
    assert rows[0].split() == ["name:", name]
    assert rows[-1].split("\t")[:4] == ["ann", "PA_cli", "sip", "yes"]
    room(server, "event", "participant_left", "-r", name, *who, "--reason", "client_initiated")
    assert listed(server)[name]["num_participants"] == 0
    room(server, "event", "room_finished", "-r", name, "--sid", "RM_cli")
    assert name not in listed(server)


def test_the_same_id_is_the_same_event(server: Server) -> None:
    for event in ("room_started", "room_finished"):
        told = room(server, "event", event, "-r", "cli-twice", "--id", f"EV_{event}")
        assert told.out == f"EV_{event} taken\n"
    again = room(server, "event", "room_started", "-r", "cli-twice", "--id", "EV_room_started")
    assert again.out == "EV_room_started was told before\n"
    assert "cli-twice" not in listed(server)


def test_an_event_is_shown_as_json(server: Server) -> None:
    told = room(server, "event", "room_started", "-r", "cli-json", "--json").json
    assert (told["event"], told["room"]["name"]) == ("room_started", "cli-json")
    assert told["id"].startswith("EV_")


def test_rooms_are_a_table_on_a_terminal(server: Server) -> None:
    room(server, "event", "room_started", "-r", "cli-table")
    shown = callboard_on_terminal("room", "list", env=server.env)
    assert shown.code == 0
    assert "PARTICIPANTS" in shown.out
    assert "cli-table" in shown.out


def test_a_room_that_is_not_there_is_one_line(server: Server) -> None:
    line = callboard("room", "show", "nowhere", env=server.env).failed_with(1)
    assert line == "there is no room 'nowhere' now"


def test_what_the_server_refuses_is_one_line(server: Server) -> None:
    result = callboard("room", "event", "room_started", "-r", "r" * 257, env=server.env)
    assert result.failed_with(1) == "room.name has 257 bytes, the limit is 256"


def test_an_unknown_event_is_wrong_usage(server: Server) -> None:
    line = callboard("room", "event", "party", "-r", "r", env=server.env).failed_with(2)
    assert line.startswith("EVENT: must be one of room_started, ")
