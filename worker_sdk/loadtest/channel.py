"""How the command and its processes talk: JSON in frames over a socket pair.

Numbers of many jobs travel as the bytes of an array in base64. Both ends are the same program, so what
cannot be read is a fault of ours and ends the process that reads it.

    command to process                              process to command
    setup    role, profile, target ...              ready     its workers are connected; it may call
    begin    begin_ns: when the measuring begins    report    what was measured since the last one
    calls    segments to call in                    last      the report before its end
    stop     no calls any more
    over     jobs that ended elsewhere
    churn    so many workers are replaced
    cut      all sockets, at at_ns
    die      report, then SIGKILL to oneself
    end      report, then exit
"""

from __future__ import annotations

import base64
import json
from array import array
from collections.abc import Iterable
from typing import Any

from worker_sdk.executors.framing import FrameReader

__all__ = ["FrameReader", "encode_message", "pack_numbers", "read_message", "unpack_numbers"]

_LENGTH_BYTES = 4


def encode_message(message: dict[str, Any]) -> bytes:
    """One message, ready to be written."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


def read_message(body: bytes) -> dict[str, Any]:
    """The message that a frame holds."""
    message: dict[str, Any] = json.loads(body)
    return message


def pack_numbers(numbers: Iterable[int]) -> str:
    """Whole numbers below 2**32 as text."""
    packed = numbers if isinstance(numbers, array) else array("I", numbers)
    return base64.b64encode(packed.tobytes()).decode("ascii")


def unpack_numbers(text: str) -> array[int]:
    """The numbers that `pack_numbers` told."""
    numbers = array("I")
    numbers.frombytes(base64.b64decode(text))
    return numbers
