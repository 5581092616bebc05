"""Both forms of the client behind one word, so that each test of a fault tries both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import pytest

from worker_sdk import DispatchClient, SyncDispatchClient

T = TypeVar("T")

# Calls a method, by its name, of a client that was made with these options.
Ask = Callable[..., Any]

AWAITING = "awaiting"
BLOCKING = "blocking"
both_forms = pytest.mark.parametrize("form", [AWAITING, BLOCKING])


def asker(form: str, url: str, key: str, secret: str, **options: Any) -> Ask:
    """Return what calls methods: each call has a client of its own."""

    def ask(method: str, /, *args: Any, **kwargs: Any) -> Any:
        if form == BLOCKING:
            with SyncDispatchClient(url, key, secret, **options) as client:
                return getattr(client, method)(*args, **kwargs)

        async def call() -> Any:
            async with DispatchClient(url, key, secret, **options) as client:
                answer: Awaitable[Any] = getattr(client, method)(*args, **kwargs)
                return await answer

        return anyio.run(call)

    return ask
