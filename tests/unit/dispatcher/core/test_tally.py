"""What the engine counts: every offer ends in one way, and each is counted once.

That none is forgotten is held by `board_checks` in every test of the engine.
"""

from __future__ import annotations

from dispatcher.core.policy import Policy
from tests.support.engine_bench import EngineBench

OFFERS = ("made", "accepted", "terminated", "over", "declined", "lapsed", "pending")


def offers(bench: EngineBench) -> dict[str, int]:
    """Return the counts of offers that are not zero."""
    tally = bench.engine.tally
    counts = {name: getattr(tally, f"offers_{name}") for name in OFFERS}
    return {name: count for name, count in counts.items() if count}


def test_an_offer_is_pending_until_it_is_accepted(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.dispatch()
    assert offers(bench) == {"made": 1, "pending": 1}
    bench.accept(job)
    assert offers(bench) == {"made": 1, "accepted": 1}


def test_an_offer_that_is_declined_is_counted_and_so_is_the_next_one(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.decline(job)
    assert offers(bench) == {"made": 1, "declined": 1, "over": 1}
    bench.pass_time(1)
    assert offers(bench) == {"made": 2, "declined": 1, "over": 1, "pending": 1}


def test_an_offer_that_is_not_answered_lapses_and_a_late_answer_is_not_counted_again(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.pass_time(Policy().offer_timeout / 1e9 + 0.001)
    assert offers(bench) == {"made": 1, "lapsed": 1, "over": 1}
    bench.accept(job, worker="a")
    assert bench.holder(job) == "a"
    assert offers(bench) == {"made": 1, "lapsed": 1, "over": 1}


def test_an_offer_whose_worker_is_lost_is_over_and_nobody_declined_it(bench: EngineBench) -> None:
    bench.worker("a")
    bench.dispatch()
    bench.lose("a")
    assert offers(bench) == {"made": 1, "over": 1}


def test_an_answer_that_the_job_is_not_to_run_is_counted_apart(bench: EngineBench) -> None:
    bench.worker("a")
    bench.terminate(bench.dispatch())
    assert offers(bench) == {"made": 1, "terminated": 1}


def test_jobs_that_are_cancelled_where_they_wait_are_counted(bench: EngineBench) -> None:
    bench.dispatch("room")
    assert bench.engine.tally.cancelled_waiting == 0
    bench.delete("AD_room")
    assert bench.engine.tally.cancelled_waiting == 1
