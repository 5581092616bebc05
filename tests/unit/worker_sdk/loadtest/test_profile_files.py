"""Profiles: files, flags, and what is said of those that are wrong."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from dispatcher.cli.loadtest import loadtest
from protocol.errors import ConfigError
from worker_sdk.loadtest.page import tables, with_tables
from worker_sdk.loadtest.profile import FIELDS, Profile, Shape
from worker_sdk.loadtest.profile_files import load_profile, profile_from_json, profile_names

PAGE = (Path(__file__).parents[4] / "docs" / "loadtest.md").read_text()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


def refused(file: Path, text: str) -> str:
    """What is said of a file, without its name."""
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_profile(str(file), {})
    said = str(error.value)
    assert "\n" not in said
    return said.removeprefix(str(file))


@pytest.mark.parametrize("name", profile_names())
def test_a_shipped_profile_can_be_read_and_says_what_it_is_for(name: str) -> None:
    profile = load_profile(name, {})
    assert profile.description
    assert f"`{name}`" in PAGE


def test_every_field_has_its_option_and_no_other() -> None:
    options = set(inspect.signature(loadtest).parameters)
    others = {
        *("ctx", "profile", "report", "as_json", "server_pid"),
        *("url", "api_key", "api_secret", "dev"),
    }
    assert options - others == {field.name for field in FIELDS} - {"description"}


def test_the_pages_tables_are_those_of_the_code() -> None:
    # python -m worker_sdk.loadtest.page docs/loadtest.md
    assert with_tables(PAGE) == PAGE
    assert all(table in PAGE for table in tables().values())


def test_a_flag_wins_over_the_file_and_the_file_over_the_default(file: Path) -> None:
    file.write_text("rate: 7\nworkers: 3\n")
    profile = load_profile(str(file), {"rate": "9"})
    assert (profile.rate, profile.workers, profile.callers) == (9.0, 3, Profile().callers)


def test_an_empty_file_is_the_defaults(file: Path) -> None:
    file.write_text("# nothing so far\n")
    assert load_profile(str(file), {}) == Profile()


def test_limits_may_be_one_or_a_list(file: Path) -> None:
    file.write_text("fail_if: p99_ms>50\n")
    assert load_profile(str(file), {}).fail_if == ("p99_ms>50",)
    file.write_text("fail_if: [p99_ms>50, errors>0]\n")
    assert load_profile(str(file), {}).fail_if == ("p99_ms>50", "errors>0")


def test_a_profile_comes_back_whole_from_a_message() -> None:
    profile = load_profile("ramp", {"fail_if": ["p99_ms>50"], "arrivals": "poisson"})
    assert profile.shape is Shape.RAMP
    assert profile_from_json(profile.as_json()) == profile


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rate: 5\nworkrs: 3\n", ", line 2: unknown field 'workrs'; did you mean 'workers'?"),
        ("rate: fast\n", ", line 1: rate: must be a number from 0.001 to 1000000, not 'fast'"),
        ("rate: 0\n", ", line 1: rate: must be a number from 0.001 to 1000000, not '0'"),
        ("rate: .nan\n", ", line 1: rate: must be a number from 0.001 to 1000000, not '.nan'"),
        ("\nworkers: 2.5\n", ", line 2: workers: must be a whole number from 0 to 1000000"),
        ("rate: [1, 2]\n", ", line 1: rate: must be a number from 0.001 to 1000000, not a list"),
        ("shape: circle\n", ", line 1: shape: must be one of rate, burst, closed, ramp, not"),
        ("rate: 1\nrate: 2\n", ", line 2: rate: is set twice"),
        ("rate:\n", ", line 1: rate: must be a number"),
        ("stock_decliner: maybe\n", ", line 1: stock_decliner: must be true or false"),
        ("fail_if: [p98>1]\n", ", line 1: fail_if: there is no figure 'p98'"),
        ("- rate\n", ", line 1: must be a mapping of fields"),
        ("rate: {\n", ", line 2: not valid YAML"),
        ("\x01", ": not valid YAML"),
    ],
)
def test_a_wrong_file_is_one_line_with_line_and_field(file: Path, text: str, said: str) -> None:
    assert refused(file, text).startswith(said)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"rate": "fast"}, "--rate: must be a number"),
        ({"workers": "0"}, "--workers: there must be one worker at least"),
        ({"agent_name": ""}, "--agent-name: must not be empty"),
        ({"shape": "ramp", "rate": "9", "rate_max": "5"}, "--rate: a ramp cannot begin at 9"),
        ({"fail_if": ["p99_ms"]}, "--fail-if: must be a figure"),
    ],
)
def test_a_wrong_flag_is_named(flags: dict[str, str | list[str]], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_profile("quick", flags)
    assert str(error.value).startswith(said)


def test_a_profile_that_is_not_shipped_is_answered_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"no profile 'stedy'; shipped are .*steady"):
        load_profile("stedy", {})


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^/nowhere/mine\.yaml: no such file or directory$"):
        load_profile("/nowhere/mine.yaml", {})


def test_many_workers_take_more_processes() -> None:
    profile = load_profile("quick", {"workers": "12000", "silent_workers": "1"})
    assert profile.process_count == 3
    assert load_profile("quick", {"workers": "2", "worker_processes": "9"}).process_count == 2
