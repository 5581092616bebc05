"""The stores that the suite runs over, each with its ways to go down and come back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from dispatcher.core.events import StoreRecovered
from dispatcher.store.contract import Store
from dispatcher.store.sqlite import SqliteStore
from dispatcher.store.sqlite.folder import DATABASE_NAME
from tests.conformance.store.builders import NOW
from tests.support.memory_store import MemoryDatabase, MemoryStore


class Subject(Protocol):
    """One store with its disk. `store` is the running one."""

    store: Store

    async def start(self) -> StoreRecovered:
        """Open a store on what is there."""
        ...

    async def crash(self) -> None:
        """End the store as a SIGKILL would; `start` comes next."""
        ...


class MemorySubject:
    """The tests' own store."""

    def __init__(self, _folder: Path) -> None:
        self._database = MemoryDatabase()
        self.store: Store = MemoryStore(self._database)

    async def start(self) -> StoreRecovered:
        """Open a store on what is there."""
        self.store = MemoryStore(self._database)
        return await self.store.open(NOW)

    async def crash(self) -> None:
        """End the store as a SIGKILL would."""
        self._database.crash()


class SqliteSubject:
    """A SQLite store. It crashes by leaving its files as they are at that moment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._generation = 0
        self.store: Store = SqliteStore(folder / "0")

    async def start(self) -> StoreRecovered:
        """Open a store on what is there."""
        self.store = SqliteStore(self._folder / str(self._generation))
        return await self.store.open(NOW)

    async def crash(self) -> None:
        """Go on with a copy of the files, which no store had a chance to close."""
        old = self._folder / str(self._generation)
        self._generation += 1
        new = self._folder / str(self._generation)
        new.mkdir()
        for name in (DATABASE_NAME, DATABASE_NAME + "-wal"):
            if (old / name).exists():
                shutil.copy(old / name, new / name)
        await self.store.close()


SUBJECTS: dict[str, Callable[[Path], Subject]] = {"memory": MemorySubject, "sqlite": SqliteSubject}
