"""From what changed in rooms, and from rules that changed, to the jobs that follow.

A rule makes one job for each subject: a ROOM rule for a room, the others for a participant. What
was made is remembered with the subject, for as long as that is there, also after the job has ended.
A rule over its concurrency limit remembers whose turn it is, and goes on when one of its jobs ends.
A rule that is new or changed is held against all rooms that are there, a slice at a time.

Left to others: which rules match (`matching`), what rooms there are (`rooms`), how jobs end early
(`calling_off`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from dispatcher.core.board import Board, DeadlineKind
from dispatcher.core.bridged import BRIDGE_ORDER
from dispatcher.core.calling_off import CallingOff
from dispatcher.core.drafting import DISPATCH_ORDER, draft_job, order_of
from dispatcher.core.effects import CreateJob, DropNotes, Outcome, PutNote, Reply
from dispatcher.core.events import OrderedJob, RuleApplyRequested, RuleDeletionRequested
from dispatcher.core.jobs import JobState, JobStateReason, JobType, Nanoseconds
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.matching import RuleIndex, mismatch
from dispatcher.core.note_texts import rule_note
from dispatcher.core.notes import NoteKind
from dispatcher.core.offering import Offering
from dispatcher.core.room_changes import (
    Change,
    MemberJoined,
    MemberLeft,
    PublishingStarted,
    RoomClosed,
    RoomOpened,
)
from dispatcher.core.room_states import Member, RoomKey, RoomState
from dispatcher.core.rooms import Rooms
from dispatcher.core.rules import Rule
from dispatcher.core.templates import fill

UNIQUE_KEY_BYTES_MAX = 1024
# Before the id of a job that was called off with its rule, in what is remembered of its subject.
REVOKED = "-"
# Rooms and members that one turn of a sweep looks at.
SWEEP_MAX = 256
# Of those who wait for a rule, who has left is looked for when there are more, or twice as many.
TIDIED_BEYOND = 256

# LiveKit's automatic dispatch, as rules without a name.
AUTOMATIC = {job_type: Rule("", job_type, "") for job_type in JobType}

RuleKey = tuple[str, str]  # project, name
OrderKey = tuple[str, str]  # project, order
# whose turn it is: a room, and the member of it by key
_Turn = tuple[RoomKey, str | None]
# of a list of those who wait
_Name = TypeVar("_Name")


@dataclass(slots=True)
class _Waiting:
    """Who waits for a rule that is over its limit, in order; some of them may have left."""

    turns: dict[_Turn, None] = field(default_factory=dict)
    # When they are more than this, those who have left are forgotten.
    tidied_beyond: int = TIDIED_BEYOND


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
        # jobs of each order that have not ended, with their unique keys; and the order of each
        self._live: dict[OrderKey, dict[str, str]] = {}
        self._orders: dict[str, OrderKey] = {}
        # unique keys that a job has now
        self._unique: set[tuple[str, str, str]] = set()
        # who waits for a rule that is over its limit, in order
        self._waiting: dict[OrderKey, _Waiting] = {}
        # who waits for a unique key of a rule, by that key
        self._sharing: dict[OrderKey, dict[str, _Waiting]] = {}
        # jobs that were called off with their rule and have not ended, with whose they are
        self._revoked: dict[str, _Turn] = {}
        # job types that workers without a name have registered with, by project
        self._unnamed: dict[str, frozenset[JobType]] = {}
        # has the SFU called for the same as this rule? Set by who knows.
        self.is_called: Callable[[Rule, RoomState, Member | None], bool] = lambda *_: False
        # rules that are held against what is there
        self._sweeps: deque[tuple[RuleKey, Iterator[_Turn]]] = deque()

    # --- what changed in rooms ----------------------------------------------------------------

    def changed(self, change: Change) -> None:
        """Make and call off the jobs that follow."""
        match change:
            case RoomOpened(room):
                self._look_at_room(room)
                for member in list(room.members.values()):
                    self._look_at_member(room, member)
            case MemberJoined(room, member):
                self._look_at_member(room, member)
            case PublishingStarted(room, member):
                self._make_all(JobType.PUBLISHER, room, member)
            case MemberLeft():
                self._calling_off.call_off(
                    job_ids(change.jobs),
                    JobStateReason.UNSPECIFIED,
                    f"its participant {change.participant.identity!r} left"
                    f" ({change.reason.name.lower()})",
                )
            case RoomClosed(room):
                jobs = job_ids(room.jobs)
                for member in room.members.values():
                    jobs += job_ids(member.jobs)
                self._calling_off.call_off(jobs, JobStateReason.ROOM_CLOSED, "its room is over")

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

    # --- unnamed workers ----------------------------------------------------------------------

    def unnamed_came(self, project: str, types: frozenset[JobType]) -> None:
        """Workers without a name take jobs of these types: they are called for everybody (A5)."""
        self._unnamed[project] = types
        for room in list(self._rooms.rooms.values()):
            if room.project == project:
                self.changed(RoomOpened(room))

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
        if order in jobs or self.is_called(rule, room, member):
            return
        key = room.project, order
        turn = room.key, member.key if member is not None else None
        if self._is_at_limit(key, rule):
            self._wait(self._waiting.setdefault(key, _Waiting()), turn)
            return
        participant = member.participant if member is not None else None
        unique_key = fill(rule.uniqueness_key, room.info, participant, UNIQUE_KEY_BYTES_MAX)
        if unique_key and (*key, unique_key) in self._unique:
            sharing = self._sharing.setdefault(key, {}).setdefault(unique_key, _Waiting())
            self._wait(sharing, turn)
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
        self._remember(OrderedJob(job.id, room.project, order, unique_key))

    def _remember(self, job: OrderedJob) -> None:
        self._live.setdefault((job.project, job.order), {})[job.id] = job.unique_key
        self._orders[job.id] = job.project, job.order
        if job.unique_key:
            self._unique.add((job.project, job.order, job.unique_key))

    def is_live(self, job_id: str) -> bool:
        """Is this a job of an order that has not ended?"""
        return job_id in self._orders

    def ended(self, job_ids: Iterable[str]) -> None:
        """Jobs have ended, those of orders among them: others may have their turn."""
        for job_id in job_ids:
            key = self._orders.pop(job_id, None)
            if key is None:
                continue
            live = self._live[key]
            unique_key = live.pop(job_id)
            self._unique.discard((*key, unique_key))
            if not live:
                del self._live[key]
            self._forget_revoked(key, job_id)
            if unique_key:
                self._next_sharer(key, unique_key)
            self._next_turn(key)

    def _wait(self, waiting: _Waiting, turn: _Turn) -> None:
        waiting.turns[turn] = None
        if len(waiting.turns) > waiting.tidied_beyond:
            waiting.turns = {turn: None for turn in waiting.turns if self._is_there(turn)}
            waiting.tidied_beyond = max(TIDIED_BEYOND, 2 * len(waiting.turns))

    def _is_there(self, turn: _Turn) -> bool:
        room = self._rooms.rooms.get(turn[0])
        return room is not None and (turn[1] is None or turn[1] in room.members)

    def _next_sharer(self, key: OrderKey, unique_key: str) -> None:
        """A unique key is free: whoever was passed over for it has its turn."""
        sharing = self._sharing.get(key)
        if sharing is None:
            return
        self._serve(key, sharing, unique_key, lambda _: (*key, unique_key) in self._unique)
        if not sharing:
            self._sharing.pop(key, None)

    def _next_turn(self, key: OrderKey) -> None:
        """There may be one more job of the rule: whoever was over its limit has its turn."""
        self._serve(key, self._waiting, key, lambda rule: self._is_at_limit(key, rule))

    def _is_at_limit(self, key: OrderKey, rule: Rule) -> bool:
        limit = rule.concurrency_limit
        return bool(limit) and len(self._live.get(key, {})) >= limit

    def _serve(
        self,
        key: OrderKey,
        lists: dict[_Name, _Waiting],
        name: _Name,
        is_full: Callable[[Rule], bool],
    ) -> None:
        """Let those of one list have their turn while there is room; drop it when it is empty."""
        waiting = lists.get(name)
        rule = self._rule_of(key)
        while waiting is not None and waiting.turns and rule is not None:
            if is_full(rule):
                return
            turn = next(iter(waiting.turns))
            del waiting.turns[turn]
            self._try(rule, turn)
        lists.pop(name, None)

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
        if made.enabled:
            self._sweep(key)
        else:
            self._call_off_waiting(event.project, made, "was disabled")
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
        return Reply(
            request, Outcome.STALE, detail=f"the rule is at version {found}, not at {wanted}"
        )

    def _set(self, project: str, rule: Rule) -> None:
        self.rules[project, rule.name] = rule
        self._index.add(project, rule)

    def _call_off_waiting(self, project: str, rule: Rule, what: str) -> None:
        order = order_of(rule)
        key = project, order
        self._waiting.pop(key, None)
        self._sharing.pop(key, None)
        jobs = self._board.jobs
        off = {
            job_id
            for job_id in self._live.get(key, {})
            if job_id not in jobs or not jobs[job_id].phase.is_held
        }
        self._calling_off.call_off(
            sorted(off), JobStateReason.UNSPECIFIED, f"its rule {rule.name!r} {what}"
        )
        # A rule of this name that comes later makes them anew, once they have ended.
        for room in self._rooms.rooms.values():
            if room.project != project:
                continue
            for member in (None, *room.members.values()):
                made = room.jobs if member is None else member.jobs
                if made.get(order) in off:
                    self._revoked[made[order]] = room.key, member.key if member else None
                    made[order] = REVOKED + made[order]
                    self._rooms.touch(room, member)

    def _forget_revoked(self, key: OrderKey, job_id: str) -> None:
        """A job that was called off with its rule has ended: there may be another."""
        turn = self._revoked.pop(job_id, None)
        room = self._rooms.rooms.get(turn[0]) if turn is not None else None
        if turn is None or room is None:
            return
        member = room.members.get(turn[1]) if turn[1] is not None else None
        made = room.jobs if turn[1] is None else member.jobs if member is not None else {}
        if made.get(key[1]) == REVOKED + job_id:
            del made[key[1]]
            self._rooms.touch(room, member)
            rule = self._rule_of(key)
            if rule is not None and rule.enabled:
                self._try(rule, turn)
                if turn[1] is None:  # any of its members may be what matches
                    for member_key in list(room.members):
                        self._try(rule, (turn[0], member_key))

    def _rule_of(self, key: OrderKey) -> Rule | None:
        return self.rules.get((key[0], key[1].removeprefix("rule:")))

    # --- sweeps -------------------------------------------------------------------------------

    def _sweep(self, key: RuleKey) -> None:
        """Hold a rule against everything that is there, from the next turn on."""
        self._sweeps.append((key, self._turns(key[0])))
        self._board.schedule(DeadlineKind.SWEEP, self._board.now, "")

    def _turns(self, project: str) -> Iterator[_Turn]:
        for room in list(self._rooms.rooms.values()):
            if room.project == project:
                yield room.key, None
                for key in list(room.members):
                    yield room.key, key

    def sweep_due(self) -> None:
        """Go on with what is being held against all rooms."""
        left = SWEEP_MAX
        while self._sweeps and left:
            key, turns = self._sweeps[0]
            rule = self.rules.get(key)
            turn = next(turns, None) if rule is not None and rule.enabled else None
            if rule is None or turn is None:
                self._sweeps.popleft()
                continue
            left -= 1
            self._try(rule, turn)
        if self._sweeps:
            # Not now: all that is due now is one turn, and others shall have theirs between.
            self._board.schedule(DeadlineKind.SWEEP, self._board.now + 1, "")

    def _try(self, rule: Rule, turn: _Turn) -> None:
        """Make the rule's job for this room or member, if it is there and matches."""
        room_key, member_key = turn
        room = self._rooms.rooms.get(room_key)
        if room is None:
            return
        member = room.members.get(member_key) if member_key is not None else None
        if member_key is not None and (member is None or not member.is_known):
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
            if not job.order.startswith(
                DISPATCH_ORDER
            ):  # those end with their dispatch, unheard here
                self._remember(job)
        self._recover_revoked()
        self._recover_called_off(there)
        for project, rule in rules:
            self._set(project, rule)
            if rule.enabled:
                self._sweep((project, rule.name))

    def _recover_revoked(self) -> None:
        """Call off again what was being called off with its rule when the server ended."""
        off: list[str] = []
        for room in self._rooms.rooms.values():
            for member in (None, *room.members.values()):
                made = room.jobs if member is None else member.jobs
                for order, text in list(made.items()):
                    job_id = text.removeprefix(REVOKED)
                    if job_id == text:
                        continue
                    if job_id in self._orders:
                        self._revoked[job_id] = room.key, member.key if member else None
                        off.append(job_id)
                    else:
                        del made[order]
                        self._rooms.touch(room, member)
        self._calling_off.call_off(off, JobStateReason.UNSPECIFIED, "its rule was changed")

    def _recover_called_off(self, jobs: Iterable[OrderedJob]) -> None:
        """Call off again what was on offer when its room or its participant went.

        That is not written down of the job, but its subject is not there any more.
        """
        wanted: set[str] = set()
        for room in self._rooms.rooms.values():
            wanted.update(job_ids(room.jobs))
            for member in room.members.values():
                wanted.update(job_ids(member.jobs))
        off = [
            job.id
            for job in jobs
            if job.id not in wanted and not job.order.startswith(BRIDGE_ORDER)
        ]
        self._calling_off.call_off(
            off, JobStateReason.UNSPECIFIED, "its room is over, or its participant left"
        )


def job_ids(made: Mapping[str, str]) -> list[str]:
    """Return the jobs of what is remembered of a subject."""
    return [text.removeprefix(REVOKED) for text in made.values()]
