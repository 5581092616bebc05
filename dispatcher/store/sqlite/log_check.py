"""The log of recent writes (`callboard.db-wal`): is all of it there?

SQLite reads a log up to the first frame that is not right and drops the rest without a word: after
a crash that is the transaction that was being written, and nobody was told of it. Each commit is
synced before the next begins, so a frame that is wrong with two or more commits behind it is no
crash: it is damage, and what is behind it was acknowledged. The same is a log without its database.

The format is SQLite's (fileformat2.html, "The Write-Ahead Log"). Left to others: what is in the
database itself (SQLite finds most of its damage), locks (`folder`).
"""

from __future__ import annotations

import struct
from pathlib import Path

from dispatcher.store.sqlite.failures import corrupt

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24


def check_log_has_database(database: Path) -> None:
    """Raise StoreCorrupt where there is a log and no database. Comes before SQLite, which deletes it."""
    log = _log_of(database)
    if _size(log) > HEADER_BYTES and not _size(database):
        raise corrupt(database, f"is missing or empty, and its log {log.name} is there")


def check_log_is_whole(database: Path, page_bytes: int, frames: int) -> None:
    """Raise StoreCorrupt where commits come behind the `frames` that SQLite can read."""
    log = _log_of(database)
    if _size(log) <= HEADER_BYTES:
        return
    lost = 0
    with log.open("rb") as file:
        # The generation of the log: its header has it, or where that is damaged its first frame. (Of
        # one that was begun anew the frames may still be the last generation's, which are in the
        # database: the first write of the new one failed, or its writer was killed before it.)
        beginning = file.read(HEADER_BYTES + FRAME_HEADER_BYTES)
        is_sound = _is_sound(beginning[:HEADER_BYTES])
        salts = beginning[16:24] if is_sound else beginning[HEADER_BYTES + 8 : HEADER_BYTES + 16]
        file.seek(HEADER_BYTES + frames * (FRAME_HEADER_BYTES + page_bytes))
        while len(header := file.read(FRAME_HEADER_BYTES)) == FRAME_HEADER_BYTES:
            is_commit = header[4:8] != b"\0\0\0\0"
            lost += is_commit and header[8:16] == salts
            file.seek(page_bytes, 1)
    if lost > 1:
        raise corrupt(log, f"is damaged, with {lost} commits behind the damage")


def _is_sound(header: bytes) -> bool:
    """Is the checksum of a log's header right? ("Checksum Algorithm")"""
    order = ">" if header[3] & 1 else "<"
    first = second = 0
    words = struct.unpack(f"{order}6I", header[:24])
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return struct.pack(">2I", first, second) == header[24:32]


def _log_of(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
