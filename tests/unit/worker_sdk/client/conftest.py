"""The client runs on asyncio and, where it is installed, on trio: so do its tests."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

BACKENDS = ["asyncio", *(["trio"] if find_spec("trio") else [])]


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop of a test."""
    backend: str = request.param
    return backend
