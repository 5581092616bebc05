"""The store of jobs in one SQLite file: `SqliteStore` (async) over `SqliteDatabase` (sync)."""

from dispatcher.store.sqlite.database import SqliteDatabase
from dispatcher.store.sqlite.store import SqliteStore

__all__ = ["SqliteDatabase", "SqliteStore"]
