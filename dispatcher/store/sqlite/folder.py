"""The data folder: made for this user alone, and held by one process at a time.

The lock is the kernel's (flock), so it ends with the process however that ends; the file that it
is on stays, with the holder's process id in it for people, and whether a store was made here.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from dispatcher.store.sqlite.failures import translated
from protocol.errors import StoreInUse

FOLDER_MODE = 0o700
DATABASE_NAME = "callboard.db"
LOCK_NAME = "callboard.lock"
_LOCK_BYTES_MAX = 32
_HAD_STORE = "store"


class DataFolder:
    """A data folder that this process holds, from `hold` to `let_go`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / DATABASE_NAME
        # the open lock file, while held
        self._lock: int | None = None
        # has a store been made here before?
        self.had_store = False

    def hold(self) -> None:
        """Make the folder if need be and take its lock. StoreInUse, StoreReadOnly, StoreFull ..."""
        if self._lock is not None:
            return
        with translated(self.path):
            self.path.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
            lock = os.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._take(lock)
            except BaseException:
                os.close(lock)
                raise
            self._lock = lock

    def note_store(self) -> None:
        """Remember that there is a store here: one that is gone later is not a new beginning."""
        if self._lock is not None:
            os.pwrite(self._lock, f"{os.getpid()}\n{_HAD_STORE}\n".encode("ascii"), 0)
        self.had_store = True

    def let_go(self) -> None:
        """Give the folder free. Idempotent."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _lines(lock)[0]
            raise StoreInUse(
                f"is in use by process {holder or 'unknown'}",
                str(self.path),
                "stop that one or choose another --data-dir",
            ) from None
        self.had_store = _HAD_STORE in _lines(lock)
        os.ftruncate(lock, 0)
        if self.had_store:
            os.pwrite(lock, f"{os.getpid()}\n{_HAD_STORE}\n".encode("ascii"), 0)
        else:
            os.pwrite(lock, f"{os.getpid()}\n".encode("ascii"), 0)


def _lines(lock: int) -> list[str]:
    """Return the lines of the lock file, one at least."""
    return os.pread(lock, _LOCK_BYTES_MAX, 0).decode("ascii", "replace").split("\n")
