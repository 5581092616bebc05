"""The heads of frames that are written by hand are those that websockets writes."""

import pytest
from websockets.frames import Frame, Opcode

from dispatcher.server.connection import binary_head


@pytest.mark.parametrize("size_bytes", [0, 1, 125, 126, 127, 65535, 65536, 2**21])
def test_the_head_of_a_binary_frame_is_that_of_websockets(size_bytes: int) -> None:
    data = bytes(size_bytes)
    assert binary_head(size_bytes) + data == Frame(Opcode.BINARY, data).serialize(mask=False)
