"""Replay what happened in rooms in disorder, doubled and with losses; hold the jobs against an oracle.

python -m tests.simulation.room_replay --seed 17 [--disorder sliding] [--restarts 3] [--lists]

A model of rooms (`room_life`) tells what happened. It reaches an engine late and out of order, 5 %
of it twice and 5 % of it never; a worker takes every job that it is offered and runs it. At each
moment no rule may have two live jobs for one subject. Then the SFU's list is told once, and the
jobs that live must be exactly those that follow from who is there: counted by `expected_jobs`,
which knows the rules as predicates of its own and nothing of the engine.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from random import Random

from dispatcher.core.events import RoomEventReported, RoomsListed, RuleApplyRequested
from dispatcher.core.jobs import SECOND, JobType, Nanoseconds
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.core.room_events import ParticipantKind, RoomEvent, RoomInfo, RoomSeen
from dispatcher.core.rules import Match, Rule
from dispatcher.store.contract import EventRow
from protocol import wire_pb2
from tests.simulation.room_life import PROJECT, Guest, Happened, RoomLife
from tests.support.engine_bench import AGENT, START, EngineBench

EVENTS = 50_000
DROPPED = DOUBLED = 0.05
ALL_TYPES = (JobType.ROOM, JobType.PUBLISHER, JobType.PARTICIPANT)

# project, rule, sid of the room's session, participant's identity (empty: the room's own)
Subject = tuple[str, str, str, str]


class Disorder(StrEnum):
    """In what order news arrive."""

    # each is late by a second or two, some by up to a minute
    SLIDING = "sliding"
    # the news of one session in any order, each session in its own time
    SESSION = "session"
    # all of it in any order, within five minutes
    ALL = "all"


class Broken(AssertionError):
    """Something that may never be."""


# --- rules, and the oracle ------------------------------------------------------------------------

RULES = [
    Rule("calls", JobType.ROOM, AGENT, Match(room="call-*")),
    Rule("gold-rooms", JobType.ROOM, AGENT, Match(room_metadata={"tier": "gold"})),
    Rule("everybody", JobType.PARTICIPANT, AGENT),
    Rule("phones", JobType.PARTICIPANT, AGENT, Match(kinds=frozenset({ParticipantKind.SIP}))),
    Rule("agents", JobType.PARTICIPANT, AGENT, Match(kinds=frozenset({ParticipantKind.AGENT}))),
    Rule("gold", JobType.PARTICIPANT, AGENT, Match(room="call-1*", attributes={"tier": "gold"})),
    Rule("publishers", JobType.PUBLISHER, AGENT),
    Rule(
        "guests", JobType.PUBLISHER, AGENT, Match(room="meet-*", identities=("guest-*", "h?st-1"))
    ),
    Rule("off", JobType.PARTICIPANT, AGENT, enabled=False),
    Rule("nowhere", JobType.ROOM, AGENT, Match(room="nowhere-*")),
]

_DEPENDENTS = {"agent-a", "agent-b", "egress", "recorder"}


def _of_room(info: RoomInfo) -> list[str]:
    found = ["calls"] if info.name.startswith("call-") else []
    return [*found, "gold-rooms"] if '"gold"' in info.metadata else found


def _of_guest(info: RoomInfo, guest: Guest) -> list[str]:
    who = guest.participant
    found: list[str] = []
    if who.identity.startswith("agent-"):
        found.append("agents")
    if who.identity in _DEPENDENTS:
        return found
    found.append("everybody")
    if who.identity.startswith("sip-"):
        found.append("phones")
    if info.name.startswith("call-1") and who.attributes:
        found.append("gold")
    if guest.tracks:
        found.append("publishers")
        is_wanted = who.identity.startswith("guest-") or who.identity == "host-1"
        if info.name.startswith("meet-") and is_wanted:
            found.append("guests")
    return found


def expected_jobs(life: RoomLife) -> Counter[Subject]:
    """Return the jobs that have to live in the end."""
    expected: Counter[Subject] = Counter()
    for session in life.sessions.values():
        for rule in _of_room(session.info):
            expected[PROJECT, rule, session.info.sid, ""] += 1
    for session, guest in life.present():
        for rule in _of_guest(session.info, guest):
            expected[PROJECT, rule, session.info.sid, guest.participant.identity] += 1
    return expected


def agents_alone(life: RoomLife) -> Iterator[Subject]:
    """Yield the rooms' own jobs where only agents are, who may have opened the room: it waits then."""
    for session in life.sessions.values():
        if all(guest.participant.identity in _DEPENDENTS for guest in session.guests.values()):
            for rule in _of_room(session.info):
                yield PROJECT, rule, session.info.sid, ""


# --- how news arrive --------------------------------------------------------------------------------


def arrivals(
    random: Random, told: list[Happened], start: Nanoseconds, disorder: Disorder
) -> list[tuple[Nanoseconds, RoomEvent]]:
    """Return what arrives, and when: with losses, doubles, and in disorder."""
    at = _times(random, told, start, disorder)
    arriving: list[tuple[Nanoseconds, int, RoomEvent]] = []
    for number, (happened, when) in enumerate(zip(told, at, strict=True)):
        if random.random() < DROPPED:
            continue
        arriving.append((when, number, happened.event))
        if random.random() < DOUBLED:
            again = when + round(random.expovariate(1 / 5) * SECOND)
            arriving.append((again, number, happened.event))
    arriving.sort(key=lambda entry: entry[:2])
    return [(when, event) for when, _, event in arriving]


def _times(
    random: Random, told: list[Happened], start: Nanoseconds, disorder: Disorder
) -> list[Nanoseconds]:
    if disorder is Disorder.ALL:
        return [start + random.randrange(300 * SECOND) for _ in told]
    at = [happened.at for happened in told]
    if disorder is Disorder.SESSION:
        sessions: dict[str, list[int]] = {}
        for number, happened in enumerate(told):
            sessions.setdefault(happened.event.room.sid, []).append(number)
        for numbers in sessions.values():
            times = [at[number] for number in numbers]
            random.shuffle(times)
            for number, when in zip(numbers, times, strict=True):
                at[number] = when
        return at
    return [when + round(_lateness(random) * SECOND) for when in at]


def _lateness(random: Random) -> float:
    return random.uniform(0, 60) if random.random() < 0.02 else random.expovariate(1 / 1.5)


# --- the replay -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did."""

    seed: int
    disorder: Disorder
    told: int
    arrived: int
    made: int
    live_before: int
    live: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"seed {self.seed}, {self.disorder.value}: {self.told} events, {self.arrived} arrived;"
            f" {self.made} jobs made, {self.live_before} lived before the list and"
            f" {self.live} after it, as they should; {self.seconds:.1f} s"
        )


class Replay:
    """An engine that is told what happened, and a worker that takes all its jobs."""

    def __init__(self, seed: int) -> None:
        self.bench = EngineBench(seed=seed)
        self.live: Counter[Subject] = Counter()
        self.made = 0
        self._worker = ""
        self._workers = 0
        self._rows_read = 0
        self._subjects: dict[str, Subject] = {}
        self._connect()
        for rule in RULES:
            self.bench.tell(RuleApplyRequested(0, PROJECT, rule))

    def _connect(self) -> None:
        self._workers += 1
        self._worker = f"worker-{self._workers}"
        self.bench.connect(self._worker, types=ALL_TYPES)
        self.bench.claim(self._worker, *self.bench.engine.jobs)
        self.bench.report(self._worker)

    def restart(self) -> None:
        """The server is killed and started; its worker comes back with all its jobs."""
        self.bench.restart()
        self._connect()
        self.look()

    def take(self, when: Nanoseconds, event: RoomEvent) -> None:
        """Something arrives; then the worker takes what it is offered."""
        bench = self.bench
        bench.pass_time((when - bench.now) / SECOND)
        self.look()
        bench.tell(RoomEventReported(0, event))
        self.look()

    def listed(self, asked_at: Nanoseconds, rooms: tuple[RoomSeen, ...]) -> None:
        """The SFU's list arrives, half a second after it was asked for."""
        bench = self.bench
        bench.pass_time(max(0.0, (asked_at + SECOND // 2 - bench.now) / SECOND))
        self.look()
        bench.tell(RoomsListed(PROJECT, asked_at, rooms))
        self.look()

    def look(self) -> None:
        """Let the worker take what it is offered, and look at all that became of jobs since."""
        bench = self.bench
        while offers := list(bench.engine.workers[self._worker].offers):
            for job in offers:
                bench.accept(job)
                bench.start(job)
        for row in self._new_rows():
            subject = self._subject(row.job_id)
            if row.trigger is JobTrigger.CREATED:
                self.made += 1
                self.live[subject] += 1
                if self.live[subject] > 1:
                    raise Broken(f"two live jobs of {subject}")
            elif row.phase.is_ended:
                self.live[subject] -= 1
                if not self.live[subject]:
                    del self.live[subject]

    def _new_rows(self) -> list[EventRow]:
        rows = self.bench.database.events_after(self._rows_read, 1_000_000)
        if rows:
            self._rows_read = rows[-1].sequence
        return rows

    def _subject(self, job_id: str) -> Subject:
        found = self._subjects.get(job_id)
        if found is None:
            stored = self.bench.database.get_job(PROJECT, job_id)
            assert stored is not None
            config = wire_pb2.Job.FromString(stored.job.config)
            rule = stored.job.order.removeprefix("rule:")
            found = PROJECT, rule, config.room.sid, config.participant.identity
            self._subjects[job_id] = found
        return found

    def check(self, life: RoomLife) -> None:
        """Hold all that is there against the model."""
        rooms = {
            room.info.sid: {member.participant.sid for member in room.members.values()}
            for room in self.bench.engine.rooms.values()
        }
        truth = {
            session.info.sid: {guest.participant.sid for guest in session.guests.values()}
            for session in life.sessions.values()
        }
        _must_equal("rooms", rooms, truth)
        live, expected = Counter(self.live), expected_jobs(life)
        for subject in agents_alone(life):
            live.pop(subject, None)
            expected.pop(subject, None)
        _must_equal("jobs", live, expected)
        held = {
            job_id
            for job_id, hand in self.bench.engine.jobs.items()
            if hand.phase is JobPhase.RUNNING
        }
        if len(held) != self.live.total():
            raise Broken(f"{len(held)} jobs run, and {self.live.total()} live")


def _must_equal(what: str, found: object, expected: object) -> None:
    if found == expected:
        return
    assert isinstance(found, dict)
    assert isinstance(expected, dict)
    other = [key for key in {**found, **expected} if found.get(key) != expected.get(key)]
    shown = "; ".join(
        f"{key}: {found.get(key)}, not {expected.get(key)}" for key in islice(other, 5)
    )
    raise Broken(f"{len(other)} {what} are not as they should be: {shown}")


def replay(
    seed: int,
    disorder: Disorder = Disorder.SLIDING,
    events: int = EVENTS,
    restarts: int = 0,
    lists: bool = False,
) -> Replayed:
    """Replay one seed. Raises Broken.

    With `lists` the SFU's list is told every ten seconds too. That goes with SLIDING alone: the
    other disorders tell of things before they happen, and a list says that they have not.
    """
    began = time.monotonic()
    random = Random(f"{seed} {disorder.value}")
    life = RoomLife(random, START, events)
    arriving = arrivals(random, life.told, START, disorder)
    assert not lists or disorder is Disorder.SLIDING, "a list knows nothing of what is to come"
    waiting_lists = deque(life.lists if lists else ())
    restarts_at = {random.randrange(len(arriving)) for _ in range(restarts)}
    replayed = Replay(seed)
    for number, (when, event) in enumerate(arriving):
        if number in restarts_at:
            replayed.restart()
        while waiting_lists and waiting_lists[0][0] + SECOND // 2 <= when:
            replayed.listed(*waiting_lists.popleft())
        replayed.take(max(when, replayed.bench.now), event)
    live_before = replayed.live.total()
    bench = replayed.bench
    bench.pass_time(max(1.0, (life.now - bench.now) / SECOND))
    bench.tell(RoomsListed(PROJECT, bench.now, life.seen()))
    replayed.look()
    bench.pass_time(30)
    replayed.look()
    replayed.check(life)
    took = time.monotonic() - began
    live = replayed.live.total()
    return Replayed(
        seed, disorder, len(life.told), len(arriving), replayed.made, live_before, live, took
    )


def replay_command(seed: int, disorder: Disorder, restarts: int = 0, lists: bool = False) -> str:
    """Return the command that replays it."""
    command = f"python -m tests.simulation.room_replay --seed {seed} --disorder {disorder.value}"
    if restarts:
        command += f" --restarts {restarts}"
    return f"{command} --lists" if lists else command


def main() -> int:
    """Replay one seed; exit 1 if it does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.room_replay")
    parser.add_argument("--seed", type=int, help="replay this one (default: at random)")
    parser.add_argument("--disorder", type=Disorder, choices=list(Disorder), help="default: all")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--restarts", type=int, default=0, help="of the server, on the way")
    parser.add_argument("--lists", action="store_true", help="the SFU's list too (sliding)")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().getrandbits(32)
    failures = 0
    every = [Disorder.SLIDING] if options.lists else list(Disorder)
    for disorder in [options.disorder] if options.disorder is not None else every:
        try:
            print(
                replay(seed, disorder, options.events, options.restarts, options.lists), flush=True
            )
        except Broken as broken:
            failures += 1
            print(f"seed {seed}, {disorder.value}: {broken}")
            print(
                f"  replay: {replay_command(seed, disorder, options.restarts, options.lists)}",
                flush=True,
            )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
