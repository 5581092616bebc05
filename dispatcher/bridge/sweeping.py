"""One look at all rooms of the SFU and their dispatches, with the calls that they mean.

A look that is not whole is none; but of rooms on a node that is gone the others of a cluster list
the name and tell no more, so what is there of those is left as it is. What the SFU has as done, with
success, is not called for again: so is what a socket of ours said that nobody serves. Who is in a room is asked only where it matters: where a dispatch
calls somebody for publishers or participants, or where LiveKit says that an agent of another worker
has the job. That one is there still while the operator moves workers over to us.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

import anyio

from dispatcher.bridge.health import Unserved
from dispatcher.bridge.limits import BridgeLimits
from dispatcher.bridge.offers import call_of, job_for, jobs_of, restart_policy_of
from dispatcher.core.bridged import DispatchesOfRoom, SfuCall
from dispatcher.core.engine import Engine
from dispatcher.core.jobs import Job, JobType, Nanoseconds
from dispatcher.sfu.client import SfuError
from protocol import wire_pb2
from protocol.errors import TwirpCode
from protocol.ids import new_job_id

Types = Mapping[tuple[str, str], Collection[JobType]]  # by agent name and deployment


class DispatchSource(Protocol):
    """Who can tell of rooms and dispatches (`sfu.client.SfuClient`). All raise SfuError."""

    async def list_rooms(self, names: Collection[str] = ()) -> list[wire_pb2.Room]:
        """The rooms that are there; those of these names alone, where there are any."""
        ...

    async def list_participants(self, room: str) -> list[wire_pb2.ParticipantInfo]:
        """Who is in a room."""
        ...

    async def list_dispatches(
        self, room: str, dispatch_id: str = ""
    ) -> Sequence[wire_pb2.AgentDispatch]:
        """The dispatches of a room, or the one of this id."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look saw: rooms, names of rooms that nothing was told of, and whom nobody serves."""

    rooms: tuple[DispatchesOfRoom, ...]
    silent: frozenset[str] = frozenset()
    unserved: tuple[Unserved, ...] = ()


class EngineView(Protocol):
    """What is known already (`runtime.Runtime`)."""

    @property
    def engine(self) -> Engine:
        """The engine, for its views."""
        ...

    @property
    def now(self) -> Callable[[], Nanoseconds]:
        """The engine's clock."""
        ...


async def look(
    source: DispatchSource,
    project: str,
    types: Types,
    view: EngineView,
    random: Random,
    limits: BridgeLimits,
    avoided: Container[str] = frozenset(),
) -> Seen:
    """Return every room with its dispatches. Raises SfuError: the first one, if there are more.

    `avoided`: rooms not to ask for now, because nothing was told of them a moment ago.
    """
    rooms = await source.list_rooms()
    seen: list[DispatchesOfRoom] = []
    silent: set[str] = set()
    unserved: list[Unserved] = []
    waiting = iter(rooms)
    failed: SfuError | None = None

    async def look_into_rooms() -> None:
        nonlocal failed
        for room in waiting:
            if room.name in avoided:
                silent.add(room.name)
                continue
            try:
                found = await _look_into(source, room, project, types, view, random, unserved)
                if found is not None:
                    seen.append(found)
            except SfuError as error:
                if error.code is TwirpCode.UNAVAILABLE:  # the SFU answered, and its node did not
                    silent.add(room.name)
                    continue
                failed = failed or error
                tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for _ in range(min(limits.sweep_calls_max, len(rooms))):
            tasks.start_soon(look_into_rooms)
    if failed is not None:
        raise failed
    return Seen(tuple(seen), frozenset(silent), tuple(unserved))


async def _dispatches(source: DispatchSource, room: wire_pb2.Room) -> list[wire_pb2.AgentDispatch]:
    listed = await source.list_dispatches(room.name)
    return [each for each in listed if not each.state.deleted_at]


async def _look_into(
    source: DispatchSource,
    room: wire_pb2.Room,
    project: str,
    types: Types,
    view: EngineView,
    random: Random,
    unserved: list[Unserved],
) -> DispatchesOfRoom | None:
    """Look into one room; None: it is over by now."""
    dispatches = await _dispatches(source, room)
    ids = {each.id for each in dispatches}
    known = view.engine.calls_of_room(project, room.name)
    if any(called.call.dispatch_id not in ids for called in known):
        # Is it a dispatch that is gone, or the room, and is it the same session still?
        now = await source.list_rooms([room.name])
        if not now:
            return None
        if now[0].sid != room.sid:
            room = now[0]
            dispatches = await _dispatches(source, room)
    wanted = {each.id: types.get((each.agent_name, each.deployment), ()) for each in dispatches}
    people: list[wire_pb2.ParticipantInfo] = []
    if any(
        job_type is not JobType.ROOM for of_one in wanted.values() for job_type in of_one
    ) or any(_agents(each) for each in dispatches if wanted[each.id]):
        people = await source.list_participants(room.name)
    present = {info.identity for info in people}
    calls: list[tuple[SfuCall, Job]] = []
    for dispatch in dispatches:
        if dispatch.agent_name and not wanted[dispatch.id] and not _agents(dispatch):
            unserved.append(Unserved(dispatch.id, room.name, dispatch.agent_name))
        done = _done(dispatch)
        theirs = {key for key, identity in _agents(dispatch).items() if identity in present}
        for job_type in sorted(wanted[dispatch.id]):
            for offered in jobs_of(dispatch, room, people, job_type):
                call = call_of(offered, project)
                if (offered.type, call.participant_sid) in theirs:
                    continue  # a worker that is LiveKit's own has it
                if (offered.type, call.participant_sid) in done:
                    continue
                if (project, call.key) not in view.engine.calls:
                    job = job_for(
                        call,
                        offered,
                        new_job_id(view.now(), random),
                        view.now(),
                        view.engine.policy.queue_time,
                        restart_policy_of(dispatch),
                    )
                    calls.append((call, job))
    return DispatchesOfRoom(
        room.name, room.sid, frozenset(each.id for each in dispatches), tuple(calls)
    )


def _done(dispatch: wire_pb2.AgentDispatch) -> set[tuple[int, str]]:
    """Return what of a dispatch has ended with success, by type and participant.

    That nobody served the unnamed, and we said so, looks like it; but then nobody had an identity.
    """
    return {
        _subject(job)
        for job in dispatch.state.jobs
        if job.state.status == wire_pb2.JS_SUCCESS
        and (dispatch.agent_name or job.state.participant_identity)
    }


def _subject(job: wire_pb2.Job) -> tuple[int, str]:
    return job.type, "" if job.type == wire_pb2.JT_ROOM else job.participant.sid


def _agents(dispatch: wire_pb2.AgentDispatch) -> dict[tuple[int, str], str]:
    """Return the agents that workers of LiveKit's own have for a dispatch, by type and participant.

    Only others name an identity when they accept: we never do.
    """
    return {
        _subject(job): identity
        for job in dispatch.state.jobs
        if job.state.status == wire_pb2.JS_RUNNING and (identity := job.state.participant_identity)
    }
