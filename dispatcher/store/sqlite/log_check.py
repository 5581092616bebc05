"""The log of recent writes (`callboard.db-wal`): is all of it there?

SQLite reads a log up to the first frame that is not right and drops the rest without a word: after
a crash that is the transaction that was being written, and nobody was told of it. Each commit is
synced before the next begins, so a frame that is wrong with two or more commits behind it is no
crash: it is damage, and what is behind it was acknowledged. The same is a log without its database.

The format is SQLite's (fileformat2.html, "The Write-Ahead Log"). Left to others: what is in the
database itself (SQLite finds most of its damage), locks (`folder`).
"""

from __future__ import annotations

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
        # The generation of the log, as its header and its first frame have it: one may be damaged.
        beginning = file.read(HEADER_BYTES + FRAME_HEADER_BYTES)
        salts = beginning[16:24], beginning[HEADER_BYTES + 8 : HEADER_BYTES + 16]
        file.seek(HEADER_BYTES + frames * (FRAME_HEADER_BYTES + page_bytes))
        while len(header := file.read(FRAME_HEADER_BYTES)) == FRAME_HEADER_BYTES:
            is_commit = header[4:8] != b"\0\0\0\0"
            lost += is_commit and header[8:16] in salts
            file.seek(page_bytes, 1)
    if lost > 1:
        raise corrupt(log, f"is damaged, with {lost} commits behind the damage")


def _log_of(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
