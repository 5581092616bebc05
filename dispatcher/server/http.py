"""The one port: workers, API callers, and the health checks, as one ASGI application.

Websockets go to `worker_socket`, /twirp/ to `twirp`, without a router between; calls of LiveKit's API
that are not ours go to `passthrough`, and so does who looks for the SFU's signalling. Pages in a
browser may read every answer (`cors`). The few other paths are Starlette's: those of this module, and the `routes` that other doors bring along. What is
not here is 404 (/settings/regions too: LiveKit's clients ask for it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from dispatcher.server.cors import answer_preflight, is_preflight, with_cors
from dispatcher.server.passthrough import Passthrough, is_of_media
from dispatcher.server.twirp import PATH_START, Twirp
from dispatcher.server.worker_socket import WorkerSocket

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send


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
    ) -> None:
        self._worker_socket = worker_socket
        self._twirp = twirp
        self._why_not_ready = why_not_ready
        self._passthrough = passthrough
        # what is not well, and yet no reason to take no work
        self._warnings = warnings
        self._pages = Starlette(
            routes=[
                Route("/", _say_ok),
                Route("/healthz", _say_ok),
                Route("/readyz", self._say_ready),
                *routes,
            ]
        )

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
        send = with_cors(scope, send)
        if others is not None:
            await others(scope, receive, send)
        elif path.startswith(PATH_START):
            await self._twirp(scope, receive, send)
        else:
            await self._pages(scope, receive, send)

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


async def _say_ok(_request: Request) -> Response:
    return PlainTextResponse("OK")
