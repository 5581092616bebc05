"""HTTP without a socket: calls of the API client go to the server's ASGI application in this process.

Answers are streamed, so `DispatchClient.events` follows them too. A server that is killed breaks off
the calls that are under way, and one that is down refuses connections.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import anyio
import httpx2

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from dispatcher.server.http import HttpApp

__all__ = ["MemoryHttp"]


class MemoryHttp(httpx2.AsyncBaseTransport):
    """Takes calls to the server that `server` returns, with the tasks of its life; None: it is down."""

    def __init__(self, server: Callable[[], tuple[HttpApp, TaskGroup] | None]) -> None:
        self._server = server

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Make one call. Returns when the head of the answer is there."""
        body = await request.aread()
        server = self._server()
        if server is None:
            raise httpx2.ConnectError("the in-process dispatcher is down", request=request)
        app, tasks = server
        exchange = _Exchange(request, body)
        tasks.start_soon(exchange.serve, app)
        try:
            await exchange.begun.wait()
        except BaseException:
            exchange.scope.cancel()
            raise
        if exchange.status is None:
            raise httpx2.ReadError("the in-process dispatcher did not answer", request=request)
        return httpx2.Response(exchange.status, headers=exchange.headers, stream=exchange)


class _Exchange(httpx2.AsyncByteStream):
    """One request and its answer."""

    def __init__(self, request: httpx2.Request, body: bytes) -> None:
        self._request = request
        self._body: bytes | None = body
        self.scope = anyio.CancelScope()
        # The head is there, or will never be.
        self.begun = anyio.Event()
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self._parts: deque[bytes] = deque()
        self._news = anyio.Event()
        self._is_whole = False
        self._is_over = False

    async def serve(self, app: HttpApp) -> None:
        """Run the application, in a task of the server's."""
        url = self._request.url
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self._request.method,
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "server": (url.host, url.port),
            "client": ("in-process", 0),
            "extensions": {},
        }
        try:
            with self.scope:
                await app(scope, self._receive, self._send)
        finally:
            self._is_over = True
            self.begun.set()
            self._tell()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            while self._parts:
                yield self._parts.popleft()
            if self._is_whole:
                return
            if self._is_over:
                raise httpx2.ReadError("the answer was broken off", request=self._request)
            await self._news.wait()

    async def aclose(self) -> None:
        """The caller reads no more."""
        self.scope.cancel()

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await anyio.sleep_forever()
        raise AssertionError("a caller that goes cancels the scope")

    async def _send(self, message: Any) -> None:  # noqa: ANN401 - ASGI's
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
            self.begun.set()
        elif message["type"] == "http.response.body":
            self._parts.append(message.get("body", b""))
            self._is_whole = not message.get("more_body", False)
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()
