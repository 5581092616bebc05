"""What a room configuration may be, and what it gives to a request."""

from __future__ import annotations

import pytest

from dispatcher.room_configurations import (
    Presets,
    RoomConfigurationLimits,
    check_agents,
    check_configuration,
)
from protocol import wire_pb2
from protocol.errors import InvalidField, LimitExceeded, TwirpError
from protocol.limits import DEFAULT_LIMITS

PROJECT = "default"


def configuration(name: str, *agents: str, **fields: object) -> wire_pb2.RoomConfiguration:
    made = wire_pb2.RoomConfiguration(name=name)
    for field, value in fields.items():
        setattr(made, field, value)
    for agent in agents:
        made.agents.add(agent_name=agent)
    return made


def presets(
    *kept: wire_pb2.RoomConfiguration, of_file: tuple[wire_pb2.RoomConfiguration, ...] = ()
) -> Presets:
    stored = {(PROJECT, each.name): each.SerializeToString() for each in kept}
    return Presets({each.name: each for each in of_file}, lambda: stored)


def agents(request: wire_pb2.CreateRoomRequest) -> list[str]:
    return [agent.agent_name for agent in request.agents]


# --- precedence ---


def test_a_field_of_the_request_beats_the_preset_which_beats_the_default() -> None:
    found = presets(
        configuration("big", "usher", empty_timeout=20, metadata="preset"),
        configuration("default", "greeter", empty_timeout=30, metadata="d", max_participants=3),
    )
    asked = wire_pb2.CreateRoomRequest(name="r", room_preset="big", metadata="request")

    wanted = found.resolve(PROJECT, asked)

    assert (wanted.metadata, wanted.empty_timeout, wanted.max_participants) == ("request", 20, 3)
    assert agents(wanted) == ["usher"]


def test_agents_of_the_request_are_the_only_ones() -> None:
    found = presets(configuration("big", "usher"), configuration("default", "greeter"))
    asked = wire_pb2.CreateRoomRequest(name="r", room_preset="big")
    asked.agents.add(agent_name="mine")
    assert agents(found.resolve(PROJECT, asked)) == ["mine"]


def test_a_preset_without_agents_leaves_them_to_the_default() -> None:
    found = presets(configuration("big"), configuration("default", "greeter"))
    asked = wire_pb2.CreateRoomRequest(name="r", room_preset="big")
    assert agents(found.resolve(PROJECT, asked)) == ["greeter"]


def test_every_field_of_a_configuration_is_given() -> None:
    given = configuration(
        "default",
        "greeter",
        empty_timeout=1,
        departure_timeout=2,
        max_participants=3,
        min_playout_delay=4,
        max_playout_delay=5,
        sync_streams=True,
        metadata="m",
    )
    given.egress.ParseFromString(b"\x0a\x02hi")  # of LiveKit's own, carried as it is
    given.tags["team"] = "blue"

    wanted = presets(given).resolve(PROJECT, wire_pb2.CreateRoomRequest(name="r"))

    said = {field.name for field, _ in wanted.ListFields()}
    of_configuration = {field.name for field in wire_pb2.RoomConfiguration.DESCRIPTOR.fields}
    assert said == of_configuration  # "name" is the room's
    assert wanted.egress == given.egress
    assert wanted.name == "r"


def test_without_a_default_a_request_is_as_it_was() -> None:
    asked = wire_pb2.CreateRoomRequest(name="r", metadata="m")
    assert presets().resolve(PROJECT, asked) == asked


def test_a_preset_is_not_passed_on_and_the_request_itself_is_not_changed() -> None:
    asked = wire_pb2.CreateRoomRequest(name="r", room_preset="big")
    before = asked.SerializeToString()
    wanted = presets(configuration("big", "usher")).resolve(PROJECT, asked)
    assert wanted.room_preset == ""
    assert asked.SerializeToString() == before


def test_an_unknown_preset_is_refused_with_the_names_that_there_are() -> None:
    found = presets(configuration("small"), of_file=(configuration("big"),))
    asked = wire_pb2.CreateRoomRequest(name="r", room_preset="none")
    with pytest.raises(TwirpError, match="'none' is unknown; there are: big, small") as refused:
        found.resolve(PROJECT, asked)
    assert refused.value.code == "invalid_argument"
    with pytest.raises(TwirpError, match=r"'none' is unknown$"):
        found.resolve(PROJECT, asked, tells_names=False)


def test_names_of_another_project_are_not_told() -> None:
    found = presets(configuration("secret"))
    asked = wire_pb2.CreateRoomRequest(name="r", room_preset="secret")
    with pytest.raises(TwirpError, match="'secret' is unknown; there is none"):
        found.resolve("other", asked)


def test_that_of_the_file_stands_before_one_of_its_name() -> None:
    found = presets(configuration("big", "kept"), of_file=(configuration("big", "of-file"),))
    asked = wire_pb2.CreateRoomRequest(name="r", room_preset="big")
    assert agents(found.resolve(PROJECT, asked)) == ["of-file"]
    assert agents(found.resolve("other", asked)) == ["of-file"]
    assert found.names(PROJECT) == ["big"]


# --- bounds ---


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (configuration(""), "name"),
        (configuration("a\nb"), "name"),
        (configuration(" a"), "name"),
        (configuration("n" * 129), "128"),
        (configuration("a", metadata="m" * 65_536), "65536"),
        (configuration("a", *["x"] * 65), "64 agents|limit is 64"),
        (configuration("a", "x" * 257), "256"),
    ],
    ids=["no name", "control", "space", "long name", "large", "many agents", "agent's name"],
)
def test_what_is_over_a_bound_is_refused_by_name(
    made: wire_pb2.RoomConfiguration, said: str
) -> None:
    with pytest.raises((InvalidField, LimitExceeded), match=said):
        check_configuration(made)


def test_a_deployment_and_a_restart_policy_are_checked_as_those_of_a_dispatch() -> None:
    bad = configuration("a", "x")
    bad.agents[0].deployment = "a_b"
    with pytest.raises(InvalidField, match="deployment"):
        check_configuration(bad)
    bad.agents[0].deployment = ""
    bad.agents[0].restart_policy = 7  # type: ignore[assignment]
    with pytest.raises(InvalidField, match="restart_policy"):
        check_configuration(bad)


def test_agents_of_a_call_are_bounded_too() -> None:
    limits = RoomConfigurationLimits(agents_max=1)
    two = configuration("a", "x", "y").agents
    with pytest.raises(LimitExceeded, match="agents"):
        check_agents(two, "room", limits, DEFAULT_LIMITS)
    with pytest.raises(InvalidField, match="room"):
        check_agents(two[:1], "", limits, DEFAULT_LIMITS)
