"""A client's bytes cut into frames, held against websockets' own parser."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from dispatcher.server.framing import FrameCutter

FRAME_BYTES_MAX = 70_000

OPCODES = st.sampled_from([Opcode.BINARY, Opcode.TEXT, Opcode.PING, Opcode.PONG, Opcode.CONT])
PAYLOADS = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([bytes(size) for size in (0, 125, 126, 65_535, 65_536, FRAME_BYTES_MAX)]),
)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    opcode = draw(OPCODES)
    payload = draw(PAYLOADS)
    if opcode in {Opcode.PING, Opcode.PONG}:
        payload = payload[:125]
    frame = Frame(opcode, payload, fin=draw(st.booleans()) or opcode is not Opcode.BINARY)
    return frame.serialize(mask=True)


def cut_as_it_comes(data: bytes, cuts: list[int]) -> list[tuple[bytes, int]]:
    cutter = FrameCutter(FRAME_BYTES_MAX)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = []
    for begin, end in itertools.pairwise(places):
        pieces += cutter.feed(data[begin:end])
    return pieces


@given(st.lists(frames(), max_size=6), st.lists(st.integers(0, 10**6), max_size=12))
def test_frames_come_out_whole_however_they_came_in(sent: list[bytes], cuts: list[int]) -> None:
    assert [frame for frame, _ in cut_as_it_comes(b"".join(sent), cuts)] == sent


@given(st.lists(frames(), max_size=6))
def test_just_a_whole_message_in_one_binary_frame_is_told_with_its_payload(
    sent: list[bytes],
) -> None:
    for frame, payload_at in FrameCutter(FRAME_BYTES_MAX).feed(b"".join(sent)):
        is_message = frame[0] == 0x80 | Opcode.BINARY
        assert bool(payload_at) == is_message
        if is_message:
            assert payload_at == len(frame) - len(read_by_websockets(frame))


def read_by_websockets(data: bytes) -> bytes:
    protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=FRAME_BYTES_MAX)
    protocol.receive_data(data)
    (frame,) = protocol.events_received()
    assert isinstance(frame, Frame)
    return bytes(frame.data)


@given(st.binary(max_size=400), st.lists(st.integers(0, 10**6), max_size=12))
def test_nothing_is_lost_or_doubled_of_any_bytes(data: bytes, cuts: list[int]) -> None:
    came_out = b"".join(frame for frame, _ in cut_as_it_comes(data, cuts))
    assert data.startswith(came_out)
    held_back = len(data) - len(came_out)
    assert held_back <= FRAME_BYTES_MAX + 14


def test_a_frame_without_a_mask_is_handed_on_with_all_that_follows() -> None:
    good = Frame(Opcode.BINARY, b"good").serialize(mask=True)
    bad = Frame(Opcode.BINARY, b"bad").serialize(mask=False)
    cutter = FrameCutter(FRAME_BYTES_MAX)
    assert cutter.feed(good + bad + good) == [(good, 6), (bad + good, 0)]
    assert cutter.feed(good) == [(good, 0)]


def test_a_frame_that_says_it_is_too_large_is_handed_on_before_it_has_come() -> None:
    head = Frame(Opcode.BINARY, bytes(FRAME_BYTES_MAX + 1)).serialize(mask=True)[:10]
    assert FrameCutter(FRAME_BYTES_MAX).feed(head) == [(head, 0)]


def test_a_frame_of_the_size_that_is_allowed_is_cut() -> None:
    frame = Frame(Opcode.BINARY, bytes(FRAME_BYTES_MAX)).serialize(mask=True)
    assert FrameCutter(FRAME_BYTES_MAX).feed(frame) == [(frame, 14)]
