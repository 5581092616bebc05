"""The worker's options: code, environment, flags, in this order, and one line for what is wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from protocol.errors import ConfigError
from worker_sdk import Worker
from worker_sdk.drain import DrainPolicy
from worker_sdk.executor_choice import ExecutorKind
from worker_sdk.executors import ProcessExecutor
from worker_sdk.job import JobType
from worker_sdk.load import JobsHeld, JobsLoad
from worker_sdk.logs import LogFormat, LogLevel
from worker_sdk.options import OPTIONS, Option
from worker_sdk.settings import Settings, resolve

BY_NAME = {option.name: option for option in OPTIONS}

# What each option may be set to as text, and what it is then.
TEXTS: dict[str, tuple[str, object]] = {
    "url": ("wss://calls.example.org", "wss://calls.example.org"),
    "api_key": ("key", "key"),
    "api_secret": ("secret", "secret"),
    "agent_name": ("greeter", "greeter"),
    "capacity": ("7", 7),
    "types": ("room, publisher", (JobType.ROOM, JobType.PUBLISHER)),
    "deployment": ("blue", "blue"),
    "namespace": ("north", "north"),
    "grace_seconds": ("1.5", 1.5),
    "executor": ("process", ExecutorKind.PROCESS),
    "warm": ("4", 4),
    "jobs_per_process": ("100", 100),
    "memory_bytes_max": ("1000000", 1_000_000),
    "job_seconds_max": ("60", 60.0),
    "ping_seconds_max": ("2.5", 2.5),
    "stop_seconds_max": ("3", 3.0),
    "prewarm_seconds_max": ("90", 90.0),
    "process_wait_seconds_max": ("45", 45.0),
    "drain_policy": ("hand-over", DrainPolicy.HAND_OVER),
    "drain_seconds_max": ("60", 60.0),
    "health_port": ("8081", 8081),
    "health_host": ("127.0.0.1", "127.0.0.1"),
    "instance_id": ("one", "one"),
    "record_path": ("/tmp/r.jsonl", Path("/tmp/r.jsonl")),
    "log_level": ("debug", LogLevel.DEBUG),
    "log_format": ("JSON", LogFormat.JSON),
}

# Texts that cannot be used, and what is said of each.
WRONG_TEXTS = [
    ("url", "calls.example.org", "must look like ws://"),
    ("capacity", "many", "must be a whole number, not 'many'"),
    ("capacity", "0", "must be 1 to 10000, not 0"),
    ("types", "room,chat", "must be some of room, publisher or participant"),
    ("deployment", "with_underscore", "must not hold '_'"),
    ("grace_seconds", "-1", "must be 0 to"),
    ("url", "ws://two words", "must look like ws://"),
    ("api_secret", "of-a-file\n", "begins or ends with white space"),
    ("load", "disk", "must be some of jobs, cpu, memory"),
    ("load", ",", "must be some of jobs, cpu, memory, with commas between"),
    ("memory_bytes_max", "0", "must be 1 to 1000000000000000, not 0"),
    ("executor", "thread", "must be task or process, not 'thread'"),
    ("warm", "-1", "must be 0 to 10000, not -1"),
    ("drain_policy", "never", "must be wait or hand_over, not 'never'"),
    ("drain_seconds_max", "soon", "must be a number, not 'soon'"),
    ("health_port", "70000", "must be 0 to 65535"),
    ("log_level", "loud", "must be debug, info, warning or error, not 'loud'"),
]


def test_each_option_is_a_field_of_the_settings_and_the_other_way_round() -> None:
    assert [option.name for option in OPTIONS] == [f.name for f in dataclasses.fields(Settings)]


def test_without_a_word_each_setting_has_its_default() -> None:
    settings = resolve({}, {})
    assert (settings.capacity, settings.types) == (10, (JobType.ROOM,))
    assert (settings.drain_policy, settings.drain_seconds_max) == (DrainPolicy.WAIT, 1800)
    assert settings.health_port is None


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: str(option.name))
def test_the_default_that_people_read_is_the_one_that_counts(option: Option) -> None:
    if option.default in ("", "off", "random") or option.name == "load":
        return
    if option.panel == "How jobs run":
        return  # the executors' own: below
    said = resolve({}, {}, {option.name: option.default})
    assert getattr(said, option.name) == getattr(resolve({}, {}), option.name)


@pytest.mark.parametrize("name", TEXTS)
def test_every_option_is_read_from_its_variable(name: str) -> None:
    text, value = TEXTS[name]
    assert getattr(resolve({}, {BY_NAME[name].env: text}), name) == value


@pytest.mark.parametrize("name", TEXTS)
def test_every_option_is_read_from_its_flag(name: str) -> None:
    text, value = TEXTS[name]
    assert getattr(resolve({}, {}, {name: text}), name) == value


def test_the_variables_are_livekits_own_where_it_has_them_and_else_callboards() -> None:
    assert BY_NAME["url"].env == "LIVEKIT_URL"
    assert BY_NAME["api_secret"].env == "LIVEKIT_API_SECRET"
    assert BY_NAME["capacity"].env == "CALLBOARD_WORKER_CAPACITY"
    assert BY_NAME["record_path"].env == "CALLBOARD_RECORD_PATH"


def test_the_environment_overrides_the_code_and_a_flag_overrides_both() -> None:
    code = {"capacity": 1, "grace_seconds": 1.0, "namespace": "code"}
    environment = {"CALLBOARD_WORKER_CAPACITY": "2", "CALLBOARD_WORKER_GRACE_SECONDS": "2"}
    settings = resolve(code, environment, {"capacity": "3"})
    assert (settings.capacity, settings.grace_seconds, settings.namespace) == (3, 2.0, "code")


def test_livekits_variables_count_where_the_code_says_nothing() -> None:
    environment = {"LIVEKIT_URL": "ws://environment", "LIVEKIT_API_KEY": "environment"}
    settings = resolve({"url": "ws://code"}, environment)
    assert (settings.url, settings.api_key) == ("ws://code", "environment")
    assert resolve({"url": "ws://code"}, environment, {"url": "ws://flag"}).url == "ws://flag"


def test_a_fallback_counts_where_nothing_else_is_said() -> None:
    fallbacks = {"url": "ws://127.0.0.1:7880", "api_key": "devkey"}
    settings = resolve({"api_key": "mine"}, {}, {}, fallbacks)
    assert (settings.url, settings.api_key) == ("ws://127.0.0.1:7880", "mine")


def test_a_variable_that_is_empty_says_nothing() -> None:
    assert resolve({"capacity": 4}, {"CALLBOARD_WORKER_CAPACITY": ""}).capacity == 4


@pytest.mark.parametrize(("name", "text", "words"), WRONG_TEXTS)
def test_a_wrong_value_is_one_line_that_names_the_variable(
    name: str, text: str, words: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        resolve({}, {BY_NAME[name].env: text})
    line = str(raised.value)
    assert line.startswith(f"{BY_NAME[name].env}: {words}")
    assert "\n" not in line


@pytest.mark.parametrize(("name", "text", "words"), WRONG_TEXTS)
def test_a_wrong_value_is_one_line_that_names_the_flag(name: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        resolve({}, {}, {name: text})
    assert str(raised.value).startswith(f"{BY_NAME[name].flag}: {words}")


def test_a_wrong_value_in_the_code_is_refused_where_it_stands() -> None:
    with pytest.raises(ConfigError, match=r"Worker\(capacity=\.\.\.\): must be 1 to 10000, not 0"):
        Worker("greeter", capacity=0)
    with pytest.raises(ConfigError, match=r"Worker\(health_port=\.\.\.\): must be a number"):
        Worker("greeter", health_port="8081")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("url", 7880, "must be text, not 7880"),
        ("capacity", 1.5, "must be a whole number, not 1.5"),
        ("health_port", 80.0, "must be a whole number, not 80.0"),
        ("types", "room", r"must be a list such as \[JobType.ROOM\], not 'room'"),
        ("types", JobType.ROOM, r"must be a list such as \[JobType.ROOM\]"),
        ("executor", "process", r"must be an executor such as ProcessExecutor\(\), not 'process'"),
        ("executor", ProcessExecutor, "must be an executor"),
    ],
)
def test_a_value_of_another_type_is_refused_with_words(
    name: str, value: object, words: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^Worker\({name}=\.\.\.\): {words}"):
        Worker("greeter", **{name: value})  # type: ignore[arg-type]


def test_a_secret_is_in_no_text_of_the_settings() -> None:
    settings = resolve({}, {"LIVEKIT_API_SECRET": "hush-hush"})
    assert "hush" not in repr(settings)


def test_what_is_missing_is_named_with_all_three_ways_to_say_it() -> None:
    with pytest.raises(ConfigError) as raised:
        resolve({"url": "ws://h", "api_key": "k"}, {}).credentials()
    assert str(raised.value) == (
        "api_secret is missing: set LIVEKIT_API_SECRET, or pass --api-secret"
        " or Worker(api_secret=...)"
    )


def test_a_load_may_be_a_measure_a_function_or_named() -> None:
    measure = JobsLoad()
    assert resolve({"load": measure}, {}).load is measure
    assert resolve({"load": lambda: 0.5}, {}).load.sample(JobsHeld(0, 1)) == 0.5
    assert resolve({}, {}, {"load": "jobs"}).load.sample(JobsHeld(1, 4)) == 0.25
