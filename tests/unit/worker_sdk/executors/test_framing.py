"""Messages survive whatever pieces a stream comes in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import executor_pb2
from worker_sdk.executors.framing import MESSAGE_BYTES_MAX, ChannelBroken, FrameReader, frame


@given(st.lists(st.text(max_size=40), max_size=8), st.data())
def test_messages_come_out_as_they_went_in(errors: list[str], data: st.DataObject) -> None:
    sent = [executor_pb2.Unusable(error=error) for error in errors]
    stream = b"".join(frame(message) for message in sent)
    reader = FrameReader()
    received: list[executor_pb2.Unusable] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        received += map(executor_pb2.Unusable.FromString, reader.feed(stream[:size]))
        stream = stream[size:]
    assert received == sent


def test_a_length_that_no_message_has_is_refused() -> None:
    with pytest.raises(ChannelBroken):
        FrameReader().feed((MESSAGE_BYTES_MAX + 1).to_bytes(4, "big"))
