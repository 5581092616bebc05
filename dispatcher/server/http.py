"""The one port: workers, API callers, and the health checks, as one ASGI application.

Websockets go to `worker_socket`, /twirp/ to `twirp`, without a router between; calls of LiveKit's API
that are not ours go to `passthrough`, and so does who looks for the SFU's signalling. Pages in a
browser may read every answer (`cors`). The few other paths are Starlette's: those of this module, and the `routes` that other doors bring along. What is
not here is 404 (/settings/regions too: LiveKit's clients ask for it).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from dispatcher.metrics.call_counts import OTHER, CallCounts
from dispatcher.server.cors import Answer, answer_preflight, is_preflight, with_cors
from dispatcher.server.event_stream import PATH as EVENTS
from dispatcher.server.passthrough import Passthrough, is_of_media
from dispatcher.server.twirp import PATH_START, Twirp
from dispatcher.server.worker_socket import WorkerSocket

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

# what calls are counted as that the SFU answers
SFU = "sfu"


class HttpApp:
    """The ASGI application of the server."""

    def __init__(
        self,
        worker_socket: WorkerSocket,
        twirp: Twirp,
        why_not_ready: Callable[[], str | None],
        routes: Sequence[BaseRoute] = (),
        passthrough: Passthrough | None = None,
        warnings: Callable[[], Sequence[str]] = lambda: (),
        calls: CallCounts | None = None,
    ) -> None:
        self._worker_socket = worker_socket
        self._twirp = twirp
        self._why_not_ready = why_not_ready
        self._passthrough = passthrough
        # what is not well, and yet no reason to take no work
        self._warnings = warnings
        self._calls = calls or CallCounts()
        self._pages = Starlette(
            routes=[
                Route("/", _say_ok),
                Route("/healthz", _say_ok),
                Route("/readyz", self._say_ready),
                *routes,
            ]
        )
        # What calls of a page are counted as: where its path begins.
        pages = (
            _first_step(route.path) for route in self._pages.routes if isinstance(route, Route)
        )
        self._page_names = {page: page for page in pages}

    @property
    def calls(self) -> Twirp:
        """Who answers calls of our own API that came whole, without this application between."""
        return self._twirp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand one request or connection to who serves it."""
        path = scope["path"]
        passthrough = self._passthrough
        if passthrough is not None and is_of_media(path):
            await passthrough.answer_media(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._worker_socket(scope, receive, send)
            return
        others = None  # whose calls these are, if they are not ours
        if passthrough is not None and not self._twirp.serves(path) and passthrough.takes(scope):
            others = passthrough
        if is_preflight(scope) and (others is None or not others.has_sfu):
            await answer_preflight(scope, send)
            return
        began = time.perf_counter()
        answer = Answer()
        send = with_cors(scope, send, answer)
        if others is None and path.startswith(PATH_START):
            await self._twirp(scope, receive, send)  # which counts its calls
            return
        try:
            await (others or self._pages)(scope, receive, send)
        finally:
            if answer.status:
                self._note(path, others is not None, answer.status, began)

    def _note(self, path: str, is_of_sfu: bool, status: int, began: float) -> None:
        name = SFU if is_of_sfu else self._page_names.get(_first_step(path), OTHER)
        if name == EVENTS:
            self._calls.note_stream(name, status)
        else:
            self._calls.note(name, status, time.perf_counter() - began)

    async def close(self) -> None:
        """Close what it holds open to others."""
        if self._passthrough is not None:
            await self._passthrough.close()

    async def _say_ready(self, _request: Request) -> Response:
        reason = self._why_not_ready()
        if reason is not None:
            return PlainTextResponse(f"{reason}\n", status_code=503)
        lines = ["OK", *self._warnings()]
        return PlainTextResponse("".join(f"{line}\n" for line in lines))


def _first_step(path: str) -> str:
    return f"/{path[1:].partition('/')[0]}"


async def _say_ok(_request: Request) -> Response:
    return PlainTextResponse("OK")
