"""A store whose files are not whole is refused in one line; what a crash leaves is taken up."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dispatcher.core.jobs import SECOND
from dispatcher.store.sqlite.database import SqliteDatabase
from dispatcher.store.sqlite.folder import DATABASE_NAME, LOCK_NAME
from dispatcher.store.sqlite.log_check import FRAME_HEADER_BYTES, HEADER_BYTES
from protocol.errors import StoreCorrupt
from tests.conformance.store.builders import LANE, NOW, create

LOG_NAME = f"{DATABASE_NAME}-wal"
JOBS = 17


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """A folder whose server was killed: nearly all is in the log."""
    database = SqliteDatabase(tmp_path / "live")
    database.open()
    for number in range(JOBS):
        database.apply([create(str(number))], NOW + SECOND)
    folder = tmp_path / "crashed"
    folder.mkdir()
    for name in (DATABASE_NAME, LOG_NAME, LOCK_NAME):
        shutil.copy(tmp_path / "live" / name, folder / name)
    database.close()
    return folder


def waiting(folder: Path) -> int:
    """Open the store; return how many jobs wait in it."""
    database = SqliteDatabase(folder)
    try:
        return database.open().waiting.get(LANE, 0)
    finally:
        database.close()


def flip(path: Path, at: int) -> None:
    """Change one bit."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def frames(folder: Path) -> int:
    """Count the frames of the log."""
    return ((folder / LOG_NAME).stat().st_size - HEADER_BYTES) // (FRAME_HEADER_BYTES + 4096)


def test_what_a_crash_leaves_is_all_there(crashed: Path) -> None:
    assert waiting(crashed) == JOBS


def test_a_transaction_that_was_being_written_is_left_out(crashed: Path) -> None:
    log = crashed / LOG_NAME
    log.write_bytes(log.read_bytes()[:-100])
    assert waiting(crashed) == JOBS - 1


def test_a_last_commit_that_is_wrong_is_left_out(crashed: Path) -> None:
    flip(crashed / LOG_NAME, (crashed / LOG_NAME).stat().st_size - 100)
    assert waiting(crashed) == JOBS - 1


@pytest.mark.parametrize("part", [0.001, 0.1, 0.5, 0.8])
def test_a_log_that_is_damaged_before_its_end_is_refused_and_left_alone(
    crashed: Path, part: float
) -> None:
    log = crashed / LOG_NAME
    flip(log, HEADER_BYTES + int(part * log.stat().st_size))
    before = log.read_bytes()
    with pytest.raises(StoreCorrupt, match=r"callboard\.db-wal: is damaged, with \d+ commits"):
        waiting(crashed)
    assert log.read_bytes() == before


@pytest.mark.parametrize("at", [0, 8, 16, 24])
def test_a_log_whose_header_is_damaged_is_refused(crashed: Path, at: int) -> None:
    flip(crashed / LOG_NAME, at)
    with pytest.raises(StoreCorrupt, match="is damaged"):
        waiting(crashed)


def test_an_older_generation_behind_the_end_of_the_log_is_no_damage(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path)
    database.open()
    for number in range(JOBS):
        database.apply([create(str(number))], NOW)
    database.connections.writer.wal_checkpoint()
    for number in range(JOBS, JOBS + 2):
        database.apply([create(str(number))], NOW)
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in (DATABASE_NAME, LOG_NAME):
        shutil.copy(tmp_path / name, folder / name)
    database.close()
    assert frames(folder) > JOBS
    assert waiting(folder) == JOBS + 2


def test_a_log_that_was_begun_anew_and_no_further_is_no_damage(tmp_path: Path) -> None:
    # The server was killed, or its disk was full, between the new header and the first frame.
    database = SqliteDatabase(tmp_path)
    database.open()
    for number in range(JOBS):
        database.apply([create(str(number))], NOW)
    database.connections.writer.wal_checkpoint()
    older = (tmp_path / LOG_NAME).read_bytes()
    database.apply([create(str(JOBS))], NOW)
    header = (tmp_path / LOG_NAME).read_bytes()[:HEADER_BYTES]
    folder = tmp_path / "copy"
    folder.mkdir()
    shutil.copy(tmp_path / DATABASE_NAME, folder / DATABASE_NAME)
    (folder / LOG_NAME).write_bytes(header + older[HEADER_BYTES:])
    database.close()
    assert header != older[:HEADER_BYTES]
    assert waiting(folder) == JOBS


@pytest.mark.parametrize("is_missing", [True, False])
def test_a_log_without_its_database_is_refused_and_left_alone(
    crashed: Path, is_missing: bool
) -> None:
    (crashed / LOCK_NAME).unlink()
    if is_missing:
        (crashed / DATABASE_NAME).unlink()
    else:
        (crashed / DATABASE_NAME).write_bytes(b"")
    with pytest.raises(StoreCorrupt, match=r"is missing or empty, and its log .* is there"):
        waiting(crashed)
    assert frames(crashed) > JOBS


@pytest.mark.parametrize("is_missing", [True, False])
def test_a_database_that_is_gone_from_a_folder_that_had_one_is_no_new_beginning(
    tmp_path: Path, is_missing: bool
) -> None:
    assert waiting(tmp_path) == 0
    if is_missing:
        (tmp_path / DATABASE_NAME).unlink()
    else:
        (tmp_path / DATABASE_NAME).write_bytes(b"")
    for _ in range(2):
        with pytest.raises(StoreCorrupt, match=r"this folder had a store; restore it"):
            waiting(tmp_path)
    (tmp_path / LOCK_NAME).unlink()
    assert waiting(tmp_path) == 0
