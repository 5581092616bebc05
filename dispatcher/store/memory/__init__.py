"""A store that keeps everything in this process: for tests, ours and those of users' programs.

It passes tests/conformance/store as the SQLite store does, and shares no code with it: each is the
other's oracle. A `MemoryDatabase` outlives its `MemoryStore`s as a disk does its servers, but not
the process: promise 1 of the contract holds for a node that is started anew, promise 6 (what a
request costs) holds for what a job costs on its way, and not for lists, recovery and pruning.
"""

from dispatcher.store.memory.database import MemoryDatabase
from dispatcher.store.memory.store import MemoryStore

__all__ = ["MemoryDatabase", "MemoryStore"]
