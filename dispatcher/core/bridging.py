"""One job of ours for each job that the SFU asks for: never two, never none (A20, A22).

A call is remembered from the commit that made its job until its dispatch is gone there, so that the
same offer, heard again after whatever failed, finds the job. A call for what a rule has called
already is answered by the rule's job, and a rule leaves to a call what that has made.

A dispatch that is gone ends its job; so does the participant whom it was for. After a restart of the SFU rooms come back under their names
with new dispatches, and the agents rejoin by themselves: a live job takes the new call over. Without
an outage, the same name is another session, with a job of its own.

Left to others: sockets and lists (`dispatcher.bridge`), how jobs end early (`calling_off`).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from dispatcher.core import note_texts
from dispatcher.core.board import Board
from dispatcher.core.bridged import (
    AgentServed,
    BridgeDispatchEnded,
    BridgeDispatchesListed,
    BridgeOffered,
    DispatchesOfRoom,
    Served,
    SfuCall,
)
from dispatcher.core.calling_off import CallingOff
from dispatcher.core.effects import DropNotes, Outcome, PutNote, Reply
from dispatcher.core.events import RoomEventReported, StoreRecovered
from dispatcher.core.jobs import SECOND, Job, JobStateReason, JobType, Nanoseconds
from dispatcher.core.made_jobs import REVOKED, id_of
from dispatcher.core.notes import NoteKind
from dispatcher.core.offering import Offering
from dispatcher.core.ordering import Ordering
from dispatcher.core.room_events import DisconnectReason, RoomEventKind
from dispatcher.core.room_states import Member, RoomKey, RoomState
from dispatcher.core.rooms import Rooms
from dispatcher.core.rules import Rule

Where = TypeVar("Where", bound=Hashable)
Entry = TypeVar("Entry", bound=Hashable)

CALLS_MAX = 200_000
SERVED_MAX = 1_000
# What no worker has served for so long is forgotten; how often it is written that one does.
SERVED_TIME = 30 * 86_400 * SECOND
SERVED_INTERVAL = 86_400 * SECOND

CallKey = tuple[str, str]  # project, key of the call
# what a restart of the SFU leaves of a call: room name, what serves it, identity
_Subject = tuple[RoomKey, Served, str]

ROOM_OVER = JobStateReason.ROOM_CLOSED, "its room is over"
DISPATCH_GONE = JobStateReason.DISPATCH_DELETED, "its dispatch was deleted at the SFU"


@dataclass(slots=True, eq=False)
class Called:
    """A call that has its job."""

    call: SfuCall
    job_id: str
    # when the SFU last asked for it
    heard_at: Nanoseconds
    # a rule made the job, and ends it
    is_of_rule: bool = False
    has_ended: bool = False
    # nobody asks for it any longer; forgotten when the job has ended
    is_gone: bool = False
    # it follows a call from before a restart of the SFU
    is_taken_over: bool = False


class Bridging:
    """The part of the engine that answers the SFU's calls."""

    def __init__(
        self,
        board: Board,
        rooms: Rooms,
        ordering: Ordering,
        offering: Offering,
        calling_off: CallingOff,
    ) -> None:
        self._board = board
        self._rooms = rooms
        self._ordering = ordering
        self._offering = offering
        self._calling_off = calling_off
        self.calls: dict[CallKey, Called] = {}
        # the same by room, and by job (two dispatches may share a rule's)
        self._by_room: dict[RoomKey, dict[str, Called]] = {}
        self._by_job: dict[str, dict[CallKey, Called]] = {}
        # what workers have served, and when that was last written down
        self.served: dict[tuple[str, Served], Nanoseconds] = {}

    # --- calls --------------------------------------------------------------------------------

    def offered(self, event: BridgeOffered) -> None:
        """The SFU offers a job."""
        before = named = None
        if event.after_outage:
            before = self._same_before(event.call, event.dispatch_ids, self._board.now + 1)
            named = self._named_before(event.call)
        outcome = self._take(event.call, event.job, before, named)
        detail = ""
        if outcome is Outcome.REFUSED:
            detail = f"{CALLS_MAX} calls of the SFU are known, which is the limit"
        self._board.emit(Reply(event.request, outcome, detail=detail))

    def _take(
        self, call: SfuCall, job: Job, before: Called | None, named: Called | None
    ) -> Outcome:
        """See that the call has its job: that of the call which it follows, if there is one.

        `named`: who was called by name for the room before the SFU rebuilt it, and stands for it.
        """
        board = self._board
        known = self.calls.get((call.project, call.key))
        if known is not None:
            known.heard_at = board.now
            return Outcome.EXISTED
        if before is not None:
            self._forget(before)
            after = Called(call, before.job_id, board.now, before.is_of_rule, is_taken_over=True)
            self._remember(after)
            return Outcome.EXISTED
        if named is not None:  # as with a rule's job: that call is not what ends it
            self._remember(Called(call, named.job_id, board.now, is_of_rule=True))
            return Outcome.EXISTED
        if len(self.calls) >= CALLS_MAX:
            return Outcome.REFUSED
        of_rule = self._job_of_rule(call)
        if of_rule is not None:
            self._remember(Called(call, of_rule, board.now, is_of_rule=True))
            return Outcome.EXISTED
        self._offering.create(job, self._offering.draw_for_new(job))
        self._remember(Called(call, job.id, board.now))
        return Outcome.CREATED

    def _same_before(
        self, call: SfuCall, dispatch_ids: frozenset[str] | None, asked_at: Nanoseconds
    ) -> Called | None:
        """Return who was called for the same before the SFU was restarted, and is still at it.

        Its old dispatch is gone, from another session, or from this one (of a cluster's node that
        took the room over): as was seen at `asked_at`.
        """
        subject = _subject(call)
        for called in self._by_room.get(subject[0], {}).values():
            if (
                _subject(called.call) != subject
                or called.has_ended
                or called.is_gone
                or called.heard_at >= asked_at
            ):
                continue
            is_of_another = called.call.room_sid != call.room_sid
            if is_of_another or (
                dispatch_ids is not None and called.call.dispatch_id not in dispatch_ids
            ):
                return called
        return None

    def _named_before(self, call: SfuCall) -> Called | None:
        """Return who was called by name before the SFU rebuilt a room, and is still at it.

        An agent that rejoins rebuilds its room by its own token, which names nobody: then LiveKit
        calls the unnamed, though the room has whom it asked for.
        """
        if call.served.agent_name or call.served.job_type is not JobType.ROOM:
            return None
        for called in self._by_room.get((call.project, call.room), {}).values():
            is_before = called.is_taken_over or called.call.room_sid != call.room_sid
            is_at_it = not (called.has_ended or called.is_gone)
            if is_before and is_at_it and called.call.served.agent_name:
                return called
        return None

    def _job_of_rule(self, call: SfuCall) -> str | None:
        """Return the live job that a rule has made for the same."""
        room = self._rooms.rooms.get((call.project, call.room))
        if room is None or (call.room_sid and room.info.sid not in ("", call.room_sid)):
            return None
        served = call.served
        made: Mapping[str, str] = room.jobs
        if served.job_type is not JobType.ROOM:
            member = room.members.get(call.participant_sid)
            made = member.jobs if member is not None else {}
        for order, text in made.items():
            job_id = id_of(text)
            rule = self._ordering.rules.get((call.project, order.removeprefix("rule:")))
            if (
                rule is not None
                and order.startswith("rule:")
                and _serves(rule) == served
                and not text.startswith(REVOKED)
                and self._ordering.is_live(job_id)
            ):
                return job_id
        return None

    def answers(self, rule: Rule, room: RoomState, member: Member | None) -> bool:
        """Has the SFU called for the same as this rule?"""
        calls = self._by_room.get(room.key)
        if not calls:
            return False
        served = _serves(rule)
        sid = ""
        if rule.job_type is not JobType.ROOM:
            sid = member.participant.sid if member is not None else ""
        return any(
            called.call.served == served
            and called.call.participant_sid == sid
            and not called.is_gone
            and (not room.info.sid or called.call.room_sid in ("", room.info.sid))
            for called in calls.values()
        )

    # --- what the SFU has ---------------------------------------------------------------------

    def listed(self, event: BridgeDispatchesListed) -> None:
        """The SFU told its rooms and dispatches."""
        seen = set(event.silent)
        for room in event.rooms:
            seen.add(room.room)
            if self._is_outdated(event, room):
                continue
            for call, job in room.calls:
                before = named = None
                if event.after_outage:
                    before = self._same_before(call, room.dispatch_ids, event.asked_at)
                    named = self._named_before(call)
                self._take(call, job, before, named)
            self._compare(event, room)
        if event.after_outage:
            return  # what is missing may be about to come back
        for project, name in list(self._by_room):
            if project == event.project and name not in seen:
                for called in list(self._by_room[project, name].values()):
                    if called.heard_at < event.asked_at:
                        self._end(called, *ROOM_OVER)

    def _is_outdated(self, event: BridgeDispatchesListed, room: DispatchesOfRoom) -> bool:
        """Has the SFU called for a dispatch since that the list does not have?"""
        return any(
            called.heard_at >= event.asked_at and called.call.dispatch_id not in room.dispatch_ids
            for called in self.calls_of_room(event.project, room.room)
        )

    def _compare(self, event: BridgeDispatchesListed, room: DispatchesOfRoom) -> None:
        """Hold what is known of a room against its dispatches."""
        for called in list(self._by_room.get((event.project, room.room), {}).values()):
            call = called.call
            if call.dispatch_id in room.dispatch_ids or called.heard_at >= event.asked_at:
                continue
            if not call.room_sid or call.room_sid == room.room_sid:
                self._end(called, *DISPATCH_GONE)
            elif event.after_outage:
                continue  # its dispatch may be about to come back
            elif (heir := self._heir(called, room.room_sid)) is not None:
                if heir.is_of_rule != called.is_of_rule:
                    heir.is_of_rule = called.is_of_rule
                    self._write_down(heir)
                self._forget(called)
            else:
                self._end(called, *ROOM_OVER)

    def _heir(self, called: Called, room_sid: str) -> Called | None:
        """Return the call of the room's session now that is answered by the same job."""
        for other in self._by_job.get(called.job_id, {}).values():
            if other is not called and other.call.room_sid == room_sid and not other.is_gone:
                return other
        return None

    def dispatch_ended(self, event: BridgeDispatchEnded) -> None:
        """The SFU ended a dispatch, and says so when it is asked."""
        for called in list(self._by_room.get((event.project, event.room), {}).values()):
            if called.call.dispatch_id == event.dispatch_id:
                self._end(called, *(DISPATCH_GONE if event.room_is_there else ROOM_OVER))

    def room_reported(self, event: RoomEventReported) -> None:
        """Something happened in a room: its end, or that of a participant's connection, perhaps."""
        told = event.event
        calls = self._by_room.get((told.project, told.room.name))
        if not calls:
            return
        if told.kind is RoomEventKind.ROOM_FINISHED:
            for called in list(calls.values()):
                if not told.room.sid or called.call.room_sid in ("", told.room.sid):
                    self._end(called, *ROOM_OVER)
        elif told.kind is RoomEventKind.PARTICIPANT_LEFT and told.participant is not None:
            who = told.participant
            if not who.sid or told.reason is DisconnectReason.DUPLICATE_IDENTITY:
                return
            detail = f"its participant {who.identity!r} left ({told.reason.name.lower()})"
            for called in list(calls.values()):
                if called.call.participant_sid == who.sid:
                    self._end(called, JobStateReason.UNSPECIFIED, detail)

    def _end(self, called: Called, reason: JobStateReason, detail: str) -> None:
        """Nobody asks for it any longer: its job ends, and then it is forgotten."""
        if called.is_gone:
            return
        called.is_gone = True
        if called.has_ended or called.is_of_rule:
            self._forget(called)
        else:
            self._write_down(called)
            self._calling_off.call_off([called.job_id], reason, detail)

    def ended(self, job_ids: Iterable[str]) -> None:
        """Jobs have ended, those of calls among them."""
        for job_id in job_ids:
            for called in list(self._by_job.get(job_id, {}).values()):
                called.has_ended = True
                if called.is_gone:
                    self._forget(called)

    def calls_of_room(self, project: str, room: str) -> Collection[Called]:
        """Return the calls that are known for a room."""
        return self._by_room.get((project, room), {}).values()

    # --- memory -------------------------------------------------------------------------------

    def _remember(self, called: Called) -> None:
        self._index(called)
        self._write_down(called)

    def _write_down(self, called: Called) -> None:
        note = note_texts.call_note(called.call, called.job_id, called.is_of_rule, called.is_gone)
        self._board.emit(PutNote(note))

    def _index(self, called: Called) -> None:
        call = called.call
        key = call.project, call.key
        self.calls[key] = called
        self._by_room.setdefault((call.project, call.room), {})[call.key] = called
        self._by_job.setdefault(called.job_id, {})[key] = called

    def _forget(self, called: Called) -> None:
        call = called.call
        key = call.project, call.key
        del self.calls[key]
        _drop(self._by_room, (call.project, call.room), call.key)
        _drop(self._by_job, called.job_id, key)
        self._board.emit(DropNotes(NoteKind.CALL, call.project, call.room, call.key))

    def agent_served(self, event: AgentServed) -> None:
        """Workers serve this name, type and deployment."""
        board = self._board
        key = event.project, event.served
        written_at = self.served.get(key)
        if written_at is not None and board.now - written_at < SERVED_INTERVAL:
            return
        for other, at in list(self.served.items()):
            if board.now - at > SERVED_TIME and other != key:
                self._drop_served(*other)
        if written_at is None and len(self.served) >= SERVED_MAX:
            self._drop_served(*min(self.served, key=lambda each: self.served[each]))
        self.served[key] = board.now
        board.emit(PutNote(note_texts.served_note(*key, board.now)))

    def _drop_served(self, project: str, served: Served) -> None:
        del self.served[project, served]
        note = note_texts.served_note(project, served, 0)
        self._board.emit(DropNotes(note.kind, project, note.scope, note.key))

    def forget_agent(self, project: str, agent_name: str) -> bool:
        """Forget that an agent was served; False where it was not known."""
        known = [s for of, s in self.served if of == project and s.agent_name == agent_name]
        for served in known:
            self._drop_served(project, served)
        return bool(known)

    def recovered(self, event: StoreRecovered) -> None:
        """The store was opened: take up the calls that had their jobs."""
        live = {job.id for job in event.ordered}
        for note in event.notes:
            if note.kind is NoteKind.CALL:
                call, job_id, is_of_rule, is_gone = note_texts.call_of(note)
                self._index(Called(call, job_id, 0, is_of_rule, job_id not in live, is_gone))
            elif note.kind is NoteKind.SERVED:
                served, at = note_texts.served_of(note)
                self.served[note.project, served] = at

    def call_off_again(self, _event: StoreRecovered) -> None:
        """Go on with what was being called off: a job on offer may have come through that."""
        for called in [each for each in self.calls.values() if each.is_gone]:
            if called.has_ended:
                self._forget(called)
            else:
                self._calling_off.call_off(
                    [called.job_id], JobStateReason.UNSPECIFIED, "nobody asks for it any longer"
                )


def _subject(call: SfuCall) -> _Subject:
    return (call.project, call.room), call.served, call.participant_identity


def _serves(rule: Rule) -> Served | None:
    """Return whom a rule calls; None: the SFU knows no namespaces of ours."""
    if rule.namespace:
        return None
    return Served(rule.agent_name, rule.job_type, rule.deployment)


def _drop(index: dict[Where, dict[Entry, Called]], where: Where, entry: Entry) -> None:
    entries = index[where]
    del entries[entry]
    if not entries:
        del index[where]
