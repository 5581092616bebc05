"""What callers ask for is drawn from a seed, in shares that every run of some length has."""

import random
from collections import Counter
from itertools import islice

from tests.faults.jobs import BLOCK, CALLED_OFF_SECONDS, MIX, SECONDS, JobKind, Wish, wishes
from tests.faults.plan import draw


def drawn(seed: int, count: int) -> list[Wish]:
    return list(islice(wishes(random.Random(seed), MIX, stock_share=0.02, is_hasty=False), count))


def test_a_seed_decides_the_wishes_entirely() -> None:
    assert drawn(7, 500) == drawn(7, 500)
    assert drawn(7, 500) != drawn(8, 500)


def test_each_block_has_its_share_of_every_kind() -> None:
    for seed in range(20):
        counts = Counter(wish.kind for wish in drawn(seed, BLOCK))
        assert counts == {**MIX, JobKind.SHORT: BLOCK - sum(MIX.values())}


def test_stock_workers_get_their_share_and_nothing_that_they_cannot_do() -> None:
    of_stock = [wish for wish in drawn(1, 20_000) if wish.is_stock]
    assert 300 < len(of_stock) < 500
    assert {wish.kind for wish in of_stock} == {JobKind.SHORT, JobKind.MIDDLING, JobKind.LONG}


def test_a_worker_is_told_what_was_wished() -> None:
    for wish in drawn(3, BLOCK):
        assert Wish.told(wish.metadata) == (wish.kind, round(wish.seconds, 3))


def test_the_mix_leaves_room_for_itself_at_the_rate_of_a_long_run() -> None:
    plan = draw(1, seconds=600, rate_per_second=100, interval_seconds=2, workers=8, stock_workers=1)
    counts = {**MIX, JobKind.SHORT: BLOCK - sum(MIX.values())}
    del counts[JobKind.LATE], counts[JobKind.AWAY]  # which have workers of their own
    seconds = 0.0
    for kind, count in counts.items():
        longest = CALLED_OFF_SECONDS[1] if kind.is_called_off else sum(SECONDS[kind]) / 2
        seconds += longest * count / BLOCK
    # A third of the fleet may be away at a time.
    assert plan.rate_per_second * seconds < plan.workers * 50 / 2
