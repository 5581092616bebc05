"""Callers who ask for rules: they apply, change, disable, enable and delete them, and insist.

One caller has each rule and asks for one thing at a time, so that what stands in the end is certain.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dispatcher.core.effects import Outcome, Reply
from dispatcher.core.events import RuleApplyRequested, RuleDeletionRequested
from dispatcher.core.jobs import SECOND
from dispatcher.core.rules import Rule
from tests.simulation.scenario import PROJECT
from tests.simulation.sfu_plan import SfuPlan

if TYPE_CHECKING:
    from tests.simulation.simulator import World

PATIENCE = 3 * SECOND


class RuleCallers:
    """The callers of all rules of a schedule."""

    def __init__(self, world: World, plan: SfuPlan) -> None:
        self._world = world
        self._plan = plan
        # what is wanted of each rule, None: that it is not there; and what was asked for last
        self.wanted: dict[str, Rule | None] = {}
        self._asked: dict[int, tuple[str, Rule | None]] = {}
        self._unanswered: dict[str, Rule | None] = {}
        # rules that were changed once: jobs that waited for them are cancelled
        self.revoked: set[str] = set()

    def begin(self) -> None:
        """Most rules are there from the beginning."""
        timeline, random = self._world.timeline, self._world.random
        for rule in self._plan.rules:
            timeline.after(int(random.random() * SECOND // 2), self._want, rule.name, rule)
        for at in self._plan.rule_calls_at:
            timeline.after(at, self._change)

    @property
    def are_content(self) -> bool:
        """Has everything been answered?"""
        return not self._unanswered and len(self.wanted) == len(self._plan.rules)

    def _change(self) -> None:
        random = self._world.random
        rule = random.choice(self._plan.rules)
        drawn = random.random()
        if drawn < 0.3:
            self._want(rule.name, None)
        elif drawn < 0.6:
            self._want(rule.name, replace(rule, enabled=False))
        else:
            self._want(rule.name, replace(rule, metadata=f"change {self._world.new_number()}"))

    def _want(self, name: str, rule: Rule | None) -> None:
        if name in self._unanswered:
            return  # one thing at a time
        if name in self.wanted:
            self.revoked.add(name)
        self.wanted[name] = self._unanswered[name] = rule
        self._ask(name)

    def _ask(self, name: str) -> None:
        world = self._world
        world.timeline.after(world.latency(), self._call, name)
        world.timeline.after(PATIENCE, self._insist, name, self._unanswered[name])

    def _insist(self, name: str, rule: Rule | None) -> None:
        if name in self._unanswered and self._unanswered[name] is rule:
            self._ask(name)

    def _call(self, name: str) -> None:
        world = self._world
        if not world.server.takes_calls or name not in self._unanswered:
            return
        rule = self._unanswered[name]
        request = world.new_number()
        self._asked[request] = name, rule
        if rule is None:
            world.server.call(RuleDeletionRequested(request, PROJECT, name))
        else:
            world.server.call(RuleApplyRequested(request, PROJECT, rule))

    def name_of(self, request: int) -> str | None:
        """Return the rule that a call is about."""
        asked = self._asked.get(request)
        return asked[0] if asked is not None else None

    def replied(self, reply: Reply) -> None:
        """The server answers."""
        name, rule = self._asked.pop(reply.request, ("", None))
        if (
            name in self._unanswered
            and self._unanswered[name] is rule
            and reply.outcome is not Outcome.REFUSED
        ):
            del self._unanswered[name]
