"""Both servers for the tests of a process; tests that cut or kill have their own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.bridge.stage import Stage, stage


@pytest.fixture(scope="package")
async def shared(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """LiveKit's server and ours, which is its worker."""
    async with stage(Stage(tmp_path_factory.mktemp("bridge"))) as running:
        yield running
