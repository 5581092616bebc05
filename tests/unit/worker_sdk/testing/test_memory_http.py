"""HTTP in memory: an application of the test's, asked with the API client's own library."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import httpx2
import pytest

from dispatcher.server.http import HttpApp
from worker_sdk.testing.memory_http import MemoryHttp

pytestmark = pytest.mark.anyio


class Application:
    """Answers with the parts that the test gives; keeps what it was asked, and whether it was left."""

    def __init__(self, *parts: bytes, goes_on: bool = False, breaks: bool = False) -> None:
        self.parts = parts
        self.goes_on = goes_on
        self.breaks = breaks
        self.asked: list[tuple[dict[str, Any], bytes]] = []
        self.left = anyio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        self.asked.append((scope, (await receive())["body"]))
        if self.breaks:
            return
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"b")]})
        for part in self.parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        if self.goes_on:
            try:
                await receive()
            finally:
                self.left.set()
        await send({"type": "http.response.body"})


@asynccontextmanager
async def client(app: Application | None) -> AsyncIterator[httpx2.AsyncClient]:
    async with anyio.create_task_group() as tasks:

        def server() -> Any:
            return None if app is None else (cast("HttpApp", app), tasks)

        async with httpx2.AsyncClient(
            base_url="http://in-process", transport=MemoryHttp(server)
        ) as http:
            yield http
        tasks.cancel_scope.cancel()


async def test_a_request_reaches_the_application_and_its_answer_the_caller() -> None:
    app = Application(b"one ", b"two")
    async with client(app) as http:
        answer = await http.post("/a/b?c=d", content=b"body", headers={"X-Id": "7"})
    assert (answer.status_code, answer.headers["x-a"], answer.content) == (201, "b", b"one two")
    ((scope, body),) = app.asked
    assert (scope["method"], scope["path"], scope["query_string"]) == ("POST", "/a/b", b"c=d")
    assert (b"x-id", b"7") in scope["headers"]
    assert body == b"body"


async def test_an_answer_that_goes_on_is_read_as_it_comes_until_its_reader_leaves() -> None:
    app = Application(b"one", goes_on=True)
    async with client(app) as http:
        async with http.stream("GET", "/") as answer:
            parts = answer.aiter_bytes()
            assert await anext(parts) == b"one"
            assert not app.left.is_set()
        with anyio.fail_after(60):
            await app.left.wait()


async def test_a_server_that_is_down_refuses() -> None:
    async with client(None) as http:
        with pytest.raises(httpx2.ConnectError, match="is down"):
            await http.get("/")


async def test_an_application_that_ends_without_an_answer_is_a_read_error() -> None:
    async with client(Application(breaks=True)) as http:
        with pytest.raises(httpx2.ReadError, match="did not answer"):
            await http.get("/")


async def test_a_server_that_is_killed_breaks_off_its_answers() -> None:
    app = Application(b"one", goes_on=True)
    async with anyio.create_task_group() as tasks:

        def server() -> Any:
            return cast("HttpApp", app), tasks

        async with (
            httpx2.AsyncClient(base_url="http://in-process", transport=MemoryHttp(server)) as http,
            http.stream("GET", "/") as answer,
        ):
            parts = answer.aiter_bytes()
            assert await anext(parts) == b"one"
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True), pytest.raises(httpx2.ReadError, match="broken"):
                await anext(parts)
