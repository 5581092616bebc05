"""What an event costs against 10 to 10,000 rules: `python -m bench.matching` prints a table.

The rules are a mix as a platform with many customers has it: most name the rooms of a customer by a
prefix or one by one, others ask for a participant's attribute, identity or metadata, and two are for
everybody; of ten rules there is one of each sort. An event is a person who joins a room of one of
the customers and publishes, matched as the engine does it: for the room, and for the person by each
type of job.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from statistics import median

from dispatcher.core.jobs import JobType
from dispatcher.core.matching import RuleIndex
from dispatcher.core.room_events import Participant, RoomInfo
from dispatcher.core.rules import Match, Rule

PROJECT = "default"
SIZES = (10, 100, 1_000, 10_000)
EVENTS = 2_000
ROUNDS = 5
# At most so much dearer against 10,000 rules than against 10 (issue 4).
RATIO_MAX = 3.0


def mixed_rules(count: int) -> Iterator[Rule]:
    """Yield so many rules: two for everybody, the others for one customer each."""
    yield Rule("everybody-greeter", JobType.ROOM, "greeter", Match(room="call-*"))
    yield Rule("everybody-transcriber", JobType.PUBLISHER, "transcriber")
    for number in range(count - 2):
        job_type = list(JobType)[number % 3]
        yield Rule(f"rule-{number:05}", job_type, "greeter", _match(number))


def _match(number: int) -> Match:
    customer = f"c{number}"
    match number % 8:
        case 0 | 4:
            return Match(room=f"call-{customer}-*")
        case 1:
            return Match(attributes={"customer": customer})
        case 2:
            return Match(room=f"call-{customer}-desk")
        case 3:
            return Match(metadata={"customer.id": number}, attributes={"tier": "vip"})
        case 5:
            return Match(identities=(f"{customer}-*", f"agent-of-{customer}"))
        case 6:
            return Match(room="call-*", attributes={"customer": customer, "tier": "vip"})
        case _:
            return Match(room="*-desk", room_metadata={"customer.id": number})


def mixed_events(count: int, rules: int, seed: int = 1) -> Iterator[tuple[RoomInfo, Participant]]:
    """Yield so many joins: each of a person of one of the customers that the rules are for."""
    random = Random(seed)
    for _ in range(count):
        number = random.randrange(max(1, rules - 2))
        customer = f"c{number}"
        metadata = f'{{"customer": {{"id": {number}, "name": "n{random.random()}"}}}}'
        room = RoomInfo(f"call-{customer}-desk", "RM_1", metadata)
        yield (
            room,
            Participant(
                f"{customer}-{random.randrange(100)}",
                "PA_1",
                metadata=metadata,
                attributes={
                    "customer": customer,
                    "tier": random.choice(["vip", "std"]),
                    "lang": "en",
                },
            ),
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """What one event costs against so many rules."""

    rules: int
    microseconds: float
    tested: float
    matched: float


def index_of(count: int) -> RuleIndex:
    """Return the index of so many mixed rules."""
    index = RuleIndex()
    for rule in mixed_rules(count):
        index.add(PROJECT, rule)
    return index


def rules_tested(index: RuleIndex, room: RoomInfo, participant: Participant) -> int:
    """Count the rules that are tested for one event."""
    return sum(
        sum(1 for _ in index.candidates(PROJECT, job_type, room, who))
        for job_type, who in _questions(participant)
    )


def rules_matched(index: RuleIndex, room: RoomInfo, participant: Participant) -> int:
    """Count the rules that match one event."""
    return sum(
        len(index.matching(PROJECT, job_type, room, who))
        for job_type, who in _questions(participant)
    )


def measure(count: int) -> Cost:
    """Measure one size: the median of some rounds over the same events."""
    index = index_of(count)
    events = list(mixed_events(EVENTS, count))
    times = []
    for _ in range(ROUNDS):
        started_at = time.perf_counter()
        for room, participant in events:
            rules_matched(index, room, participant)
        times.append((time.perf_counter() - started_at) / len(events) * 1e6)
    return Cost(
        count,
        median(times),
        sum(rules_tested(index, *event) for event in events) / len(events),
        sum(rules_matched(index, *event) for event in events) / len(events),
    )


def _questions(participant: Participant) -> Iterator[tuple[JobType, Participant | None]]:
    yield JobType.ROOM, None
    for job_type in JobType:
        yield job_type, participant


def main() -> None:
    """Print the table, and whether the mark is met."""
    print("| rules | µs an event | rules tested | rules that match |")
    print("|---:|---:|---:|---:|")
    costs = [measure(count) for count in SIZES]
    for cost in costs:
        print(
            f"| {cost.rules:,} | {cost.microseconds:.1f} | {cost.tested:.1f} | {cost.matched:.1f} |"
        )
    ratio = costs[-1].microseconds / costs[0].microseconds
    verdict = "met" if ratio <= RATIO_MAX else "missed"
    print(f"\nRatio of the last to the first: {ratio:.2f} (at most {RATIO_MAX:g}: {verdict})")


if __name__ == "__main__":
    main()
