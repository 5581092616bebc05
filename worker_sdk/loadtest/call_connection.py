"""One keep-alive HTTP connection of a caller, without an HTTP library: a call, its answer, the next."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol, cast

__all__ = ["Call", "CallConnection", "CallObserver"]

_HEADERS_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_ERROR_SHOWN_CHARACTERS_MAX = 100


@dataclass(slots=True)
class Call:
    """One call: its job's number, when it was due and when it was made (0: not so far)."""

    number: int
    due_ns: int
    request: bytes = b""
    called_ns: int = 0


class CallObserver(Protocol):
    """Who is told what becomes of calls."""

    def answered(self, connection: CallConnection, call: Call, failure: str) -> None:
        """A call has its answer; `failure` is empty for a success."""

    def lost(self, connection: CallConnection, call: Call | None, failure: str) -> None:
        """The connection is gone, with this call under way on it."""


class CallConnection(asyncio.Protocol):
    """Carries one call at a time."""

    __slots__ = ("_buffer", "_failure", "_observer", "_transport", "call", "idle_since_ns")

    def __init__(self, observer: CallObserver) -> None:
        self._observer = observer
        self._buffer = b""
        self._failure = ""
        self._transport: asyncio.Transport | None = None
        # The call under way.
        self.call: Call | None = None
        self.idle_since_ns = time.monotonic_ns()

    @property
    def is_open(self) -> bool:
        """Can it carry a call?"""
        return self._transport is not None and not self._transport.is_closing()

    def make(self, call: Call) -> None:
        """Write a call."""
        assert self._transport is not None
        self.call = call
        self._transport.write(call.request)
        call.called_ns = time.monotonic_ns()
        call.request = b""

    def abort(self, failure: str) -> None:
        """Cut the connection; a call under way has failed so."""
        self._failure = failure
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what carries it."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The call under way has failed."""
        self._transport = None
        call, self.call = self.call, None
        self._observer.lost(self, call, self._failure or "the connection was lost")

    def data_received(self, data: bytes) -> None:
        """Take in an answer when it is whole."""
        if self._buffer:
            data = self._buffer + data
        end = data.find(_HEADERS_END)
        if end < 0:
            self._buffer = data
            return
        head = data[: end + 2].lower()
        at = head.find(_LENGTH)
        if at < 0:
            self.abort("an answer without a length")
            return
        begin = end + len(_HEADERS_END)
        line = head[at + len(_LENGTH) : head.index(b"\r\n", at + 2)]
        whole = begin + int(line)
        if len(data) < whole:
            self._buffer = data
            return
        self._buffer = b""
        call, self.call = self.call, None
        if call is None:
            self.abort("an answer that nobody asked for")
            return
        self.idle_since_ns = time.monotonic_ns()
        failure = "" if head.startswith(b"http/1.1 200") else _failure(head, data[begin:whole])
        if b"\r\nconnection: close" in head and self._transport is not None:
            self._transport.close()
        self._observer.answered(self, call, failure)


def _failure(head: bytes, body: bytes) -> str:
    """An error answer in short; as few different ones as can be, for they are counted."""
    text = body.decode("utf-8", "replace")
    text = "".join(character for character in text if character.isprintable())
    return f"HTTP {head[9:12].decode('ascii', 'replace')}: {text[:_ERROR_SHOWN_CHARACTERS_MAX]}"
