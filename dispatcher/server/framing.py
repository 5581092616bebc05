"""What a websocket's client sends, cut into whole frames (RFC 6455, section 5.2).

Nothing is judged here: a frame that no client may send (unmasked, or longer than we take) is handed on
with all that follows it, for websockets to refuse. Costs nothing for each byte: what is not whole is
gathered, and looked at when all of it is there. Holds less than one frame.
"""

from __future__ import annotations

try:
    from websockets.speedups import apply_mask
except ImportError:  # a machine that websockets has no wheel for
    from websockets.utils import apply_mask

# The first byte of a whole message in one binary frame, in no extension.
_WHOLE_BINARY = 0x82
_MASKED = 0x80
_LENGTH = 0x7F
_MASK_BYTES = 4
# The two bytes that every frame begins with.
_START_BYTES = 2
# For what is no frame of a client.
_NO_FRAME = (0, 0)

# The frame's bytes, and where the payload begins in a whole binary message; 0 for any other frame.
Piece = tuple[bytes, int]


def payload_of(frame: bytes, payload_at: int) -> bytes:
    """Return what a whole binary message says, without its mask."""
    return apply_mask(frame[payload_at:], frame[payload_at - _MASK_BYTES : payload_at])


class FrameCutter:
    """Cuts one connection's bytes. `frame_bytes_max` bounds a payload."""

    __slots__ = ("_awaited_bytes", "_frame_bytes_max", "_gathered", "_is_over")

    def __init__(self, frame_bytes_max: int) -> None:
        self._frame_bytes_max = frame_bytes_max
        # The beginning of a frame, None for none; and how much there must be to look again.
        self._gathered: bytearray | None = None
        self._awaited_bytes = 0
        # Came something that is no frame? Then nothing is cut any more.
        self._is_over = False

    def feed(self, data: bytes) -> list[Piece]:
        """Return the frames that are whole now, in order."""
        if self._is_over:
            return [(data, 0)]
        if self._gathered is not None:
            self._gathered += data
            if len(self._gathered) < self._awaited_bytes:
                return []
            data = bytes(self._gathered)
            self._gathered = None
        pieces: list[Piece] = []
        start, size = 0, len(data)
        while start < size:
            payload_at, frame_bytes = self._measure(data, start)
            if not frame_bytes:
                self._is_over = True
                pieces.append((data[start:], 0))
                break
            end = start + frame_bytes
            if end > size:
                self._gathered = bytearray(data[start:])
                self._awaited_bytes = frame_bytes
                break
            is_message = data[start] == _WHOLE_BINARY
            pieces.append((data[start:end], payload_at if is_message else 0))
            start = end
        return pieces

    def _measure(self, data: bytes, start: int) -> tuple[int, int]:
        """Return where the payload of the frame at `start` begins in it, and its size in bytes.

        While its head is not whole: 0, and how many bytes there must be to tell more.
        """
        head = data[start : start + _START_BYTES]
        if len(head) < _START_BYTES:
            return 0, _START_BYTES
        length = head[1] & _LENGTH
        head_bytes = _START_BYTES
        if length > 125:
            head_bytes += 2 if length == 126 else 8
            if len(data) < start + head_bytes:
                return 0, head_bytes
            length = int.from_bytes(data[start + _START_BYTES : start + head_bytes], "big")
        if not head[1] & _MASKED or length > self._frame_bytes_max:
            return _NO_FRAME
        head_bytes += _MASK_BYTES
        return head_bytes, head_bytes + length
