"""From what changed in rooms, and from rules that changed, to the jobs that follow.

A rule makes one job for each subject: a ROOM rule for a room, the others for a participant. What
was made is remembered with the subject, for as long as that is there, also after the job has ended.

Left to others: which rules match (`matching`), what rooms there are (`rooms`), who waits while a
rule is at its limit (`waiting_lists`), marks of what was made (`made_jobs`), how a late rule finds
who is there (`sweeps`), how jobs end early (`calling_off`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from dispatcher.core.board import Board, DeadlineKind
from dispatcher.core.bridged import BRIDGE_ORDER
from dispatcher.core.calling_off import CallingOff
from dispatcher.core.conditions import needs_participant
from dispatcher.core.drafting import DISPATCH_ORDER, draft_job, order_of
from dispatcher.core.effects import CreateJob, DropNotes, Outcome, PutNote, Reply
from dispatcher.core.events import OrderedJob, RuleApplyRequested, RuleDeletionRequested
from dispatcher.core.jobs import JobState, JobStateReason, JobType, Nanoseconds
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.live_jobs import LiveJobs, OrderKey
from dispatcher.core.made_jobs import (
    SHARED,
    SHARED_OFF,
    UNSERVED,
    forget_unserved,
    id_of,
    own_ids,
    remark,
)
from dispatcher.core.matching import RuleIndex, mismatch
from dispatcher.core.note_texts import rule_note
from dispatcher.core.notes import NoteKind
from dispatcher.core.offering import Offering
from dispatcher.core.recent import Recent
from dispatcher.core.revoked_jobs import RevokedJobs
from dispatcher.core.room_changes import (
    Change,
    LeftUnseen,
    MemberJoined,
    MemberLeft,
    PublishingStarted,
    RoomClosed,
    RoomOpened,
)
from dispatcher.core.room_states import Member, Place, RoomKey, RoomState
from dispatcher.core.rooms import Rooms
from dispatcher.core.rules import Rule
from dispatcher.core.sweeps import RuleKey, Sweeps
from dispatcher.core.templates import fill
from dispatcher.core.waiting_lists import WaitingLists

UNIQUE_KEY_BYTES_MAX = 1024

# LiveKit's automatic dispatch, as rules without a name.
AUTOMATIC = {job_type: Rule("", job_type, "") for job_type in JobType}


class Ordering:
    """The part of the engine that makes jobs for rooms and participants."""

    def __init__(
        self, board: Board, rooms: Rooms, offering: Offering, calling_off: CallingOff
    ) -> None:
        self._board = board
        self._rooms = rooms
        self._offering = offering
        self._calling_off = calling_off
        self.rules: dict[RuleKey, Rule] = {}
        self._index = RuleIndex()
        self._live = LiveJobs()
        # who waits for a rule that is over its limit, or shares the job of their unique key
        self._waiting = WaitingLists(lambda place: rooms.at(place) is not None)
        # jobs that were called off with their rule
        self._revoked = RevokedJobs(rooms)
        # jobs that were called off and have not ended: those who share them are called in turn
        self._off: set[str] = set()
        # job types that workers without a name have registered with, by project
        self._unnamed: dict[str, frozenset[JobType]] = {}
        # has the SFU called for the same as this rule? Set by who knows.
        self.is_called: Callable[[Rule, RoomState, Member | None], bool] = lambda *_: False
        # rooms that ended with jobs in hand, until when their agents may come late
        self._left_behind = Recent[RoomKey, Nanoseconds](rooms.limits.over_max)
        self._sweeps = Sweeps(rooms)

    # --- what changed in rooms ----------------------------------------------------------------

    def changed(self, change: Change) -> None:
        """Make and call off the jobs that follow."""
        match change:
            case RoomOpened(room):
                self._note_reopened(room)
                self._look_at_room(room)
                for member in list(room.members.values()):
                    self._look_at_member(room, member)
            case MemberJoined(room, member):
                self._look_at_member(room, member)
            case PublishingStarted(room, member):
                self._make_all(JobType.PUBLISHER, room, member)
            case MemberLeft():
                self._call_off(
                    own_ids(change.jobs),
                    JobStateReason.UNSPECIFIED,
                    f"its participant {change.participant.identity!r} left"
                    f" ({change.reason.name.lower()})",
                )
            case RoomClosed(room):
                self._note_agents(room)
                jobs = [job_id for _, made in room.subjects() for job_id in own_ids(made)]
                self._call_off(jobs, JobStateReason.ROOM_CLOSED, "its room is over")
            case LeftUnseen():
                pass  # nothing was made for it

    def _look_at_room(self, room: RoomState) -> None:
        for rule in self._index.matching(room.project, JobType.ROOM, room.info, None):
            self._make(rule, room, None)
        if JobType.ROOM in self._called_automatically(room):
            self._make(AUTOMATIC[JobType.ROOM], room, None)

    def _look_at_member(self, room: RoomState, member: Member) -> None:
        if not member.is_known:
            return
        self._make_all(JobType.ROOM, room, member)
        self._make_all(JobType.PARTICIPANT, room, member)
        if member.is_publisher:
            self._make_all(JobType.PUBLISHER, room, member)

    def _make_all(self, job_type: JobType, room: RoomState, member: Member) -> None:
        found = self._index.matching(room.project, job_type, room.info, member.participant)
        for rule in found:
            self._make(rule, room, member)
        if (
            job_type is not JobType.ROOM
            and job_type in self._called_automatically(room)
            and not member.participant.is_dependent
        ):
            self._make(AUTOMATIC[job_type], room, member)

    # --- rooms that an agent may have opened ---------------------------------------------------

    def _waits_for_people(self, rule: Rule, room: RoomState) -> bool:
        """Is nobody to be called for a room as such, because only agents are seen in it?

        An agent whose room ended while it was on its way opens it anew by joining. To call another
        for that session would leave them there, for nobody and for ever.
        """
        if rule.job_type is not JobType.ROOM or not room.is_reopened or needs_participant(rule):
            return False
        return not room.has_people

    def _note_agents(self, room: RoomState) -> None:
        """A session is over: are agents there, or on their way?"""
        jobs = self._board.jobs
        if any(job_id in jobs for _, made in room.subjects() for job_id in own_ids(made)):
            self._left_behind.note(room.key, self._board.now + self._rooms.limits.over_time)

    def _note_reopened(self, room: RoomState) -> None:
        """A session has begun, perhaps by an agent of the one before it."""
        if self._left_behind.pop(room.key, 0) > self._board.now:
            room.is_reopened = True
            self._rooms.touch(room)
            if not room.members:
                self._await_people(room)

    def _await_people(self, room: RoomState) -> None:
        until = self._board.now + self._rooms.limits.reopened_time
        self._board.schedule(DeadlineKind.REOPENED, until, *room.key)

    def reopened_due(self, project: str, name: str) -> None:
        """A room that follows another has had its time to show who opened it."""
        room = self._rooms.rooms.get((project, name))
        if room is not None and room.is_reopened and not room.members:
            room.is_reopened = False  # no agent did, so it waits for one
            self._rooms.touch(room)
            self._look_at_room(room)

    # --- unnamed workers ----------------------------------------------------------------------

    def unnamed_came(self, project: str, types: frozenset[JobType]) -> None:
        """Workers without a name take jobs of these types: they are called for everybody (A5)."""
        self._unnamed[project] = types
        for room in self._rooms.of_project(project):
            self.changed(RoomOpened(room))

    def unnamed_forgotten(self, project: str) -> None:
        """No worker without a name has been here for long: nobody is called any longer."""
        self._unnamed.pop(project, None)

    def _called_automatically(self, room: RoomState) -> frozenset[JobType]:
        if room.names_agents or not self._board.policy.automatic_dispatch:
            return frozenset()
        return self._unnamed.get(room.project, frozenset())

    # --- jobs ---------------------------------------------------------------------------------

    def _make(self, rule: Rule, room: RoomState, member: Member | None) -> None:
        """Make the job of a rule that matches, unless there is one, or may be none now."""
        board = self._board
        subject = member if member is not None and rule.job_type is not JobType.ROOM else None
        jobs = room.jobs if subject is None else subject.jobs
        order = order_of(rule)
        key = room.project, order
        place = room.key, member.subject if member is not None else None
        own_place = room.key, subject.subject if subject is not None else None
        made = jobs.get(order)
        if made is not None:
            served_by = self._live.get(id_of(made)) if made.startswith(SHARED) else None
            if served_by is not None:
                self._waiting.add(key, served_by.unique_key, place)
            return
        if self.is_called(rule, room, member) or self._waits_for_people(rule, room):
            return
        participant = member.participant if member is not None else None
        unique_key = fill(rule.uniqueness_key, room.info, participant, UNIQUE_KEY_BYTES_MAX)
        shared = self._live.holder(key, unique_key) if unique_key else None
        if shared is not None:
            jobs[order] = (SHARED_OFF if shared in self._off else SHARED) + shared
            self._rooms.touch(room, subject)
            if subject is None:
                self._waiting.add(key, unique_key, own_place)
            self._waiting.add(key, unique_key, place)
            return
        if self._is_at_limit(key, rule):
            self._waiting.add(key, "", place)
            return
        job = draft_job(
            rule,
            room.project,
            room.info,
            participant,
            unique_key,
            board.now,
            board.random,
            board.policy.queue_time,
        )
        if rule.delay:
            until: Nanoseconds = board.now + rule.delay
            state = JobState(JobPhase.DELAYED, until=until, updated_at=board.now)
            board.emit(CreateJob(job, state))
            board.note_due(until)
        else:
            self._offering.create(job, self._offering.draw_for_new(job))
        jobs[order] = job.id
        self._rooms.touch(room, subject)
        self._live.add(OrderedJob(job.id, room.project, order, unique_key), own_place)

    def live_of(self, key: OrderKey) -> Collection[str]:
        """Return the jobs of an order that have not ended."""
        return self._live.of(key)

    def holder(self, key: OrderKey, unique_key: str) -> str | None:
        """Return which live job of an order has this unique key."""
        return self._live.holder(key, unique_key)

    def unnamed_types(self, project: str) -> frozenset[JobType]:
        """Return the job types that workers without a name have registered with."""
        return self._unnamed.get(project, frozenset())

    def is_live(self, job_id: str) -> bool:
        """Is this a job of an order that has not ended?"""
        return job_id in self._live

    def ended(self, job_ids: Iterable[str]) -> None:
        """Jobs have ended, those of orders among them: others may have their turn."""
        for job_id in job_ids:
            place = self._live.place_of(job_id)
            job = self._live.remove(job_id)
            is_unserved = job_id in self._board.unserved
            self._board.unserved.discard(job_id)
            if job is None:
                continue
            key = job.project, job.order
            if is_unserved and place is not None:
                remark(self._rooms, place, job.order, job_id, UNSERVED + job_id)
            self._make_anew(key, self._revoked.ended(job))
            if job.unique_key:
                self._part_sharers(key, job, is_unserved)
            self._off.discard(job_id)
            self._serve(key)

    def _part_sharers(self, key: OrderKey, job: OrderedJob, is_unserved: bool) -> None:
        """A job has ended that served others as well: if it was called off, they are called."""
        rule = self._rule_of(key)
        is_off = job.id in self._off
        for place in self._waiting.take_all(key, job.unique_key):
            if is_off:
                remark(self._rooms, place, job.order, SHARED_OFF + job.id, "")
                if rule is not None:
                    self._try(rule, place)
            elif is_unserved:
                remark(self._rooms, place, job.order, SHARED + job.id, UNSERVED + job.id)

    def _serve(self, key: OrderKey) -> None:
        """Let those who wait have their turn, while the rule is not at its limit."""
        rule = self._rule_of(key)
        while rule is not None and not self._is_at_limit(key, rule):
            place = self._waiting.take_first(key, "")
            if place is None:
                return
            self._try(rule, place)

    def _call_off(self, job_ids: Iterable[str], reason: JobStateReason, detail: str) -> None:
        job_ids = list(job_ids)
        for job_id in job_ids:
            job = self._live.get(job_id)
            if job is not None:
                self._off.add(job_id)
                self._promise_sharers(job)
        self._calling_off.call_off(job_ids, reason, detail)

    def _promise_sharers(self, job: OrderedJob) -> None:
        """Write down that who shares a job is called once it has ended, also after a restart."""
        if job.unique_key:
            for place in self._waiting.of((job.project, job.order), job.unique_key):
                remark(self._rooms, place, job.order, SHARED + job.id, SHARED_OFF + job.id)

    def _is_at_limit(self, key: OrderKey, rule: Rule) -> bool:
        limit = rule.concurrency_limit
        return bool(limit) and len(self._live.of(key)) >= limit

    # --- rules --------------------------------------------------------------------------------

    def apply_requested(self, event: RuleApplyRequested) -> None:
        """A caller creates or changes a rule."""
        board, rule = self._board, event.rule
        key = event.project, rule.name
        before = self.rules.get(key)
        version = before.version if before is not None else 0
        # First of all: a caller whose answer was lost asks again, with the version of before.
        if before is not None and rule.says_the_same(before):
            board.emit(Reply(event.request, Outcome.EXISTED))
            return
        if rule.version and rule.version != version:
            board.emit(self._stale(event.request, rule.version, version))
            return
        made = replace(
            rule,
            version=version + 1,
            created_at=before.created_at if before is not None else board.now,
            updated_at=board.now,
        )
        if before is not None:
            self._index.remove(*key)
        self._set(event.project, made)
        board.emit(PutNote(rule_note(event.project, made)))
        if before is not None and before.enabled:
            what = "was changed" if made.enabled else "was disabled"
            self._call_off_waiting(event.project, made, what)
        if made.enabled:
            forget_unserved(self._rooms, (event.project, order_of(made)))
            self._sweep(key)
        board.emit(Reply(event.request, Outcome.CREATED if before is None else Outcome.CHANGED))

    def deletion_requested(self, event: RuleDeletionRequested) -> None:
        """A caller deletes a rule: what waits for it is cancelled, what runs goes on."""
        board = self._board
        key = event.project, event.name
        rule = self.rules.get(key)
        if rule is None:
            board.emit(Reply(event.request, Outcome.NOT_FOUND))
            return
        if event.version and event.version != rule.version:
            board.emit(self._stale(event.request, event.version, rule.version))
            return
        del self.rules[key]
        self._index.remove(*key)
        board.emit(DropNotes(NoteKind.RULE, event.project, "", event.name))
        self._call_off_waiting(event.project, rule, "was deleted")
        board.emit(Reply(event.request, Outcome.DELETED))

    def _stale(self, request: int, wanted: int, found: int) -> Reply:
        told = f"the rule is at version {found}, not at {wanted}"
        if not found:
            told = (
                f"there is no such rule, so none at version {wanted}; without a version it is made"
            )
        return Reply(request, Outcome.STALE, detail=told)

    def _set(self, project: str, rule: Rule) -> None:
        self.rules[project, rule.name] = rule
        self._index.add(project, rule)

    def _call_off_waiting(self, project: str, rule: Rule, what: str) -> None:
        key = project, order_of(rule)
        self._waiting.take_all(key, "")
        jobs = self._board.jobs
        off = {
            job_id
            for job_id in self._live.of(key)
            if job_id not in jobs or not jobs[job_id].phase.is_held
        }
        self._call_off(sorted(off), JobStateReason.UNSPECIFIED, f"its rule {rule.name!r} {what}")
        # The rule as it is now, or one of its name that comes later, makes them anew once they ended.
        self._revoked.add(key, off)

    def _make_anew(self, key: OrderKey, place: Place | None) -> None:
        """A job that was called off with its rule has ended: there may be another."""
        rule = self._rule_of(key)
        if place is None or rule is None or not rule.enabled:
            return
        self._try(rule, place)
        room = self._rooms.rooms.get(place[0])
        if room is not None and place[1] is None:  # any of its members may be what matches
            for member_key in list(room.members):
                self._try(rule, (room.key, member_key))

    def _rule_of(self, key: OrderKey) -> Rule | None:
        return self.rules.get((key[0], key[1].removeprefix("rule:")))

    # --- sweeps -------------------------------------------------------------------------------

    def _sweep(self, key: RuleKey) -> None:
        """Hold a rule against everything that is there, from the next turn on."""
        self._sweeps.begin(key)
        self._board.schedule(DeadlineKind.SWEEP, self._board.now, "")

    def sweep_due(self) -> None:
        """Go on with what is being held against all rooms."""
        for rule, place in self._sweeps.next_slice(self.rules):
            self._try(rule, place)
        if self._sweeps:
            # Not now: all that is due now is one turn, and others shall have theirs between.
            self._board.schedule(DeadlineKind.SWEEP, self._board.now + 1, "")

    def _try(self, rule: Rule, place: Place) -> None:
        """Make the rule's job for this room or member, if it is there and matches."""
        found = self._rooms.at(place)
        if found is None:
            return
        room, member = found
        if member is not None and not member.is_known:
            return
        if rule.job_type is JobType.PUBLISHER and (member is None or not member.is_publisher):
            return
        participant = member.participant if member is not None else None
        if mismatch(rule, room.info, participant) is None:
            self._make(rule, room, member)

    # --- a server that starts -----------------------------------------------------------------

    def recovered(self, rules: Iterable[tuple[str, Rule]], jobs: Iterable[OrderedJob]) -> None:
        """Take up the rules and the jobs that were there; look again at all that is there."""
        there = tuple(jobs)
        for job in there:
            # Those of a dispatch end with it, unheard here.
            if not job.order.startswith(DISPATCH_ORDER):
                self._live.add(job)
        self._recover_places()
        off = self._revoked.recover(self._live)
        self._call_off(off, JobStateReason.UNSPECIFIED, "its rule was changed")
        self._recover_called_off(there)
        for room in self._rooms.rooms.values():
            if room.is_reopened and not room.members:
                self._await_people(room)
        for project, rule in rules:
            self._set(project, rule)
            if rule.enabled:
                self._sweep((project, rule.name))

    def _recover_called_off(self, jobs: Iterable[OrderedJob]) -> None:
        """Call off again what was on offer when its room or its participant went.

        That is not written down of the job, but its subject is not there any more.
        """
        wanted: set[str] = set()
        for room in self._rooms.rooms.values():
            for _, made in room.subjects():
                wanted.update(own_ids(made))
        off = [
            job.id
            for job in jobs
            if job.id not in wanted and not job.order.startswith(BRIDGE_ORDER)
        ]
        self._call_off(off, JobStateReason.UNSPECIFIED, "its room is over, or its participant left")

    def _recover_places(self) -> None:
        """Learn again for whom each job was made, and who shares it."""
        sharers: list[tuple[Nanoseconds, OrderKey, str, Place]] = []
        for room in self._rooms.rooms.values():
            for member, made in room.subjects():
                place = room.key, member.subject if member is not None else None
                for order, text in list(made.items()):
                    if not text.startswith(SHARED):
                        self._live.made_for(id_of(text), place)
                    elif (job := self._live.get(id_of(text))) is not None:
                        seen_at = room.seen_at if member is None else member.seen_at
                        sharers.append((seen_at, (room.project, order), job.unique_key, place))
                    elif text.startswith(SHARED_OFF):  # it ended, and nobody was called before
                        del made[order]
                        self._rooms.touch(room, member)
        for _, key, unique_key, place in sorted(sharers, key=lambda each: each[0]):
            self._waiting.add(key, unique_key, place)
