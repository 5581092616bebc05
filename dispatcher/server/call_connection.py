"""An HTTP connection that answers API calls itself, where a call came in one piece.

Most calls come that way: a POST to a path of the Twirp table, its head and its body in one read, on a
connection that has nothing else under way. Such a call goes to `Calls.answer` and its answer to the
socket, without ASGI's scopes, messages and events between, which cost more than the call's decisions.
Every other request, and a call that comes in pieces, goes the long way: uvicorn's, to the same `answer`.

To uvicorn a call under way is a cycle like its own (`_CallCycle`), so that pipelining, keep-alive,
shutdown and lost connections are its business as ever. Left to others: what is answered (`twirp`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from dispatcher.server.http_connection import BoundedHttpConnection, http_bounds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from dispatcher.server.limits import ServerLimits
    from dispatcher.server.twirp import Answer, Headers

# Headers that ask for more than an answer.
_SPECIAL = frozenset({b"origin", b"expect", b"upgrade", b"transfer-encoding"})


class Calls(Protocol):
    """Answers API calls."""

    @property
    def body_bytes_max(self) -> int:
        """The largest body that is read."""
        ...

    def takes(self, target: bytes) -> bool:
        """Is this request target, as it was sent, that of a method in the table?"""
        ...

    async def answer(
        self, path: str, headers: Headers, query: bytes, body: Callable[[], Awaitable[bytes]]
    ) -> Answer:
        """Answer a POST; `body` reads its body, and raises TwirpError. Raises nothing itself."""
        ...


class _Nobody:
    """Waits for no more of a call that came whole."""

    def set(self) -> None:
        """Tell nobody."""


_NOBODY = _Nobody()


class _CallCycle:
    """A call under way, with what uvicorn asks of its own cycles."""

    __slots__ = ("disconnected", "keep_alive", "message_event", "response_complete")

    def __init__(self) -> None:
        self.response_complete = False
        self.disconnected = False
        # False: the server stops, and this answer is the connection's last.
        self.keep_alive = True
        self.message_event = _NOBODY


class CallConnection(BoundedHttpConnection):
    """A bounded HTTP connection with the short way for API calls."""

    calls: ClassVar[Calls]

    # The body so far of a request that may go the short way, while the read that it came in lasts.
    _body: bytes | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._body is not None:
            self._go_the_long_way()

    def on_headers_complete(self) -> None:
        self.end_head()
        if self._may_go_the_short_way():
            self._body = b""
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._body is None:
            super().on_body(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        if self._body is not None and len(self._body) > self.calls.body_bytes_max:
            self._go_the_long_way()
        if self._body is None:
            super().on_message_complete()
            return
        body, self._body = self._body, None
        cycle = _CallCycle()
        self.cycle = cast("RequestResponseCycle", cycle)
        task = self.loop.create_task(self._answer(cycle, self.url, self.headers, body))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _may_go_the_short_way(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return (
            (cycle is None or cycle.response_complete)
            and not self.flow.write_paused
            and self.parser.get_method() == b"POST"
            and self.calls.takes(self.url)
            and self.parser.should_keep_alive()
            and self.parser.get_http_version() == "1.1"
            and _SPECIAL.isdisjoint([name for name, _ in self.headers])
        )

    def _go_the_long_way(self) -> None:
        """The request did not come whole: let uvicorn wait for the rest."""
        body, self._body = self._body, None
        super().on_headers_complete()
        if body:
            super().on_body(body)

    async def _answer(self, cycle: _CallCycle, url: bytes, headers: Headers, body: bytes) -> None:
        async def read() -> bytes:
            return body

        status, content_type, answer = await self.calls.answer(url.decode(), headers, b"", read)
        cycle.response_complete = True
        if cycle.disconnected:
            return
        head = [STATUS_LINE[status], b"content-type: ", content_type, b"\r\n"]
        for name, value in self.server_state.default_headers:
            head += (name, b": ", value, b"\r\n")
        if not cycle.keep_alive:
            head.append(b"connection: close\r\n")
        # The answer would be another one for a page of another origin (`cors`).
        head += (b"vary: Origin\r\ncontent-length: %d\r\n\r\n" % len(answer), answer)
        self.transport.write(b"".join(head))
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()


def call_connection(limits: ServerLimits, calls: Calls) -> type[CallConnection]:
    """The connection class of a server with these limits, whose calls are answered by `calls`."""
    return type("LimitedCallConnection", (CallConnection,), {**http_bounds(limits), "calls": calls})
