"""Room configurations in YAML: every form that a field has, and one line for whatever is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatcher.config import load_config
from dispatcher.config.room_configuration_files import (
    Configurations,
    load_configurations,
    parse_configurations,
)
from dispatcher.room_configurations import DEFAULT_CONFIGURATION_LIMITS, RoomConfigurationLimits
from protocol import wire_pb2
from protocol.errors import ConfigError

WHOLE = """\
big:
  empty_timeout: 60
  sync_streams: yes
  metadata: '{"tier": 1}'
  tags: {team: blue}
  agents:
    - agent_name: greeter
      metadata: 007
      deployment: blue
      restart_policy: never
      attributes: {a: "1"}
    - {agent_name: scribe, restart_policy: on_failure}
default:
"""


def read(
    text: str, limits: RoomConfigurationLimits = DEFAULT_CONFIGURATION_LIMITS
) -> Configurations:
    return parse_configurations(text.encode(), "f.yaml", limits)


def test_every_form_of_a_field_is_read() -> None:
    big = wire_pb2.RoomConfiguration(
        name="big", empty_timeout=60, sync_streams=True, metadata='{"tier": 1}'
    )
    big.tags["team"] = "blue"
    greeter = big.agents.add(agent_name="greeter", metadata="007", deployment="blue")
    greeter.restart_policy = wire_pb2.JRP_NEVER
    greeter.attributes["a"] = "1"
    big.agents.add(agent_name="scribe")

    assert read(WHOLE) == {"big": big, "default": wire_pb2.RoomConfiguration(name="default")}


def test_an_agent_without_a_name_is_written_as_an_empty_text() -> None:
    (agent,) = read("a: {agents: [{agent_name: ''}]}")["a"].agents
    assert agent == wire_pb2.RoomAgentDispatch()


def test_the_section_of_a_servers_file_is_read_as_it_stands() -> None:
    assert list(read("port: 7880\nroom_configurations:\n  big: {}\n")) == ["big"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a:\n  emty_timeout: 1", "f.yaml, line 2: unknown field 'emty_timeout'; did you mean 'empty_timeout'?"),
        ("a:\n  empty_timeout: -1", "f.yaml, line 2: a.empty_timeout must be a whole number from 0 to 4294967295, not '-1'"),
        ("a:\n  agents: greeter", "f.yaml, line 2: a.agents must be a list, not 'greeter'"),
        ("a:\n  agents:\n    - {agentname: x}", "f.yaml, line 3: unknown field 'agentname'; did you mean 'agent_name'?"),
        ("a:\n  agents:\n    - {restart_policy: always}", "f.yaml, line 3: a.agents[0].restart_policy must be one of on_failure, never, not 'always'"),
        ("a:\n  agents: [{}]", "f.yaml, line 2: a.agents[0].agent_name is missing; a worker without a name"),
        ("a:\n  agents:\n  - agent_name: x\n  - metadata: m", "f.yaml, line 4: a.agents[1].agent_name is missing"),
        ("a:\n  agents:\n  - metadata: m\n    agent_name:", "f.yaml, line 4: a.agents[0].agent_name is missing"),
        ("a:\n  metadata: {a: 1}", "f.yaml, line 2: a.metadata must be a text; JSON goes into quotes"),
        ("a:\n  egress: {}", "f.yaml, line 2: a.egress: an egress can be set only by a call in protobuf"),
        ("a:\n  name: b", "f.yaml, line 2: unknown field 'name'"),
        ("a: {}\na: {}", "f.yaml, line 2: a is set twice"),
        ("", "f.yaml: has no room configuration in it"),
        ("a: [", "f.yaml, line 1: not valid YAML"),
        ('"": {}', "f.yaml: ''"),
        ("a:\n  agents: [{agent_name: x, deployment: a_b}]", "f.yaml: 'a'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_with_its_place(text: str, line: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(text)
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)


def test_more_than_the_limit_are_refused() -> None:
    with pytest.raises(ConfigError, match="there are 2 room configurations, the limit is 1"):
        read("a: {}\nb: {}", RoomConfigurationLimits(configurations_max=1))


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_configurations(tmp_path / "none.yaml", DEFAULT_CONFIGURATION_LIMITS)


def test_a_server_has_those_of_its_file_within_its_own_limits(tmp_path: Path) -> None:
    file = tmp_path / "callboard.yaml"
    file.write_text("room_configurations:\n  big: {agents: [{agent_name: usher}]}\n")
    config = load_config({"--keys": "k: s"}, {}, file)
    assert [agent.agent_name for agent in config.room_configurations["big"].agents] == ["usher"]

    file.write_text(file.read_text() + "room_configuration_limits: {name_bytes_max: 2}\n")
    with pytest.raises(ConfigError, match="room_configurations: 'big': name has 3 bytes"):
        load_config({"--keys": "k: s"}, {}, file)
