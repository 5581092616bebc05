"""Webhooks as LiveKit's server sends them: real bodies of one room's life, signed anew.

`BODIES` are those of call-1: it starts, alice joins, an agent joins, alice publishes and stops, both
leave, and it finishes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from pathlib import Path
from typing import Any

from protocol.tokens import mint

CONTENT_TYPE = "application/webhook+json"
LIFE_SECONDS = 300

BODIES: tuple[bytes, ...] = tuple(
    json.loads(line)["body"].encode()
    for line in (Path(__file__).parents[1] / "data" / "livekit-webhooks.jsonl")
    .read_text()
    .splitlines()
)


def contents() -> list[dict[str, Any]]:
    """Return what the bodies say."""
    return [json.loads(body) for body in BODIES]


def renamed(content: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the same event of another room: its sids and its id are others too."""
    text = json.dumps(content).replace("call-1", name)
    changed: dict[str, Any] = json.loads(text)
    for part in ("room", "participant", "track"):
        if part in changed:
            changed[part]["sid"] += f".{name}"
    changed["id"] += f".{name}"
    return changed


def encoded(content: object) -> bytes:
    """Return the body of an event."""
    return json.dumps(content).encode()


def digest(body: bytes) -> str:
    """Return the claim `sha256` of a body."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def signature(
    body: bytes, key: str, secret: str, *, at_seconds: float = 0.0, **claims: object
) -> str:
    """Return the token of a webhook that was sent so many seconds from now."""
    now_ns = time.time_ns() + round(at_seconds * 1e9)
    return mint(key, secret, {"sha256": digest(body), **claims}, now_ns, LIFE_SECONDS)
