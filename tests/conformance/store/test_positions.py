"""Positions: how far a reader of the event log has come, and how far the log goes."""

import pytest

from dispatcher.core.effects import StoreRequest
from dispatcher.store.contract import Retention, Store
from protocol.errors import StoreError
from tests.conformance.store.builders import NOW, create_job, succeed
from tests.conformance.store.subjects import Subject

pytestmark = pytest.mark.anyio

NOTHING = Retention(ended_jobs_age=0, ended_jobs_max=0, events_age=0, events_max=0)


async def test_a_position_that_was_never_set_is_none(store: Store) -> None:
    assert await store.get_position("reader") is None


async def test_a_position_is_what_was_set_last_under_its_name(store: Store) -> None:
    await store.set_position("reader", 7)
    await store.set_position("another", 0)
    await store.set_position("reader", 2**62)
    assert await store.get_position("reader") == 2**62
    assert await store.get_position("another") == 0


async def test_a_position_survives_a_crash(subject: Subject) -> None:
    await subject.store.commit([create_job("1")], NOW)
    await subject.store.set_position("reader", 1)
    await subject.crash()
    await subject.start()
    assert await subject.store.get_position("reader") == 1


async def test_a_position_outlives_the_events_before_it(store: Store) -> None:
    batch: list[StoreRequest] = [create_job("1", reserved=True), succeed("1")]
    await store.commit(batch, NOW)
    await store.set_position("reader", 2)
    assert await store.prune(NOTHING, NOW + 1, 99) > 0
    assert await store.get_position("reader") == 2


async def test_the_last_number_of_an_empty_log_is_0(store: Store) -> None:
    assert await store.last_sequence() == 0


async def test_the_last_number_is_that_of_the_newest_event(store: Store) -> None:
    await store.commit([create_job("1"), create_job("2")], NOW)
    assert await store.last_sequence() == 2


async def test_the_last_number_is_known_when_all_events_were_pruned(subject: Subject) -> None:
    await subject.store.commit([create_job("1"), create_job("2")], NOW)
    await subject.store.prune(NOTHING, NOW + 1, 99)
    assert await subject.store.events_after(0, 9) == []
    assert await subject.store.last_sequence() == 2
    await subject.crash()
    await subject.start()
    assert await subject.store.last_sequence() == 2


async def test_a_closed_store_keeps_no_position(store: Store) -> None:
    await store.close()
    with pytest.raises(StoreError):
        await store.set_position("reader", 1)
    with pytest.raises(StoreError):
        await store.get_position("reader")
