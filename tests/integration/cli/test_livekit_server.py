"""Dispatches of LiveKit's own server, which has nothing of ours beside them."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from protocol import wire_pb2
from tests.integration.cli.callboard import callboard

DISPATCHES = wire_pb2.ListAgentDispatchResponse(
    agent_dispatches=[wire_pb2.AgentDispatch(id="AD_9", agent_name="greeter", room="lobby")]
)


class LiveKit(BaseHTTPRequestHandler):
    """Answers ListDispatch, and nothing else."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        is_known = self.path == "/twirp/livekit.AgentDispatchService/ListDispatch"
        body = DISPATCHES.SerializeToString() if is_known else b"404 page not found"
        self.send_response(200 if is_known else 404)
        self.send_header("content-type", "application/protobuf" if is_known else "text/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def env() -> Iterator[dict[str, str]]:
    with ThreadingHTTPServer(("127.0.0.1", 0), LiveKit) as server:
        serving = Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        yield {
            "LIVEKIT_URL": f"http://127.0.0.1:{server.server_port}",
            "LIVEKIT_API_KEY": "k",
            "LIVEKIT_API_SECRET": "s",
        }
        server.shutdown()
        serving.join()


def test_dispatches_of_livekits_own_server_are_listed(env: dict[str, str]) -> None:
    listed = callboard("dispatch", "list", "lobby", env=env)
    assert listed.code == 0
    assert listed.out.splitlines()[1].split("\t")[:2] == ["AD_9", "greeter"]
    assert callboard("dispatch", "list", "lobby", "--json", env=env).json["agent_dispatches"]


def test_what_it_does_not_have_is_told(env: dict[str, str]) -> None:
    line = callboard("job", "list", env=env).failed_with(1)
    assert "livekit-server has dispatches alone" in line
