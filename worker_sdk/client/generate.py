"""Makes the blocking client from the one for event loops: `python -m worker_sdk.client.generate`.

Each module that awaits has a twin in `blocking/`, the same text with a few words replaced. They are
checked in; a test fails while one is not what this writes. Needs ruff, which lays the text out.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

__all__ = ["blocking_text", "blocking_texts"]

FOLDER = Path(__file__).parent
TARGET = FOLDER / "blocking"
# The modules that have a generated twin; that of `concurrency` is written by hand.
MODULES = (
    "agents",
    "client",
    "dispatches",
    "events",
    "jobs",
    "paging",
    "room_configurations",
    "rooms",
    "rules",
    "transport",
    "workers",
)
RUFF_SECONDS_MAX = 60.0

_HEAD = "# Generated from ../{name}.py by `python -m worker_sdk.client.generate`: change that.\n"
_REPLACED = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (r"\basync (?=def\b|with\b|for\b)", ""),
        (r"\bawait ", ""),
        (r"\bDispatchClient\b", "SyncDispatchClient"),
        (
            rf"\bworker_sdk\.client\.(?=(?:{'|'.join(MODULES)}|concurrency)\b)",
            "worker_sdk.client.blocking.",
        ),
        (r"\bAsyncGenerator\[(\w+), None\]", r"Generator[\1, None, None]"),
        (r"\bAsyncGenerator\b", "Generator"),
        (r"\bAsyncClient\b", "Client"),
        (r"\bAsyncBaseTransport\b", "BaseTransport"),
        (r"\bStopAsyncIteration\b", "StopIteration"),
        (r"\b__a(enter|exit|iter)__\b", r"__\1__"),
        (r"\b__anext__\b", "__next__"),
        (r"\banext\(", "next("),
        (r"\baclosing\b", "closing"),
        (r"\baclose\b", "close"),
    )
)


def blocking_text(name: str, text: str) -> str:
    """The blocking twin of a module's text."""
    for pattern, replacement in _REPLACED:
        text = pattern.sub(replacement, text)
    text = _HEAD.format(name=name) + text
    for command in (["check", "--select", "I,RUF022", "--fix", "--quiet"], ["format", "--quiet"]):
        text = subprocess.run(  # noqa: S603 - our own words
            [
                sys.executable,
                "-m",
                "ruff",
                *command,
                "--stdin-filename",
                TARGET / f"{name}.py",
                "-",
            ],
            input=text,
            capture_output=True,
            check=True,
            text=True,
            timeout=RUFF_SECONDS_MAX,
        ).stdout
    return text


def blocking_texts() -> dict[Path, str]:
    """The files of the blocking client that are generated, and what is to be in them."""
    return {
        TARGET / f"{name}.py": blocking_text(name, (FOLDER / f"{name}.py").read_text("utf-8"))
        for name in MODULES
    }


if __name__ == "__main__":
    for path, text in blocking_texts().items():
        path.write_text(text, "utf-8")
