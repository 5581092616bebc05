"""The SFU's own dispatches beside ours, where we are its worker (the bridge).

A dispatch that CreateRoom, a token or a SIP rule made stands at the SFU alone; its jobs are ours. So
who lists or deletes dispatches at our address sees those too, with the state of our jobs in place of
the SFU's, and a deletion ends our jobs at once.

Left to others: our own dispatches (`dispatch_service`), how a call became a job (`core.bridging`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

import structlog

from dispatcher.core.bridged import BridgeDispatchEnded
from dispatcher.core.bridging import Called
from dispatcher.core.events import Event
from dispatcher.server.wire_jobs import fill_job
from dispatcher.sfu.client import SfuError
from dispatcher.store.contract import StoredJob
from protocol import wire_pb2
from protocol.errors import TwirpCode, TwirpError

log = structlog.get_logger()


class DispatchesOfSfu(Protocol):
    """Who has them (`sfu.client.SfuClient`). All raise SfuError."""

    async def list_rooms(self, names: Collection[str] = ()) -> list[wire_pb2.Room]:
        """The rooms that are there; those of these names alone, where there are any."""
        ...

    async def list_dispatches(
        self, room: str, dispatch_id: str = ""
    ) -> Sequence[wire_pb2.AgentDispatch]:
        """The dispatches of a room, or the one of this id."""
        ...

    async def delete_dispatch(self, room: str, dispatch_id: str) -> wire_pb2.AgentDispatch:
        """Delete one; return what it was. SfuError `not_found` where there is none."""
        ...


class Engine(Protocol):
    """Who knows the calls (`core.engine.Engine`)."""

    def calls_of_room(self, project: str, room: str) -> Collection[Called]:
        """The calls of a room."""
        ...


class JobReader(Protocol):
    """Who has the jobs (the store)."""

    async def get_job(self, project: str, job_id: str) -> StoredJob | None:
        """Return one job."""
        ...


class SfuDispatches:
    """The dispatches of one project's SFU. Every call of it has the deadline of the SFU's client."""

    def __init__(
        self,
        source: DispatchesOfSfu,
        project: str,
        engine: Engine,
        store: JobReader,
        submit: Callable[[Event], None],
    ) -> None:
        self._source = source
        self._project = project
        self._engine = engine
        self._store = store
        self._submit = submit
        # did the SFU not answer last time?
        self._is_away = False

    async def of_room(self, project: str, room: str) -> list[wire_pb2.AgentDispatch]:
        """Those that stand in a room; none while the SFU does not answer, which is logged."""
        if project != self._project:
            return []
        try:
            # Of a room that is not there LiveKit says so after 3 s only.
            if not await self._source.list_rooms([room]):
                return []
            listed = await self._source.list_dispatches(room)
        except SfuError as error:
            if not self._is_away:
                self._is_away = True
                log.warning("sfu_call_failed", url=error.url, reason=error.cause)
            return []
        self._is_away = False
        standing = [each for each in listed if not each.state.deleted_at]
        return [await self._with_jobs(each) for each in standing]

    async def one(self, project: str, room: str, dispatch_id: str) -> list[wire_pb2.AgentDispatch]:
        """The one of this id in a room, if there is one. Raises TwirpError."""
        if project != self._project:
            return []
        try:
            if not await self._source.list_rooms([room]):
                return []
            listed = await self._source.list_dispatches(room, dispatch_id)
        except SfuError as error:
            raise _refused(error) from None
        return [await self._with_jobs(each) for each in listed if each.id == dispatch_id]

    async def delete(
        self, project: str, room: str, dispatch_id: str
    ) -> wire_pb2.AgentDispatch | None:
        """Delete one, and end its jobs; None where there is none. Raises TwirpError."""
        if project != self._project:
            return None
        gone: wire_pb2.AgentDispatch | None = None
        room_is_there = True
        try:
            room_is_there = bool(await self._source.list_rooms([room]))
            if room_is_there:
                gone = await self._source.delete_dispatch(room, dispatch_id)
        except SfuError as error:
            if error.code is not TwirpCode.NOT_FOUND:
                raise _refused(error) from None
        # It is not there, so nobody asks for its jobs any longer: also when another deleted it.
        self._submit(BridgeDispatchEnded(project, room, dispatch_id, room_is_there))
        return await self._with_jobs(gone) if gone is not None else None

    async def _with_jobs(self, dispatch: wire_pb2.AgentDispatch) -> wire_pb2.AgentDispatch:
        """Return a dispatch with our jobs in place of the SFU's, whose states are of no meaning."""
        called = {
            each.job_id: None
            for each in self._engine.calls_of_room(self._project, dispatch.room)
            if each.call.dispatch_id == dispatch.id
        }
        if not called:
            return dispatch
        told = wire_pb2.AgentDispatch()
        told.CopyFrom(dispatch)
        del told.state.jobs[:]
        # Only a worker of the SFU's own names an identity: that job is not one of ours.
        told.state.jobs.extend(
            each for each in dispatch.state.jobs if each.state.participant_identity
        )
        for stored in await self._jobs(called):
            fill_job(told.state.jobs.add(), stored.job, stored.state)
        return told

    async def _jobs(self, job_ids: Iterable[str]) -> list[StoredJob]:
        found = [await self._store.get_job(self._project, job_id) for job_id in job_ids]
        return [stored for stored in found if stored is not None]


def _refused(error: SfuError) -> TwirpError:
    code = error.code or TwirpCode.INTERNAL
    return TwirpError(TwirpCode.UNAVAILABLE if error.retryable else code, str(error))
