"""Blocks of an event stream, and what they say."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.server.event_stream import event_data, write_events
from protocol.api_pb2 import JobPhase
from tests.unit.dispatcher.history.builders import Log
from worker_sdk.client.event_stream import (
    Block,
    BlockReader,
    UnreadableBlock,
    gone_of,
    job_event_of,
)

STREAM = (
    b"retry: 1000\nid: 4\n\n"
    b'id: 5\nevent: created\ndata: {"a":"\xc3\xbc"}\n\n'
    b": nothing new\nid: 7\n\n"
    b"id: 9\r\nevent: gone\r\ndata: {\r\ndata: }\r\n\r\n"
)
BLOCKS = [
    Block(4, "", ""),
    Block(5, "created", '{"a":"ü"}'),
    Block(7, "", ""),
    Block(9, "gone", "{\n}"),
]


@given(cuts=st.lists(st.integers(0, len(STREAM))))
def test_blocks_are_the_same_wherever_the_network_cuts_them(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    reader = BlockReader(1000)
    found: list[Block] = []
    for begin, end in itertools.pairwise(places):
        found += reader.feed(STREAM[begin:end])
    assert found == BLOCKS


@given(end=st.integers(0, len(STREAM)))
def test_a_block_that_was_cut_off_is_not_there(end: int) -> None:
    whole = STREAM[:end].replace(b"\r", b"").count(b"\n\n")
    assert BlockReader(1000).feed(STREAM[:end]) == BLOCKS[:whole]


@pytest.mark.parametrize("chunk", [b"data: " + b"x" * 200, b"data: x\n" * 30])
def test_a_block_without_end_is_refused(chunk: bytes) -> None:
    with pytest.raises(UnreadableBlock, match="larger than 100 bytes"):
        BlockReader(100).feed(chunk)


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(UnreadableBlock):
        BlockReader(100).feed(b"id: x\n\n")


def test_what_the_server_writes_is_read() -> None:
    row = Log().created()
    (block,) = BlockReader(10_000).feed(write_events([row], row.project, row.sequence - 1))
    event = job_event_of(block)
    assert event.data == event_data(row)
    assert (event.sequence, event.at_ns, event.kind) == (row.sequence, row.at, row.trigger.value)
    assert JobPhase.Name(event.phase) == row.phase.name
    assert (event.job_id, event.dispatch_id) == (row.job_id, row.dispatch_id)
    assert (event.epoch, event.attempt) == (row.epoch, row.attempt)
    assert (event.worker_id, event.reason) == (row.worker_id, row.reason)
    assert (event.error, event.detail) == (row.error, row.detail)


def test_a_gap_that_the_server_writes_is_read() -> None:
    row = Log().created()
    blocks = BlockReader(10_000).feed(write_events([row], "another", row.sequence - 3))
    (gone,) = [block for block in blocks if block.kind == "gone"]
    assert gone_of(gone) == (row.sequence - 3, row.sequence)


def test_an_event_of_a_newer_server_is_read_as_far_as_it_is_known() -> None:
    data = {"at": "5", "job_id": "AJ_1", "phase": "HIBERNATING", "mood": "good"}
    event = job_event_of(Block(3, "froze", json.dumps(data)))
    assert (event.kind, event.phase) == ("froze", JobPhase.JOB_PHASE_UNSPECIFIED)
    assert event.data["mood"] == "good"


@pytest.mark.parametrize("data", ["{", "[]", "{}", '{"at": "x", "job_id": "AJ_1"}', "[" * 10_000])
def test_an_event_of_another_program_is_refused(data: str) -> None:
    with pytest.raises(UnreadableBlock):
        job_event_of(Block(3, "created", data))
    with pytest.raises(UnreadableBlock):
        gone_of(Block(3, "gone", data))
