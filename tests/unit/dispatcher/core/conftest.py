"""The bench of the core's tests: every turn of its engine is held against all invariants."""

from __future__ import annotations

import pytest

from tests.support.engine_bench import EngineBench
from tests.unit.dispatcher.core.board_checks import watched


@pytest.fixture
def bench() -> EngineBench:
    """Return a bench with the default policy."""
    return EngineBench(watch=watched)
