"""A relay between API clients and a server that fails a call in the way that a test asks for.

It runs in threads of its own, so that blocking clients can be tried with it. Each call has its
connection; the server has always answered before the relay does something to the answer.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum

HOST = "127.0.0.1"
WAIT_SECONDS = 60.0
_RESET = struct.pack("ii", 1, 0)


class Fault(Enum):
    """What becomes of an answer."""

    LOST = "lost"  # the connection is reset before any of it came
    CUT = "cut"  # in the middle of it
    LATE = "late"  # it never comes, and the connection stays


class Relay:
    """Passes calls on to `target_port`; the first ones with these faults, all others without."""

    def __init__(
        self, target_port: int, faults: list[Fault], on_fault: Callable[[], None] | None = None
    ) -> None:
        self.target_port = target_port
        self._faults = faults
        self._on_fault = on_fault
        # status lines of the server, in the order of the calls
        self.answers: list[str] = []
        self._listener = socket.create_server((HOST, 0))
        self._is_over = threading.Event()

    @property
    def url(self) -> str:
        """What a client is given for LIVEKIT_URL."""
        return f"ws://{HOST}:{self._listener.getsockname()[1]}"

    def accept(self) -> None:
        """Serve calls one after the other, until the listener is closed."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._is_over.set()
        # wakes the thread that accepts
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self, client: socket.socket) -> None:
        with client:
            client.settimeout(WAIT_SECONDS)
            request = _read_message(client)
            if not request:
                return
            try:
                with socket.create_connection((HOST, self.target_port), WAIT_SECONDS) as server:
                    server.sendall(request)
                    answer = _read_message(server)
            except OSError:  # the server is down: the client sees its connection end
                return
            self.answers.append(answer.partition(b"\r\n")[0].decode())
            fault = self._faults.pop(0) if self._faults else None
            if fault is not None and self._on_fault is not None:
                self._on_fault()
            if fault is Fault.LATE:
                self._is_over.wait(WAIT_SECONDS)
                return
            if fault is not Fault.LOST:
                client.sendall(answer[: len(answer) - 5] if fault is Fault.CUT else answer)
            if fault is not None:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


@contextmanager
def relay_to(
    target_port: int, *faults: Fault, on_fault: Callable[[], None] | None = None
) -> Iterator[Relay]:
    """Run a relay while the context lasts."""
    relay = Relay(target_port, list(faults), on_fault)
    thread = threading.Thread(target=relay.accept, daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        relay.close()
        thread.join(WAIT_SECONDS)


def _read_message(stream: socket.socket) -> bytes:
    """A whole request or answer, whose length its head tells; empty at the end of the stream."""
    read = b""
    while b"\r\n\r\n" not in read:
        piece = stream.recv(65536)
        if not piece:
            return b""
        read += piece
    head, _, body = read.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    while len(body) < length:
        piece = stream.recv(65536)
        if not piece:
            return b""
        body += piece
    return head + b"\r\n\r\n" + body
