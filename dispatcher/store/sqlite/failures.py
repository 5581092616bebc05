"""What SQLite and the operating system report, as the store's own errors: the one seam for it.

Every error names cause, place and remedy. Retryable are those where the same call may do better
a moment later and where nothing was changed: busy, an input/output error, no space left.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from protocol.errors import (
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})

RESTORE = "stop, and restore the folder from a backup, or choose another --data-dir"


def read_only(place: Path) -> StoreReadOnly:
    """The error for a place that cannot be written."""
    return StoreReadOnly(
        "cannot be written", str(place), "give this user write access or choose another --data-dir"
    )


def full(place: Path) -> StoreFull:
    """The error for a place with no space left."""
    return StoreFull("no space left", str(place), "free some space or choose another --data-dir")


def corrupt(place: Path, cause: str) -> StoreCorrupt:
    """The error for damaged content."""
    return StoreCorrupt(cause, str(place), RESTORE)


def of_sqlite(error: apsw.Error, place: Path) -> StoreError:
    """Translate an error of SQLite."""
    match error:
        case apsw.FullError():
            return full(place)
        case apsw.ReadOnlyError():
            return read_only(place)
        case apsw.NotADBError():
            return corrupt(place, "is not a database")
        case apsw.CorruptError():
            return corrupt(place, f"is damaged ({error})")
        case apsw.SQLError():
            return corrupt(place, f"lacks what a store has ({error})")
        case apsw.IOError() if getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_CORRUPTFS:
            return corrupt(place, "is damaged, as is the file system")
        case apsw.BusyError() | apsw.LockedError() | apsw.ProtocolError():
            return StoreUnavailable(
                f"is busy ({error})", str(place), "close the other program that has it open"
            )
        case apsw.IOError() | apsw.CantOpenError() | apsw.NoMemError():
            return StoreUnavailable(
                f"cannot be read or written ({error})", str(place), "look at the disk"
            )
        case _:
            return StoreError(f"SQLite refused ({error})", str(place), "report this as a bug")


def of_system(error: OSError, place: Path) -> StoreError:
    """Translate an error of the operating system."""
    if error.errno in _FULL:
        return full(place)
    if error.errno in _READ_ONLY:
        return read_only(place)
    if error.errno in {errno.ENOTDIR, errno.EEXIST}:
        return StoreError("is not a folder", str(place), "choose another --data-dir")
    return StoreUnavailable(
        f"cannot be used ({error.strerror})", str(place), "look at the disk and the path"
    )


@contextmanager
def translated(place: Path) -> Iterator[None]:
    """Raise StoreError in place of the errors of SQLite and of the operating system."""
    try:
        yield
    except apsw.Error as error:
        raise of_sqlite(error, place) from error
    except OSError as error:
        raise of_system(error, place) from error
