"""Who is here: workers that register twice, and those that went."""

from __future__ import annotations

from dispatcher.core.effects import (
    Ignored,
)
from tests.support.engine_bench import EngineBench
from tests.unit.dispatcher.core.board_checks import board_of

BIG_EPOCH = 2**64 - 1


# --- odds ---


def test_a_worker_that_registers_twice_is_registered_once(bench: EngineBench) -> None:
    bench.worker("a", capacity=1)
    bench.connect("a", capacity=9)
    assert bench.ignored() == [Ignored.REGISTERED_TWICE]
    assert bench.engine.workers["a"].capacity == 1


def test_nothing_is_remembered_of_a_worker_that_went(bench: EngineBench) -> None:
    bench.worker("a", instance="one")
    job = bench.running()
    bench.claim("a", "AJ_none")
    bench.succeed(job)
    bench.lose("a")
    board = board_of(bench.engine)
    assert not board.workers
    assert not board.instances
    assert not len(board.deadlines)
