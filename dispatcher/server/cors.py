"""Calls from a page in a browser: the headers of CORS, as LiveKit's server gives them.

Any origin may call: it is the token that opens, and no cookie is ever read. So a page gets by with
one URL for LiveKit's API and for ours. An answer that has such headers already (the SFU's, passed
on) keeps its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dispatcher.server.access import header

if TYPE_CHECKING:
    from starlette.types import Message, Scope, Send

_METHODS = frozenset({"OPTIONS", "HEAD", "GET", "POST", "PATCH", "DELETE"})
# how long a browser may remember the answer to a preflight: a day
_MAX_AGE_SECONDS = 86_400
_ALLOW_ORIGIN = b"access-control-allow-origin"

Headers = Iterable[tuple[bytes, bytes]]


def is_preflight(scope: Scope) -> bool:
    """Does a browser ask whether a page may make a call?"""
    asked = b"access-control-request-method"
    return scope["method"] == "OPTIONS" and bool(header(scope["headers"], asked))


async def answer_preflight(scope: Scope, send: Send) -> None:
    """Tell a browser which call its page may make: 204."""
    said = scope["headers"]
    origin = header(said, b"origin")
    method = header(said, b"access-control-request-method")
    wanted = header(said, b"access-control-request-headers")
    headers = [(b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers")]
    if origin and method in _METHODS:
        headers += [
            (_ALLOW_ORIGIN, origin.encode("latin-1")),
            (b"access-control-allow-methods", method.encode("latin-1")),
        ]
        if wanted:
            headers.append((b"access-control-allow-headers", wanted.encode("latin-1")))
        headers.append((b"access-control-max-age", b"%d" % _MAX_AGE_SECONDS))
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


class Answer:
    """What is known of an answer that went out: its status, 0 where none did."""

    __slots__ = ("status",)

    def __init__(self) -> None:
        self.status = 0


def with_cors(scope: Scope, send: Send, answer: Answer) -> Send:
    """Return a `send` that lets a page read the answer, and notes its status."""
    origin = header(scope["headers"], b"origin")

    async def send_on(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            headers: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
            names = {name.lower() for name, _ in headers}
            if _ALLOW_ORIGIN not in names and b"vary" not in names:
                headers.append((b"vary", b"Origin"))
                if origin and scope["method"] in _METHODS:
                    headers.append((_ALLOW_ORIGIN, origin.encode("latin-1")))
                    headers.append((b"access-control-expose-headers", b"*"))
                message = {**message, "headers": headers}
        await send(message)

    return send_on
