"""Messages on a stream: each is preceded by its length, four bytes, big-endian. No I/O here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.errors import CallboardError

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["MESSAGE_BYTES_MAX", "ChannelBroken", "FrameReader", "frame"]

# Far above any job and any log line: what is longer is not ours.
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
_LENGTH_BYTES = 4


class ChannelBroken(CallboardError):
    """What came is no message of the other end: something else wrote to the socket."""


def frame(message: Message) -> bytes:
    """One message, ready to be written."""
    body = message.SerializeToString()
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class FrameReader:
    """Puts messages together again from whatever pieces arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now. Raises ChannelBroken."""
        self._buffer += data
        bodies: list[bytes] = []
        while len(self._buffer) >= _LENGTH_BYTES:
            length = int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
            if length > MESSAGE_BYTES_MAX:
                raise ChannelBroken(f"a message of {length} bytes")
            end = _LENGTH_BYTES + length
            if len(self._buffer) < end:
                break
            bodies.append(bytes(self._buffer[_LENGTH_BYTES:end]))
            del self._buffer[:end]
        return bodies
