"""Why rules match, or do not: an event, or a live room, held against rules one by one (explain).

An event is taken as what is so after it: who joins is there, who publishes a track is a publisher.
What an event does not say (a track event has no attributes) is taken from the live room, if it is
there; who is known by a track alone is called for once the join is told. For each rule and each one
whom it could be about there is one verdict: a condition of the rule that fails, or what holds its job
back (the limit, the uniqueness key). Automatic dispatch to unnamed workers has lines of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from dispatcher.core.bridged import Served
from dispatcher.core.bridging import Called
from dispatcher.core.conditions import Mismatch, mismatch, needs_participant
from dispatcher.core.drafting import order_of
from dispatcher.core.jobs import JobType
from dispatcher.core.made_jobs import REVOKED, SHARED, id_of
from dispatcher.core.ordering import AUTOMATIC, UNIQUE_KEY_BYTES_MAX
from dispatcher.core.room_events import Participant, RoomEvent, RoomEventKind, RoomInfo
from dispatcher.core.room_states import Member, RoomState
from dispatcher.core.rules import Rule
from dispatcher.core.templates import fill

_CALLING = (
    RoomEventKind.ROOM_STARTED,
    RoomEventKind.PARTICIPANT_JOINED,
    RoomEventKind.TRACK_PUBLISHED,
)
# Conditions on what only a join tells.
_TOLD_BY_JOIN = ("match.kind", "match.attributes", "match.metadata")


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom rules are held against: a room (`participant` None), or somebody in it.

    `told` is what is known of it where that is not enough for a rule. `jobs` are what orders made.
    `is_known` False: of the participant there is but a track, its join has not been told.
    """

    room: RoomInfo
    participant: Participant | None = None
    is_publisher: bool = False
    told: str = ""
    jobs: Mapping[str, str] = field(default_factory=dict)
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """What is so of the jobs that have not ended: all of an order, and who has a unique key of it.

    `automatic`: the job types that unnamed workers take; None: automatic dispatch is switched off.
    """

    live_of: Callable[[str], Collection[str]] = lambda _: ()
    holder_of: Callable[[str, str], str | None] = lambda *_: None
    automatic: frozenset[JobType] | None = frozenset()
    # the SFU's calls for the room, through the bridge
    calls: Collection[Called] = ()


NOTHING_STANDS = Standing()
# What the lines of the built-in rule are called; no rule has such a name.
AUTOMATIC_NAME = "(automatic)"
_JOBS_SHOWN_MAX = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule says of one subject. `job_id` is the job that it made of it, if it did."""

    rule: Rule
    mismatch: Mismatch | None
    participant: str = ""
    job_id: str = ""

    @property
    def matches(self) -> bool:
        """Does the rule match?"""
        return self.mismatch is None


@dataclass(frozen=True, slots=True)
class Scene:
    """A room and some of those who are in it. `called` False: what happened calls nobody."""

    room: Subject
    people: tuple[Subject, ...] = ()
    called: bool = True
    # who created the room named its agents
    names_agents: bool = False

    def subjects(self, rule: Rule) -> tuple[Subject, ...]:
        """Return whom the rule could be about; the room alone where nobody is there."""
        if needs_participant(rule) and self.people:
            return self.people
        return (self.room,)


def scene_of_room(state: RoomState) -> Scene:
    """Return a live room with everybody in it."""
    people = sorted(state.members.values(), key=lambda member: member.participant.identity)
    return Scene(
        Subject(state.info, jobs=state.jobs),
        tuple(_subject(state.info, member, "publishes nothing") for member in people),
        names_agents=state.names_agents,
    )


def scene_of_event(event: RoomEvent, live: RoomState | None) -> Scene:
    """Return what is so after an event; `live` is the room as it is, if it is there."""
    if live is not None and event.room.sid and live.info.sid not in ("", event.room.sid):
        live = None  # another session of the room
    info = event.room
    if live is not None:
        info = replace(
            info,
            sid=info.sid or live.info.sid,
            metadata=info.metadata or live.info.metadata,
        )
    room = Subject(info, told=event.kind.value, jobs=live.jobs if live is not None else {})
    called = event.kind in _CALLING
    named = live is not None and live.names_agents
    if event.participant is None:
        return Scene(room, called=called, names_agents=named)
    publishes = event.kind is RoomEventKind.TRACK_PUBLISHED
    member = _member(event.participant, live)
    if member is None:
        person = Subject(
            info, event.participant, publishes, event.kind.value, is_known=not publishes
        )
    else:
        person = _subject(info, member, event.kind.value)
        if event.kind is RoomEventKind.PARTICIPANT_JOINED:
            person = replace(person, participant=event.participant, is_known=True)
        elif publishes:
            person = replace(person, is_publisher=True)
    return Scene(room, (person,), called, named)


def tests_of(scene: Scene, rules: Iterable[Rule]) -> int:
    """Count the verdicts that there would be."""
    return sum(len(scene.subjects(rule)) for rule in rules)


def verdicts(
    scene: Scene, rules: Iterable[Rule], standing: Standing = NOTHING_STANDS
) -> Iterator[Verdict]:
    """Yield a verdict for each rule and each one whom it could be about."""
    for rule in rules:
        for subject in scene.subjects(rule):
            failed = _mismatch(rule, subject, scene)
            identity = subject.participant.identity if subject.participant is not None else ""
            # A room's job stands with the room, whoever it was that matched.
            holder = scene.room if rule.job_type is JobType.ROOM else subject
            if failed is None:
                failed = _held_back(rule, subject, holder.jobs, standing)
            yield Verdict(rule, failed, identity, _job_id(holder.jobs, rule))


def automatic_verdicts(scene: Scene, standing: Standing = NOTHING_STANDS) -> Iterator[Verdict]:
    """Yield the verdicts of automatic dispatch, for each job type that unnamed workers take."""
    failed = None
    if standing.automatic is None:
        failed = Mismatch("policy.automatic_dispatch", "true", "false")
    elif not standing.automatic:
        failed = Mismatch("unnamed workers", "one, now or before", "none")
    elif scene.names_agents:
        failed = Mismatch(
            "unnamed workers", "a room without agents", "its creator named its agents"
        )
    if failed is not None:
        yield Verdict(AUTOMATIC[JobType.ROOM], failed)
        return
    types = sorted(standing.automatic or ())
    yield from verdicts(scene, [AUTOMATIC[job_type] for job_type in types], standing)


def _held_back(
    rule: Rule, subject: Subject, jobs: Mapping[str, str], standing: Standing
) -> Mismatch | None:
    """Return what keeps a rule that matches from making its job."""
    order = order_of(rule)
    made = jobs.get(order, "")
    if made and not made.startswith((SHARED, REVOKED)):
        return None  # it has made it
    if (called := _called_for(rule, subject, standing.calls)) is not None:
        return Mismatch("bridge", "no call of the SFU for the same", called.job_id)
    key = fill(rule.uniqueness_key, subject.room, subject.participant, UNIQUE_KEY_BYTES_MAX)
    holder = standing.holder_of(order, key) if key else None
    if holder is None and made.startswith(SHARED):
        holder = id_of(made)
    if holder is not None:
        return Mismatch("uniqueness_key", f"no other job with the key {key!r}", holder)
    live, limit = standing.live_of(order), rule.concurrency_limit
    if limit and len(live) >= limit:
        shown = ", ".join(list(live)[:_JOBS_SHOWN_MAX])
        more = ", ..." if len(live) > _JOBS_SHOWN_MAX else ""
        return Mismatch("concurrency_limit", f"fewer than {limit}", f"{len(live)} ({shown}{more})")
    return None


def _called_for(rule: Rule, subject: Subject, calls: Collection[Called]) -> Called | None:
    """Return the SFU's call for the same, which is left to have its own job."""
    sid = ""
    if rule.job_type is not JobType.ROOM and subject.participant is not None:
        sid = subject.participant.sid
    for called in calls:
        call = called.call
        if (
            not rule.namespace  # the SFU knows none of ours
            and call.served == Served(rule.agent_name, rule.job_type, rule.deployment)
            and call.participant_sid == sid
            and not called.is_gone
            and (not subject.room.sid or call.room_sid in ("", subject.room.sid))
        ):
            return called
    return None


def _mismatch(rule: Rule, subject: Subject, scene: Scene) -> Mismatch | None:
    failed = mismatch(rule, subject.room, subject.participant)
    if (
        not subject.is_known
        and needs_participant(rule)
        and (failed is None or failed.condition.startswith(_TOLD_BY_JOIN))
    ):
        return Mismatch("participant", "joined", "its join has not been told yet")
    if failed is not None:
        return failed
    if not scene.called:
        return Mismatch(
            "type", rule.job_type.name.lower(), f"{scene.room.told}, which calls nobody"
        )
    if rule.job_type is JobType.PUBLISHER and not subject.is_publisher:
        return Mismatch("type", "publisher", subject.told)
    return None


def _subject(info: RoomInfo, member: Member, told: str) -> Subject:
    return Subject(
        info, member.participant, member.is_publisher, told, member.jobs, member.is_known
    )


def _member(participant: Participant, live: RoomState | None) -> Member | None:
    """Return who is in the live room under this sid, or without one under this identity."""
    if live is None:
        return None
    for member in live.members.values():
        known = member.participant
        if participant.sid and known.sid:
            if participant.sid == known.sid:
                return member
        elif participant.identity == known.identity:
            return member
    return None


def _job_id(jobs: Mapping[str, str], rule: Rule) -> str:
    """Return the job that the rule made, empty where it made none, or none that stands."""
    text = jobs.get(order_of(rule), "")
    return "" if text.startswith(REVOKED) else id_of(text)
