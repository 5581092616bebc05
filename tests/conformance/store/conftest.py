"""`subject`: every store in turn, open and empty."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dispatcher.store.contract import Store
from tests.conformance.store.subjects import SUBJECTS, Subject


@pytest.fixture(params=sorted(SUBJECTS))
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    """A store that is open and empty, with its ways to go down."""
    subject = SUBJECTS[request.param](tmp_path)
    await subject.start()
    try:
        yield subject
    finally:
        await subject.store.close()


@pytest.fixture
def store(subject: Subject) -> Store:
    """The same, for tests in which it does not go down."""
    return subject.store
