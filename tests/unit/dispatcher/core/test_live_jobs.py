"""Jobs of orders that have not ended: how many an order has, and who has which unique key."""

from __future__ import annotations

from dispatcher.core.events import OrderedJob
from dispatcher.core.live_jobs import LiveJobs

ORDER = ("project", "rule:rule")


def job(job_id: str, unique_key: str = "") -> OrderedJob:
    """Return a job of an order."""
    return OrderedJob(job_id, *ORDER, unique_key)


def test_the_jobs_of_an_order_are_those_that_have_not_ended() -> None:
    live = LiveJobs()
    live.add(job("AJ_1"))
    live.add(job("AJ_2"))
    assert live.remove("AJ_1") == job("AJ_1")
    assert list(live.of(ORDER)) == ["AJ_2"]
    assert "AJ_2" in live
    assert "AJ_1" not in live


def test_a_unique_key_is_one_of_its_order_and_free_when_its_job_has_ended() -> None:
    live = LiveJobs()
    live.add(job("AJ_1", "7"))
    assert live.holder(ORDER, "7") == "AJ_1"
    assert live.holder(ORDER, "8") is None
    assert live.holder(("project", "rule:other"), "7") is None
    live.remove("AJ_1")
    assert live.holder(ORDER, "7") is None


def test_for_whom_a_job_was_made_is_known_until_it_has_ended() -> None:
    live = LiveJobs()
    place = ("project", "room"), "PA_1"
    live.add(job("AJ_1"))
    live.made_for("AJ_1", place)
    live.made_for("AJ_2", place)
    assert live.place_of("AJ_1") == place
    assert live.place_of("AJ_2") is None
    live.remove("AJ_1")
    assert live.place_of("AJ_1") is None


def test_what_no_order_made_is_nothing_and_all_is_forgotten_in_the_end() -> None:
    live = LiveJobs()
    assert live.remove("AJ_1") is None
    live.add(job("AJ_2", "7"))
    live.remove("AJ_2")
    assert live.remove("AJ_2") is None
    assert not live
    assert not live.of(ORDER)
