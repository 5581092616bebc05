"""What a seed stands for in rooms and rules: how many there are, and how bad the news of them is.

Left to others: what happens in the rooms (`sfu`), who asks for the rules (`rule_callers`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from dispatcher.core.jobs import SECOND, JobType, Nanoseconds, RestartPolicy
from dispatcher.core.room_events import ParticipantKind
from dispatcher.core.rules import Match, Rule

ROOM_NAMES = ("call-1", "call-2", "meet-1", "desk")


@dataclass(frozen=True, slots=True)
class SfuPlan:
    """An SFU's conditions. Chances are 0 to 1."""

    rooms: tuple[str, ...]
    # Time between two things that happen in rooms, on average.
    pace: Nanoseconds
    # News that never comes, comes twice, or comes late by up to `late_max`.
    lost: float
    doubled: float
    late: float
    late_max: Nanoseconds
    # How often the SFU is asked for its list; 0: not before everything has healed.
    lists_every: Nanoseconds
    rules: tuple[Rule, ...]
    # When a caller applies, changes, disables or deletes one of them.
    rule_calls_at: tuple[Nanoseconds, ...]
    # How many of the jobs that rules make go on until they are told to stop.
    endless: float

    @property
    def mix(self) -> str:
        """What was drawn, in words."""
        return (
            f"rooms {len(self.rooms)} (news lost {self.lost:.2f}, doubled {self.doubled:.2f}, late"
            f" {self.late:.2f}, lists every {self.lists_every / SECOND:g} s), rules"
            f" {', '.join(rule.name for rule in self.rules)}, {len(self.rule_calls_at)} calls"
        )


_RULES = (
    Rule("calls", JobType.ROOM, "", Match(room="call-*")),
    Rule("gold-rooms", JobType.ROOM, "", Match(room_metadata={"tier": "gold"})),
    Rule("hosts", JobType.ROOM, "", Match(identities=("host-*",))),
    Rule("later", JobType.ROOM, "", delay=2 * SECOND),
    Rule("everybody", JobType.PARTICIPANT, ""),
    Rule("phones", JobType.PARTICIPANT, "", Match(kinds=frozenset({ParticipantKind.SIP}))),
    Rule(
        "robots",
        JobType.PARTICIPANT,
        "",
        Match(kinds=frozenset({ParticipantKind.AGENT}), identities=("robot-*",)),
    ),
    Rule("gold", JobType.PARTICIPANT, "", Match(attributes={"tier": "gold"})),
    Rule("one-a-room", JobType.PARTICIPANT, "", uniqueness_key="{room.name}"),
    Rule("two-at-once", JobType.PARTICIPANT, "", concurrency_limit=2),
    Rule("publishers", JobType.PUBLISHER, ""),
    Rule("guests", JobType.PUBLISHER, "", Match(identities=("guest-*",))),
    Rule("nowhere", JobType.ROOM, "", Match(room="nowhere-*")),
)


def _draw_rules(random: Random, agents: tuple[str, ...]) -> tuple[Rule, ...]:
    return tuple(
        replace(
            rule,
            agent_name=random.choice(agents),
            priority=random.choice((0, 0, 1)),
            queue_time=random.choice((0, 0, 4 * SECOND)),
            restart_policy=random.choice((RestartPolicy.ON_FAILURE,) * 3 + (RestartPolicy.NEVER,)),
        )
        for rule in random.sample(_RULES, random.randint(0, 4))
    )


def draw_sfu(random: Random, agents: tuple[str, ...], active_time: Nanoseconds) -> SfuPlan:
    """Draw one schedule's rooms and rules."""
    rules = _draw_rules(random, agents)
    calls = random.choice((0, 0, 2, 5)) if rules else 0
    return SfuPlan(
        rooms=tuple(random.sample(ROOM_NAMES, random.randint(1, 3))),
        pace=random.choice((100, 300, 1000)) * SECOND // 1000,
        lost=random.random() * 0.2 if random.random() < 0.4 else 0.0,
        doubled=random.random() * 0.3 if random.random() < 0.4 else 0.0,
        late=random.random() * 0.5 if random.random() < 0.4 else 0.0,
        late_max=random.choice((1, 3, 15)) * SECOND,
        lists_every=random.choice((0, 2, 5)) * SECOND,
        rules=rules,
        rule_calls_at=tuple(sorted(int(random.random() * active_time) for _ in range(calls))),
        endless=random.choice((0.0, 0.5, 0.9)),
    )
