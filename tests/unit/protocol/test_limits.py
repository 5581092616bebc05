"""Limits: what fits passes, one byte more is refused with its name, its size and the limit."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits
from protocol.errors import InvalidField, LimitExceeded
from protocol.limits import DEFAULT_LIMITS, WireLimits

SMALL = WireLimits(
    metadata_bytes_max=8,
    attributes_bytes_max=8,
    deployment_bytes_max=8,
    id_bytes_max=8,
    agent_name_bytes_max=8,
    room_name_bytes_max=8,
    identity_bytes_max=8,
    error_bytes_max=8,
)


def test_the_defaults_are_those_of_the_wire() -> None:
    assert DEFAULT_LIMITS.frame_bytes_max == 2_097_152
    assert DEFAULT_LIMITS.metadata_bytes_max == 524_288
    assert DEFAULT_LIMITS.attributes_bytes_max == 65_536
    assert DEFAULT_LIMITS.deployment_bytes_max == 64
    assert DEFAULT_LIMITS.migrate_job_ids_max >= 10_000
    assert DEFAULT_LIMITS.token_leeway_seconds == 60
    assert DEFAULT_LIMITS.token_life_seconds == 3600
    assert DEFAULT_LIMITS.register_timeout_seconds == 10
    assert DEFAULT_LIMITS.offer_timeout_seconds == 10


def test_every_limit_says_its_unit_and_is_positive() -> None:
    counts = {"migrate_job_ids_max", "endpoints_max", "job_types_max", "capacity_max"}
    units = ("_bytes_max", "_seconds", "_seconds_max", "page_size_max", "page_size_default")

    for field in dataclasses.fields(DEFAULT_LIMITS):
        assert field.name in counts or field.name.endswith(units), field.name
        assert getattr(DEFAULT_LIMITS, field.name) > 0, field.name


@pytest.mark.parametrize(
    "check",
    [
        limits.check_metadata,
        limits.check_id,
        limits.check_agent_name,
        limits.check_room_name,
        limits.check_identity,
    ],
)
@pytest.mark.parametrize(
    ("fits", "too_long"), [("x" * 8, "x" * 9), ("漢漢ab", "漢漢abc"), ("é" * 4, "é" * 4 + "x")]
)
def test_text_is_bounded_by_its_bytes(check: limits.TextCheck, fits: str, too_long: str) -> None:
    check("thing", fits, SMALL)

    with pytest.raises(LimitExceeded, match=r"thing has (9|10) bytes, the limit is 8"):
        check("thing", too_long, SMALL)


@given(st.text(), st.integers(0, 20))
def test_text_is_refused_exactly_when_its_bytes_exceed_the_limit(text: str, bound: int) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))

    if size <= bound:
        limits.check_text("thing", text, bound)
    else:
        with pytest.raises(LimitExceeded) as raised:
            limits.check_text("thing", text, bound)
        assert (raised.value.size, raised.value.limit) == (size, bound)


def test_an_id_may_not_be_empty() -> None:
    with pytest.raises(InvalidField, match="job_id is missing"):
        limits.check_id("job_id", "")


def test_an_id_of_a_megabyte_is_refused() -> None:
    with pytest.raises(LimitExceeded, match="job_id has 1000000 bytes, the limit is 64"):
        limits.check_id("job_id", "x" * 1_000_000)


def test_attributes_count_keys_and_values_together() -> None:
    limits.check_attributes("attributes", {"ab": "cd", "é": "ef"}, SMALL)

    with pytest.raises(LimitExceeded, match="attributes has 9 bytes, the limit is 8"):
        limits.check_attributes("attributes", {"ab": "cd", "é": "efg"}, SMALL)


@pytest.mark.parametrize("text", ["", "blue", "v1.2-rc/3", "x" * 64, "grün"])
def test_a_plain_deployment_is_allowed(text: str) -> None:
    limits.validate_deployment(text)


@pytest.mark.parametrize(
    "text",
    ["a_b", "a b", "a\tb", "a\nb", "a\x00", "\x7f", "a\u00a0b", "a\u2028b", "\u3000", "\x85"],
)
def test_a_deployment_with_underscore_space_or_control_is_refused(text: str) -> None:
    with pytest.raises(InvalidField, match="deployment must not hold"):
        limits.validate_deployment(text)


def test_a_long_deployment_is_refused() -> None:
    with pytest.raises(LimitExceeded, match="deployment has 65 bytes, the limit is 64"):
        limits.validate_deployment("x" * 65)


def test_a_count_over_its_limit_is_refused_in_its_own_unit() -> None:
    limits.check_count("job_ids", 3, 3, "jobs")

    with pytest.raises(LimitExceeded, match="job_ids has 4 jobs, the limit is 3"):
        limits.check_count("job_ids", 4, 3, "jobs")


@given(st.text(max_size=40))
def test_an_error_text_is_cut_at_a_character_within_its_bytes(text: str) -> None:
    cut = limits.truncate_error_text(text, SMALL)

    assert len(cut.encode()) <= 8
    if len(text.encode()) <= 8:
        assert cut == text
    else:
        assert cut.endswith("...")
        assert text.startswith(cut.removesuffix("..."))


@given(st.floats(allow_nan=False))
def test_a_load_is_moved_into_its_range(load: float) -> None:
    bounded = limits.bounded_load(load)

    assert 0.0 <= bounded <= 1.0
    assert bounded == load or not 0.0 <= load <= 1.0


def test_a_load_that_is_not_a_number_counts_as_full() -> None:
    assert limits.bounded_load(math.nan) == 1.0


def test_an_error_text_that_cannot_be_sent_is_escaped() -> None:
    assert limits.truncate_error_text("a \udcff b") == "a \\udcff b"
