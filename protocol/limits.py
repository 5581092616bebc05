"""Every bound on what crosses a wire, each with a name, a unit and a default.

`WireLimits` holds the numbers; a server may be configured with others. The functions check one
value and raise `LimitExceeded` or `InvalidField`, which name the field, its size and the limit.
Sizes of text are its UTF-8 bytes. What is refused is refused whole: nothing is cut, except an
error text, which is only for people.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from protocol.errors import InvalidField, LimitExceeded
from protocol.ids import ID_LENGTH_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DEFAULT_LIMITS",
    "TextCheck",
    "WireLimits",
    "attributes_bytes",
    "bounded_load",
    "check_agent_name",
    "check_attributes",
    "check_count",
    "check_id",
    "check_identity",
    "check_metadata",
    "check_room_name",
    "check_text",
    "escaped_text",
    "text_bytes",
    "truncate_error_text",
    "validate_deployment",
]

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class WireLimits:
    """The bounds on a wire. Defaults are LiveKit's where LiveKit has one."""

    # One websocket frame, either way.
    frame_bytes_max: int = 2 * MIB
    # One body of a Twirp call.
    body_bytes_max: int = 2 * MIB
    metadata_bytes_max: int = 512 * KIB
    # Keys and values together.
    attributes_bytes_max: int = 64 * KIB
    deployment_bytes_max: int = 64
    # Ids of workers, jobs, dispatches.
    id_bytes_max: int = ID_LENGTH_MAX
    agent_name_bytes_max: int = 256
    namespace_bytes_max: int = 256
    room_name_bytes_max: int = 256
    identity_bytes_max: int = 256
    participant_name_bytes_max: int = 256
    # Versions, instance ids, request ids and other short texts of a peer.
    label_bytes_max: int = 256
    # A job's error; longer ones are cut.
    error_bytes_max: int = 4 * KIB
    # Jobs in one MigrateJobRequest or HandOver.
    migrate_job_ids_max: int = 10_000
    # Endpoints and job types in one RegisterWorkerRequest.
    endpoints_max: int = 256
    job_types_max: int = 16
    # Most jobs at once that a worker may declare.
    capacity_max: int = 1_000_000
    # The longest "back within this" that a worker may declare.
    grace_seconds_max: float = 3600.0

    # A token as text, and a page of a list.
    token_bytes_max: int = 64 * KIB
    page_size_max: int = 1000
    page_size_default: int = 100
    page_token_bytes_max: int = 256

    # Clocks of two machines may differ by this much.
    token_leeway_seconds: float = 60.0
    # Of an assignment's token.
    token_life_seconds: float = 3600.0
    # From the upgrade to the register message.
    register_timeout_seconds: float = 10.0
    # From the offer to its answer. The Python SDK drops an assignment that comes more than 7.5 s
    # after its answer.
    offer_timeout_seconds: float = 10.0
    # Websocket pings to a worker, and the silence after one that ends the connection.
    ping_interval_seconds: float = 10.0
    ping_timeout_seconds: float = 10.0
    # Silence of the older of two connections that claim the same jobs.
    claim_silence_seconds: float = 2.0


DEFAULT_LIMITS = WireLimits()


class TextCheck(Protocol):
    """A check of one text: the field's name for the error, its text, the limits."""

    def __call__(self, field: str, text: str, limits: WireLimits = ..., /) -> None: ...


def text_bytes(text: str) -> int:
    """The size of `text` on a wire."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def check_text(field: str, text: str, bytes_max: int) -> None:
    """Refuse a text of more than `bytes_max` bytes: LimitExceeded."""
    # A character has at least one byte and at most four, so most texts are never encoded.
    if len(text) * 4 <= bytes_max:
        return
    size = text_bytes(text)
    if size > bytes_max:
        raise LimitExceeded(field, size, bytes_max)


def check_count(field: str, count: int, count_max: int, unit: str) -> None:
    """Refuse more than `count_max` of something: LimitExceeded."""
    if count > count_max:
        raise LimitExceeded(field, count, count_max, unit)


def check_id(field: str, text: str, limits: WireLimits = DEFAULT_LIMITS) -> None:
    """Refuse an empty (InvalidField) or overlong (LimitExceeded) id."""
    if not text:
        raise InvalidField(field, "is missing")
    check_text(field, text, limits.id_bytes_max)


def check_room_name(field: str, text: str, limits: WireLimits = DEFAULT_LIMITS) -> None:
    """Refuse an overlong room name: LimitExceeded."""
    check_text(field, text, limits.room_name_bytes_max)


def check_agent_name(field: str, text: str, limits: WireLimits = DEFAULT_LIMITS) -> None:
    """Refuse an overlong agent name: LimitExceeded. Empty is allowed (LiveKit: any room)."""
    check_text(field, text, limits.agent_name_bytes_max)


def check_identity(field: str, text: str, limits: WireLimits = DEFAULT_LIMITS) -> None:
    """Refuse an overlong participant identity: LimitExceeded."""
    check_text(field, text, limits.identity_bytes_max)


def check_metadata(field: str, text: str, limits: WireLimits = DEFAULT_LIMITS) -> None:
    """Refuse overlong metadata: LimitExceeded."""
    check_text(field, text, limits.metadata_bytes_max)


def attributes_bytes(attributes: Mapping[str, str]) -> int:
    """The size of attributes as LiveKit counts it: keys and values together."""
    return sum(text_bytes(key) + text_bytes(value) for key, value in attributes.items())


def check_attributes(
    field: str, attributes: Mapping[str, str], limits: WireLimits = DEFAULT_LIMITS
) -> None:
    """Refuse attributes that are too large together: LimitExceeded."""
    if not attributes:
        return
    size = attributes_bytes(attributes)
    if size > limits.attributes_bytes_max:
        raise LimitExceeded(field, size, limits.attributes_bytes_max)


def validate_deployment(
    text: str, limits: WireLimits = DEFAULT_LIMITS, field: str = "deployment"
) -> None:
    """Refuse a deployment that is too long or has `_`, white space or control characters.

    Empty is allowed: the default deployment. InvalidField or LimitExceeded.
    """
    check_text(field, text, limits.deployment_bytes_max)
    for character in text:
        # isprintable is false for control characters, lone surrogates and every space but " ".
        if character == "_" or character.isspace() or not character.isprintable():
            raise InvalidField(field, "must not hold '_', white space or control characters")


def truncate_error_text(text: str, limits: WireLimits = DEFAULT_LIMITS) -> str:
    """`text`, cut at a character so that it is at most `error_bytes_max` bytes, with "...".

    It can be sent: see `escaped_text`.
    """
    text = escaped_text(text)
    if text_bytes(text) <= limits.error_bytes_max:
        return text
    mark = "..."
    kept = max(0, limits.error_bytes_max - len(mark))
    return text.encode()[:kept].decode("utf-8", "ignore") + mark


def escaped_text(text: str) -> str:
    """`text` as it can be sent: what UTF-8 cannot hold (a lone surrogate) is escaped.

    Python makes such text of what is no UTF-8 itself, as the name of a file may be.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def bounded_load(load: float) -> float:
    """A worker's load as a number that can be compared: 0 idle to 1 full.

    Not a number counts as full, for nothing is known about such a worker; anything outside the
    range is moved to its end.
    """
    if math.isnan(load):
        return 1.0
    return min(1.0, max(0.0, load))
