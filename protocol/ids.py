"""Ids of workers, jobs and dispatches: `AW_`, `AJ_`, `AD_` and a random part.

A new id is its prefix and 22 characters: 48 bits of milliseconds, then 60 random bits, in an
alphabet whose ASCII order keeps time order (Crockford's base 32, as in ULID). So ids of different
milliseconds sort by time. Time and randomness are arguments; the caller keeps them apart from a
global clock. Ids that a peer sends may be made by somebody else (LiveKit), so parsing asks only
for prefix, alphabet and length.
"""

from __future__ import annotations

import hashlib
import re
from typing import Protocol

__all__ = [
    "DISPATCH_PREFIX",
    "ID_LENGTH_MAX",
    "JOB_PREFIX",
    "WORKER_PREFIX",
    "RandomBits",
    "dispatch_id_for",
    "id_time_ns",
    "is_dispatch_id",
    "is_job_id",
    "is_worker_id",
    "new_dispatch_id",
    "new_job_id",
    "new_worker_id",
]

WORKER_PREFIX = "AW_"
JOB_PREFIX = "AJ_"
DISPATCH_PREFIX = "AD_"

ID_LENGTH_MAX = 64

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_TIME_CHARACTERS = 10
_RANDOM_BITS = 60
_BODY_CHARACTERS = _TIME_CHARACTERS + _RANDOM_BITS // 5
_TIME_MILLISECONDS_MAX = (1 << 48) - 1
_NS_PER_MILLISECOND = 1_000_000

_BODY = re.compile(r"[0-9A-Za-z_-]+", re.ASCII)


class RandomBits(Protocol):
    """Source of randomness: `random.Random` in tests, `random.SystemRandom` in production."""

    def getrandbits(self, k: int, /) -> int:
        """`k` random bits as a number that is not negative."""
        ...


def new_worker_id(now_ns: int, random: RandomBits) -> str:
    """A new worker id. `now_ns` is the wall clock, nanoseconds since the epoch."""
    return WORKER_PREFIX + _time_ordered(now_ns, random)


def new_job_id(now_ns: int, random: RandomBits) -> str:
    """A new job id. `now_ns` is the wall clock, nanoseconds since the epoch."""
    return JOB_PREFIX + _time_ordered(now_ns, random)


def new_dispatch_id(now_ns: int, random: RandomBits) -> str:
    """A new dispatch id, for a caller that sent no request id."""
    return DISPATCH_PREFIX + _time_ordered(now_ns, random)


def dispatch_id_for(
    project: str, request_id: str, room: str, agent_name: str, deployment: str
) -> str:
    """The dispatch id of one logical call: the same for each repeat of it.

    `request_id` is the caller's X-Livekit-Request-Id, which must not be empty (use
    `new_dispatch_id` then). The other arguments keep two calls apart that reuse a request id by
    mistake. LiveKit: DeterministicID.
    """
    if not request_id:
        raise ValueError("request_id is empty")
    # Each part with its length, so that no two calls read the same.
    parts = (
        f"{len(project)}:{project}{len(request_id)}:{request_id}{len(room)}:{room}"
        f"{len(agent_name)}:{agent_name}{len(deployment)}:{deployment}"
    )
    digest = hashlib.sha256(parts.encode("utf-8", "surrogatepass")).digest()
    bits = int.from_bytes(digest, "big") >> (256 - _BODY_CHARACTERS * 5)
    return DISPATCH_PREFIX + _encode(bits)


def is_worker_id(text: str) -> bool:
    """Whether `text` has the form of a worker id, made by us or by LiveKit."""
    return _has_form(text, WORKER_PREFIX)


def is_job_id(text: str) -> bool:
    """Whether `text` has the form of a job id, made by us or by LiveKit."""
    return _has_form(text, JOB_PREFIX)


def is_dispatch_id(text: str) -> bool:
    """Whether `text` has the form of a dispatch id, made by us or by LiveKit."""
    return _has_form(text, DISPATCH_PREFIX)


def id_time_ns(text: str) -> int | None:
    """When a new_* id was made, nanoseconds to the millisecond; None for any other text.

    Of a hashed dispatch id it is some number: it has the same form and no time.
    """
    body = text[3:]
    if len(text) > ID_LENGTH_MAX or len(body) != _BODY_CHARACTERS:
        return None
    milliseconds = 0
    for character in body[:_TIME_CHARACTERS]:
        value = _ALPHABET.find(character)
        if value < 0:
            return None
        milliseconds = milliseconds << 5 | value
    return milliseconds * _NS_PER_MILLISECOND


def _has_form(text: str, prefix: str) -> bool:
    return (
        len(prefix) < len(text) <= ID_LENGTH_MAX
        and text.startswith(prefix)
        and _BODY.fullmatch(text, len(prefix)) is not None
    )


def _time_ordered(now_ns: int, random: RandomBits) -> str:
    milliseconds = now_ns // _NS_PER_MILLISECOND
    if not 0 <= milliseconds <= _TIME_MILLISECONDS_MAX:
        raise ValueError(f"time out of range: {now_ns} ns")
    return _encode(milliseconds << _RANDOM_BITS | random.getrandbits(_RANDOM_BITS))


def _encode(bits: int) -> str:
    # 22 characters, two at a time. Written out: each job has two ids, and a loop takes twice as long.
    pairs = _PAIRS
    return (
        f"{pairs[bits >> 100]}{pairs[bits >> 90 & 1023]}{pairs[bits >> 80 & 1023]}"
        f"{pairs[bits >> 70 & 1023]}{pairs[bits >> 60 & 1023]}{pairs[bits >> 50 & 1023]}"
        f"{pairs[bits >> 40 & 1023]}{pairs[bits >> 30 & 1023]}{pairs[bits >> 20 & 1023]}"
        f"{pairs[bits >> 10 & 1023]}{pairs[bits & 1023]}"
    )
