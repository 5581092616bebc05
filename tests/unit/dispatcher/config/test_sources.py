"""Where options come from, which source wins, and what a wrong one says."""

from pathlib import Path

import pytest

from dispatcher.config import Config, LogFormat, LogLevel, load_config
from dispatcher.config.options import OPTIONS, Kind, Option
from dispatcher.core.jobs import SECOND
from dispatcher.metrics.settings import MetricsAccess
from protocol.errors import ConfigError
from tests.unit.dispatcher.config.test_options import setting

KEYS = {"--keys": "k: s"}


def from_file(
    tmp_path: Path,
    text: str,
    flags: dict[str, str] | None = None,
    environ: dict[str, str] | None = None,
) -> Config:
    path = tmp_path / "callboard.yaml"
    path.write_text(text)
    return load_config(flags or {}, environ or {}, path)


def refusal(
    flags: dict[str, str] | None = None,
    environ: dict[str, str] | None = None,
    file: Path | None = None,
) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(flags or {}, environ or {}, file)
    text = str(caught.value)
    assert "\n" not in text
    return text


def file_refusal(tmp_path: Path, text: str) -> str:
    path = tmp_path / "callboard.yaml"
    path.write_text(text)
    return refusal(KEYS, {}, path).replace(str(path), "FILE")


def test_keys_alone_give_the_documented_defaults() -> None:
    config = load_config(KEYS, {})
    assert (config.bind, config.port, config.data_dir) == (
        "127.0.0.1",
        7880,
        Path("callboard-data"),
    )
    assert (config.log_level, config.log_format) == (LogLevel.INFO, LogFormat.AUTO)
    assert not config.dev


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    text = "keys: {k: s}\nport: 1\nbind: file\ndata_dir: file\n"
    environ = {"CALLBOARD_PORT": "2", "CALLBOARD_BIND": "environment"}
    config = from_file(tmp_path, text, {"--port": "3"}, environ)
    assert (config.port, config.bind, config.data_dir) == (3, "environment", Path("file"))


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("keys: {k: s}\nport: 4\n")
    assert load_config({}, {"CALLBOARD_CONFIG": str(path)}).port == 4


def test_an_empty_value_leaves_the_default(tmp_path: Path) -> None:
    config = from_file(tmp_path, "keys: {k: s}\nport:\npolicy:\n", {}, {"CALLBOARD_BIND": ""})
    assert (config.port, config.bind) == (7880, "127.0.0.1")


NUMBERS_AND_SWITCHES = [
    o for o in OPTIONS if o.section and o.kind not in (Kind.CHOICE, Kind.SECRET)
]


@pytest.mark.parametrize("option", NUMBERS_AND_SWITCHES, ids=lambda o: o.key)
def test_each_option_of_a_section_reaches_its_field_from_file_and_environment(
    option: Option, tmp_path: Path
) -> None:
    value = option.most if option.most <= 1 else 7
    name = option.key.partition(".")[2]
    wanted = value * SECOND if option.kind is Kind.DURATION else value
    # The bounds of a pair must stay in order.
    rest = {
        "policy.grace_seconds_max": {"CALLBOARD_POLICY_GRACE_SECONDS": "1"},
        "policy.silence_backoff_seconds_max": {"CALLBOARD_POLICY_SILENCE_BACKOFF_SECONDS_MIN": "1"},
        "policy.decline_backoff_seconds_min": {"CALLBOARD_POLICY_DECLINE_BACKOFF_SECONDS_MAX": "9"},
    }.get(option.key, {})
    by_file = from_file(tmp_path, f"{option.section}:\n  {name}: {value}\n", KEYS, rest)
    by_environment = load_config(KEYS, {**rest, option.env: str(value)})
    for config in (by_file, by_environment):
        assert setting(config, option) == wanted


def test_who_may_read_metrics_is_said_by_a_word_and_a_token(tmp_path: Path) -> None:
    config = from_file(tmp_path, "metrics: {access: open, token: 'a:b'}\n", KEYS, {})
    assert (config.metrics.access, config.metrics.token) == (MetricsAccess.OPEN, "a:b")
    assert "a:b" not in repr(config)
    with pytest.raises(ConfigError, match=r"metrics.access must be one of local, token, open"):
        from_file(tmp_path, "metrics: {access: everybody}\n", KEYS, {})


# ---- keys ----


def test_dev_means_devkey_and_debug_logs_for_people() -> None:
    config = load_config({"--dev": "true"}, {})
    assert config.keys["devkey"].secret == "secret"
    assert (config.log_level, config.log_format) == (LogLevel.DEBUG, LogFormat.HUMAN)


def test_dev_keeps_the_keys_that_are_given() -> None:
    assert list(load_config({"--dev": "true", **KEYS}, {}).keys) == ["k"]


def test_keys_outside_projects_serve_one_project() -> None:
    config = load_config({"--keys": "{a: 1, b: 2}"}, {})
    assert config.keys["a"].project == config.keys["b"].project


def test_keys_are_read_as_livekit_server_reads_them() -> None:
    assert load_config({}, {"LIVEKIT_KEYS": "a: s"}).keys["a"].secret == "s"


def test_projects_group_keys(tmp_path: Path) -> None:
    config = from_file(
        tmp_path, "projects:\n  shop:\n    keys: {a: s}\n  bank:\n    keys: {b: t}\n"
    )
    assert {key: value.project for key, value in config.keys.items()} == {"a": "shop", "b": "bank"}


def test_a_secret_of_digits_stays_the_text_that_it_was(tmp_path: Path) -> None:
    assert from_file(tmp_path, "keys: {a: 00123, b: 0x10, c: yes}").keys["a"].secret == "00123"


def test_a_key_in_two_projects_is_refused(tmp_path: Path) -> None:
    text = "projects:\n  shop:\n    keys: {a: s}\n  bank:\n    keys: {a: t}\n"
    assert "key a is in two projects, shop and bank" in file_refusal(tmp_path, text)


def test_a_server_without_keys_says_how_to_give_them() -> None:
    assert refusal().startswith("no API key: give --keys 'KEY: SECRET'")


def test_secrets_are_in_no_repr() -> None:
    flags = {
        "--keys": "k: hushhush",
        "--room-url": "ws://sfu",
        "--room-key": "r",
        "--room-secret": "hushhush",
    }
    assert "hushhush" not in repr(load_config(flags, {}))


@pytest.mark.parametrize(
    "keys",
    [
        "k:hushhush",
        "k: [hushhush]",
        "k: *hushhush",
        "k: {hushhush: x}",
        "- hushhush",
        'k: "hushhush',
    ],
)
def test_wrong_keys_are_refused_without_showing_the_secret(keys: str) -> None:
    text = refusal({"--keys": keys})
    assert text.startswith("--keys:")
    assert "hushhush" not in text


# ---- what is wrong is one line that says where ----


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("prot: 1", "FILE, line 1: unknown option 'prot'; did you mean 'port'?"),
        ("\nzzz: 1", "FILE, line 2: unknown option 'zzz'"),
        (
            "policy:\n  grace_second: 1",
            "FILE, line 2: unknown option 'policy.grace_second'; did you mean 'policy.grace_seconds'?",
        ),
        (
            "agents:\n  a:\n    capcity: 1",
            "FILE, line 3: unknown option 'agents.a.capcity'; did you mean 'agents.a.capacity'?",
        ),
        ("port: 70000", "FILE, line 1: port must be a whole number from 0 to 65535, not '70000'"),
        ("port: [1]", "FILE, line 1: port must be a whole number from 0 to 65535"),
        ("dev: perhaps", "FILE, line 1: dev must be true or false, not 'perhaps'"),
        ("port: 1\nport: 2", "FILE, line 2: port is set twice"),
        ("- a", "FILE, line 1: must be a mapping of options"),
        ("port: {", "FILE, line 1: not valid YAML: expected the node content, but found <stream"),
        ("port: [1", "FILE, line 1: not valid YAML: expected , or ], but got <stream end>"),
        ("agents:\n  a: {capacity: 0}", "FILE, line 2: agents.a.capacity must be a whole number"),
        ("log_level: loud", "FILE, line 1: log_level must be one of debug, info, warning, error"),
        ("policy: {grace_seconds: nan}", "FILE, line 1: policy.grace_seconds must be a number"),
        ("policy: {grace_seconds: 9999}", "policy.grace_seconds is greater than"),
        ("room_url: nowhere", "FILE, line 1: room_url must be an address such as"),
        ("room_url: ws://u:p@h", "FILE, line 1: room_url must be an address"),
        ("room_url: ws://h\nroom_key: a", "room_secret is missing"),
        ("room_key: a\nroom_secret: b", "room_key is set without room_url"),
        ("bridge: true", "bridge is set without room_url"),
        ("bridge_urls: ws://h", "FILE, line 1: bridge_urls must be a list of addresses"),
        ("bridge_urls: [ws://h, nowhere]", "FILE, line 1: bridge_urls[1] must be an address"),
    ],
)
def test_a_wrong_file_is_one_line_with_its_place(tmp_path: Path, text: str, wanted: str) -> None:
    assert wanted in file_refusal(tmp_path, text)


def test_a_wrong_flag_is_named() -> None:
    wanted = "--port: must be a whole number from 0 to 65535, not 'abc'"
    assert refusal({"--port": "abc"}) == wanted


def test_a_wrong_variable_is_named() -> None:
    assert refusal(KEYS, {"CALLBOARD_PORT": "abc"}).startswith("CALLBOARD_PORT: must be a whole")


def test_an_unknown_variable_is_refused_with_the_nearest() -> None:
    assert "did you mean 'CALLBOARD_PORT'?" in refusal(KEYS, {"CALLBOARD_PROT": "1"})


def test_what_kubernetes_tells_of_a_service_named_callboard_is_no_option() -> None:
    environ = {
        "CALLBOARD_PORT": "tcp://10.0.0.1:7880",
        "CALLBOARD_SERVICE_HOST": "10.0.0.1",
        "CALLBOARD_PORT_7880_TCP_ADDR": "10.0.0.1",
    }
    assert load_config(KEYS, environ).port == 7880


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such file" in refusal(KEYS, {}, tmp_path / "none.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "is not UTF-8 text" in refusal(KEYS, {}, path)


def test_settings_of_an_agent_reach_the_policy(tmp_path: Path) -> None:
    config = from_file(tmp_path, "agents: {greeter: {capacity: 4, grace_seconds: 2.5}}", KEYS)
    agent = config.policy.agent("greeter")
    assert (agent.capacity, agent.grace) == (4, 2.5 * SECOND)


def test_the_nodes_of_the_bridge_come_from_the_file_and_the_environment(tmp_path: Path) -> None:
    text = "room_url: ws://h\nbridge: true\nbridge_urls: [ws://one/, wss://two, ws://one]"
    config = from_file(tmp_path, text, KEYS)
    assert (config.bridge, config.bridge_urls) == (True, ("ws://one", "wss://two"))
    environ = {"CALLBOARD_BRIDGE_URLS": "[ws://one]", "CALLBOARD_ROOM_URL": "ws://h"}
    config = load_config({**KEYS, "--bridge": "true"}, environ)
    assert (config.bridge, config.bridge_urls) == (True, ("ws://one",))


def test_times_that_engine_and_wire_share_are_one_option() -> None:
    environ = {"CALLBOARD_POLICY_OFFER_TIMEOUT_SECONDS": "3"}
    config = load_config(KEYS, environ)
    assert (config.policy.offer_timeout, config.limits.wire.offer_timeout_seconds) == (
        3 * SECOND,
        3.0,
    )
