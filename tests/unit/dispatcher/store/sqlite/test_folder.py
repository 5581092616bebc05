"""Folders that cannot be used: one clear line each, and nothing is touched."""

import os
import resource
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import apsw
import pytest

from dispatcher.store.sqlite import SqliteDatabase
from dispatcher.store.sqlite.folder import DATABASE_NAME, LOCK_NAME
from dispatcher.store.sqlite.schema import APPLICATION_ID, MIGRATIONS
from protocol.errors import (
    StoreCorrupt,
    StoreError,
    StoreInUse,
    StoreTooNew,
)
from tests.conformance.store.builders import NOW, claim, claimed_names, create, create_job


def refusal(folder: Path, kind: type[StoreError]) -> str:
    """Return the one line with which opening fails, naming the place and a remedy."""
    with pytest.raises(kind) as raised:
        SqliteDatabase(folder).open()
    line = str(raised.value)
    assert "\n" not in line
    assert str(folder) in line
    assert "; " in line
    return line


def contents(folder: Path) -> dict[str, bytes]:
    """Return what the files hold that hold data."""
    names = (DATABASE_NAME, DATABASE_NAME + "-wal")
    found = {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}
    return {name: content for name, content in found.items() if content}


def written(folder: Path, jobs: int = 1) -> None:
    """Make a store with jobs in it."""
    database = SqliteDatabase(folder)
    database.open()
    database.apply([create(str(number)) for number in range(jobs)], NOW)
    database.close()


def test_the_folder_is_made_for_this_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "data"
    written(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_closed_store_leaves_one_file_and_the_lock(tmp_path: Path) -> None:
    written(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {DATABASE_NAME, LOCK_NAME}


def test_a_folder_in_use_names_the_process_that_holds_it(tmp_path: Path) -> None:
    first = SqliteDatabase(tmp_path)
    first.open()
    try:
        assert f"in use by process {os.getpid()}" in refusal(tmp_path, StoreInUse)
        first.apply([create_job("1")], NOW)  # and it goes on undisturbed
    finally:
        first.close()
    written(tmp_path)


def test_a_folder_is_free_again_after_an_open_that_failed(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"no database at all" * 1000)
    refusal(tmp_path, StoreCorrupt)
    refusal(tmp_path, StoreCorrupt)  # not StoreInUse


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"no database at all" * 1000)
    before = contents(tmp_path)
    assert "not a database" in refusal(tmp_path, StoreCorrupt)
    assert contents(tmp_path) == before


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / DATABASE_NAME))
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = contents(tmp_path)
    assert "another program" in refusal(tmp_path, StoreCorrupt)
    assert contents(tmp_path) == before


def test_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    written(tmp_path)
    connection = apsw.Connection(str(tmp_path / DATABASE_NAME))
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    before = contents(tmp_path)
    assert "newer" in refusal(tmp_path, StoreTooNew)
    assert contents(tmp_path) == before


def test_a_file_that_is_cut_off_is_refused_and_left_alone(tmp_path: Path) -> None:
    written(tmp_path, jobs=200)
    path = tmp_path / DATABASE_NAME
    path.write_bytes(path.read_bytes()[:-4096])
    before = contents(tmp_path)
    assert "damaged" in refusal(tmp_path, StoreCorrupt)
    assert contents(tmp_path) == before


def test_a_file_whose_tables_are_damaged_is_refused(tmp_path: Path) -> None:
    written(tmp_path, jobs=200)
    path = tmp_path / DATABASE_NAME
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(bytes(content))
    assert "damaged" in refusal(tmp_path, StoreCorrupt)
    assert path.read_bytes() == bytes(content)


def test_a_file_that_lacks_a_table_is_refused(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / DATABASE_NAME))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.close()
    assert "no such table" in refusal(tmp_path, StoreCorrupt)


def test_an_empty_file_is_a_new_store(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).touch()
    written(tmp_path)


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "not a folder" in refusal(tmp_path / "file", StoreError)


# The rest needs a process without root's rights: root may write everywhere.
OPEN_AS_NOBODY = textwrap.dedent(
    """
    import os, sys
    from pathlib import Path
    from dispatcher.store.sqlite import SqliteDatabase
    from protocol.errors import StoreError
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    try:
        SqliteDatabase(Path(sys.argv[1])).open()
    except StoreError as error:
        print(type(error).__name__, error)
    else:
        print("opened")
    """
)


def opened_without_rights(folder: Path) -> str:
    """Return what a process without root's rights says when it opens the folder."""
    for parent in folder.parents:  # pytest makes its folders for this user alone
        if Path(tempfile.gettempdir()) not in parent.parents:
            break
        parent.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", OPEN_AS_NOBODY, str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(0o555)
    said = opened_without_rights(folder)
    assert said.startswith(f"StoreReadOnly {folder}: cannot be written; ")
    assert list(folder.iterdir()) == []


def test_a_database_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    written(folder)
    folder.chmod(0o777)
    (folder / LOCK_NAME).chmod(0o666)
    (folder / DATABASE_NAME).chmod(0o444)
    before = contents(folder)
    said = opened_without_rights(folder)
    assert said.startswith(f"StoreReadOnly {folder / DATABASE_NAME}: cannot be written; ")
    assert contents(folder) == before


def test_a_full_disk_at_the_first_start_is_one_clear_line(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StoreError) as raised:
            SqliteDatabase(tmp_path).open()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.retryable
    assert str(tmp_path) in str(raised.value)
    written(tmp_path)  # and it starts when there is space again


def test_everything_is_there_after_a_full_disk(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path)
    database.open()
    database.apply([create_job("1")], NOW)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(StoreError):
            database.apply([create_job("2")], NOW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    database.close()
    database = SqliteDatabase(tmp_path)
    database.open()
    assert claimed_names(database.apply([claim()], NOW)) == ["1"]
    database.close()
