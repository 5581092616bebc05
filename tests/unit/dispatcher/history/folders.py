"""Data folders that the real store wrote: jobs that wait and jobs that ended, and harm done to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import apsw

from dispatcher.core.effects import CreateDispatch
from dispatcher.core.jobs import SECOND, Dispatch, Job, Nanoseconds, RestartPolicy
from dispatcher.history import Verdict, check
from dispatcher.history.folder import FolderHistory
from dispatcher.store.sqlite.database import SqliteDatabase
from dispatcher.store.sqlite.folder import DATABASE_NAME
from protocol import wire_pb2
from tests.conformance.store.builders import LANE, NOW, QUEUED, SUCCEEDED, assign, move, succeed


def opened(folder: Path) -> SqliteDatabase:
    """Return the store as the next process opens it."""
    database = SqliteDatabase(folder)
    database.open()
    return database


def fill(database: SqliteDatabase, jobs: int, name: str = "job") -> None:
    """Create dispatches with a job each, all that wait, in few commits."""
    creations = [creation(f"{name}-{number}") for number in range(jobs)]
    for begin in range(0, jobs, 1_000):
        database.apply(creations[begin : begin + 1_000], NOW + SECOND)


def creation(name: str) -> CreateDispatch:
    """A call for an agent, with all that a server notes of it."""
    metadata, attributes = f"for {name}", {"of": name}
    sent = wire_pb2.AgentDispatch(
        id=f"AD_{name}",
        agent_name=LANE.agent_name,
        room="room",
        metadata=metadata,
        attributes=attributes,
    )
    config = wire_pb2.Job(
        id=f"AJ_{name}",
        dispatch_id=sent.id,
        agent_name=LANE.agent_name,
        metadata=metadata,
        attributes=attributes,
    )
    policy = RestartPolicy.ON_FAILURE
    dispatch = Dispatch(
        sent.id, LANE.project, "room", LANE.agent_name, "", policy, sent.SerializeToString(), NOW
    )
    job = Job(f"AJ_{name}", dispatch.id, LANE, "room", config.SerializeToString(), NOW)
    return CreateDispatch(1, dispatch, ((job, QUEUED),))


def end(database: SqliteDatabase, names: Iterable[str], at: Nanoseconds) -> None:
    """Let a worker have these jobs, and succeed, in one commit."""
    ended = replace(SUCCEEDED, ended_at=at, updated_at=at)
    moves = [
        one
        for name in names
        for one in (assign(name), move(name, succeed(name).trigger, ended, detail="it left"))
    ]
    database.apply(moves, at)


def change(folder: Path, sql: str) -> None:
    """Do harm to a store that nobody has open."""
    connection = apsw.Connection(str(folder / DATABASE_NAME))
    connection.execute(sql)
    connection.close()


def judged(folder: Path) -> Verdict:
    """Check the history of the folder."""
    with FolderHistory(folder) as history:
        return check(history.events(), store=history)
