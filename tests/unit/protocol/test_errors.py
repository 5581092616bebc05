"""Errors: one root, one line, a code for each wire, nothing secret."""

import copy
import json
import pickle

import pytest

from protocol import errors
from protocol.errors import (
    CallboardError,
    CloseCode,
    ConfigError,
    FrameError,
    InvalidField,
    LimitExceeded,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreInUse,
    StoreReadOnly,
    StoreTooNew,
    StoreUnavailable,
    TokenError,
    TwirpCode,
    TwirpError,
    WireError,
)

# The table of the Twirp protocol, written a second time on purpose.
TWIRP_STATUS = {
    "canceled": 408,
    "unknown": 500,
    "invalid_argument": 400,
    "malformed": 400,
    "deadline_exceeded": 408,
    "not_found": 404,
    "bad_route": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "unauthenticated": 401,
    "resource_exhausted": 429,
    "failed_precondition": 412,
    "aborted": 409,
    "out_of_range": 400,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
    "dataloss": 503,
}

STORE_ERRORS: list[type[StoreError]] = [
    StoreUnavailable,
    StoreFull,
    StoreReadOnly,
    StoreInUse,
    StoreCorrupt,
    StoreTooNew,
]

ONE_OF_EACH: list[CallboardError] = [
    ConfigError("port must be a number"),
    FrameError("cut short", CloseCode.TOO_BIG),
    TwirpError(TwirpCode.NOT_FOUND, "no such dispatch", {"dispatch_id": "AD_x"}),
    TokenError("the token has expired"),
    InvalidField("room", "is missing"),
    LimitExceeded("metadata", 600, 512),
    *(kind("disk I/O error", "/data/callboard.db", "free some space") for kind in STORE_ERRORS),
]


def _name(error: CallboardError) -> str:
    return type(error).__name__


def test_every_public_error_has_the_one_root() -> None:
    public = [getattr(errors, name) for name in errors.__all__]
    exceptions = [kind for kind in public if issubclass(kind, Exception)]

    assert len(exceptions) >= 14
    assert all(issubclass(kind, CallboardError) for kind in exceptions)


@pytest.mark.parametrize("code", list(TwirpCode), ids=str)
def test_a_twirp_code_has_the_status_of_the_protocols_table(code: TwirpCode) -> None:
    assert code.http_status == TWIRP_STATUS[code.value]


def test_no_twirp_code_is_missing() -> None:
    assert {code.value for code in TwirpCode} == set(TWIRP_STATUS)


def test_a_twirp_error_without_meta_has_none_in_its_body() -> None:
    error = TwirpError(TwirpCode.UNAUTHENTICATED, "permissions denied", {})

    assert json.loads(json.dumps(error.to_json())) == {
        "code": "unauthenticated",
        "msg": "permissions denied",
    }
    assert error.http_status == 401


def test_a_twirp_error_with_meta_has_it_in_its_body() -> None:
    error = TwirpError(TwirpCode.NOT_FOUND, "gone", {"id": "AD_x"})

    assert json.loads(json.dumps(error.to_json())) == {
        "code": "not_found",
        "msg": "gone",
        "meta": {"id": "AD_x"},
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FrameError("cut short"), TwirpCode.MALFORMED),
        (TokenError("expired"), TwirpCode.UNAUTHENTICATED),
        (InvalidField("room", "is missing"), TwirpCode.INVALID_ARGUMENT),
        (LimitExceeded("metadata", 2, 1), TwirpCode.INVALID_ARGUMENT),
        (TwirpError(TwirpCode.ABORTED, "again"), TwirpCode.ABORTED),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_every_wire_error_can_be_answered_on_either_wire(error: WireError, code: TwirpCode) -> None:
    assert error.as_twirp().code is code
    assert error.close_code in CloseCode


def test_a_frame_error_keeps_the_close_code_it_was_given() -> None:
    assert FrameError("too big", CloseCode.TOO_BIG).close_code is CloseCode.TOO_BIG
    assert FrameError("cut short").close_code is CloseCode.INVALID_PAYLOAD


def test_an_exceeded_limit_names_field_size_and_limit() -> None:
    assert str(LimitExceeded("metadata", 600, 512)) == "metadata has 600 bytes, the limit is 512"


@pytest.mark.parametrize("kind", STORE_ERRORS, ids=lambda kind: str(kind.__name__))
def test_a_store_error_is_one_line_with_cause_place_and_remedy(kind: type[StoreError]) -> None:
    text = str(kind("database disk image\n is malformed", "/data/x.db", "restore a backup"))

    assert text == "/data/x.db: database disk image is malformed; restore a backup"


def test_only_what_may_pass_by_itself_is_retryable() -> None:
    assert {_name(error) for error in ONE_OF_EACH if error.retryable} == {
        "StoreUnavailable",
        "StoreFull",
    }


@pytest.mark.parametrize("error", ONE_OF_EACH, ids=_name)
def test_an_error_survives_the_way_between_processes(error: CallboardError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)


def test_callers_over_the_network_are_told_no_path_of_the_servers_machine() -> None:
    error = StoreUnavailable("cannot be read (/data/callboard.db)", "/data/callboard.db", "look")
    assert error.for_caller == "the server's store: cannot be read (...)"
    assert "/data/callboard.db" in str(error)


def test_other_errors_are_told_to_callers_as_they_are() -> None:
    assert InvalidField("room", "is missing").for_caller == "room is missing"
