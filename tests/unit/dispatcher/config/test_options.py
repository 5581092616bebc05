"""The table of options is whole: nothing that can be set is missing, nothing is there twice."""

from dataclasses import fields

from dispatcher.bridge.limits import BridgeLimits
from dispatcher.config import OPTIONS, Config, Option, load_config
from dispatcher.config.options import Kind
from dispatcher.core.jobs import SECOND
from dispatcher.core.policy import Policy
from dispatcher.core.room_states import RoomLimits
from dispatcher.notifier.limits import NotifierLimits
from dispatcher.room_configurations import RoomConfigurationLimits
from dispatcher.runtime import RuntimeLimits
from dispatcher.server.limits import ServerLimits
from dispatcher.sfu.limits import SfuLimits
from dispatcher.store.contract import Retention
from protocol.limits import WireLimits

# The wire's names for what the engine's policy sets.
SHARED = {"offer_timeout_seconds", "grace_seconds_max", "claim_silence_seconds"}


def field_names(
    tree: type[Policy]
    | type[WireLimits]
    | type[ServerLimits]
    | type[RuntimeLimits]
    | type[SfuLimits]
    | type[Retention],
) -> set[str]:
    return {field.name for field in fields(tree)}


def in_section(section: str) -> set[str]:
    return {option.field for option in OPTIONS if option.section == section}


def setting(config: Config, option: Option) -> float:
    """Return the value of an option of a section."""
    section = getattr(config, option.section)
    if option.section == "limits" and not hasattr(section, option.field):
        section = section.wire
    value: float = getattr(section, option.field)
    return value


def test_every_setting_of_the_engine_is_an_option() -> None:
    assert in_section("policy") == field_names(Policy) - {"agents"}


def test_every_limit_of_wire_and_server_is_an_option() -> None:
    limits = field_names(WireLimits) | field_names(ServerLimits)
    assert in_section("limits") == limits - SHARED - {"wire"}


def test_the_limits_of_wire_and_server_have_different_names() -> None:
    assert not field_names(WireLimits) & field_names(ServerLimits)


def test_every_bound_of_the_runtime_is_an_option() -> None:
    assert in_section("runtime") == field_names(RuntimeLimits)


def test_every_bound_of_what_is_asked_of_the_sfu_is_an_option() -> None:
    assert in_section("sfu") == field_names(SfuLimits)


def test_every_bound_of_retention_is_an_option() -> None:
    assert in_section("retention") == field_names(Retention)


def test_every_bound_of_outgoing_webhooks_is_an_option() -> None:
    assert in_section("notifier") == {field.name for field in fields(NotifierLimits)}


def test_every_bound_of_the_bridge_is_an_option() -> None:
    assert in_section("bridging") == {field.name for field in fields(BridgeLimits)}


def test_every_bound_of_rooms_is_an_option() -> None:
    assert in_section("rooms") == {field.name for field in fields(RoomLimits)}


def test_every_bound_of_room_configurations_is_an_option() -> None:
    bounds = {field.name for field in fields(RoomConfigurationLimits)}
    assert in_section("room_configuration_limits") == bounds


def test_every_field_of_the_configuration_is_an_option() -> None:
    sections = {option.section for option in OPTIONS if option.section}
    tops = {option.key for option in OPTIONS if not option.section}
    assert {field.name for field in fields(Config)} - sections == tops - {"projects", "agents"}


def test_names_are_there_once() -> None:
    for names in (
        [option.key for option in OPTIONS],
        [option.env for option in OPTIONS],
        [option.flag for option in OPTIONS if option.flag],
    ):
        assert len(names) == len(set(names))


def test_the_defaults_of_the_table_are_those_that_a_server_gets() -> None:
    config = load_config({"--keys": "k: s"}, {})
    for option in OPTIONS:
        if not option.section:
            continue
        value = setting(config, option)
        assert option.default == (value / SECOND if option.kind is Kind.DURATION else value)


def test_every_default_is_within_its_bounds() -> None:
    for option in OPTIONS:
        if option.most:
            assert isinstance(option.default, int | float)
            assert option.least <= option.default <= option.most, option.key
