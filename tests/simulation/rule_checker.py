"""Rules, judged from outside: never two live jobs for one subject, in the end exactly those that must be.

At each moment: at most one live job for each rule and connection of a participant who never left
(or session of a room), at most one for each unique key of a rule, no more of a rule than its limit. In the end, when
the server has been told the truth: no job lives whose subject is gone, and every subject that a rule
matches has its job, or has had it and it ended by itself, or shares one, or waits for a limit that is
reached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dispatcher.core.effects import StoreRequest
from dispatcher.core.lifecycle import JobTrigger
from dispatcher.core.rules import Rule
from dispatcher.store.contract import EventRow
from tests.simulation.checkers import Checker
from tests.simulation.facts import Facts, JobFacts
from tests.simulation.rule_oracle import Subject, allowed, is_of, required, subject_of
from tests.simulation.sfu import Sfu

if TYPE_CHECKING:
    from tests.simulation.simulator import World


class RulesAreKept(Checker):
    """One job for each subject of a rule, and none for whoever is gone."""

    name = "rules are kept"

    def __init__(self, world: World, facts: Facts) -> None:
        super().__init__(world, facts)
        # live jobs by subject, by unique key of a rule, and by rule
        self._live: Counter[Subject] = Counter()
        self._live_keys: Counter[tuple[str, str]] = Counter()
        self._live_of: Counter[str] = Counter()
        # subjects, whichever connection, that had a job which ended by itself
        self._served: set[Subject] = set()
        # and unique keys of rules: who shares one shares its job
        self._served_keys: set[tuple[str, str]] = set()

    def committed(self, batch: Sequence[StoreRequest], rows: Sequence[EventRow]) -> None:
        """Count what lives."""
        for row in rows:
            if row.trigger is JobTrigger.CREATED or row.phase.is_ended:
                facts = self.facts.jobs.get(row.job_id)
                if facts is not None and facts.job.order:
                    self._count(facts, row)

    def _count(self, facts: JobFacts, row: EventRow) -> None:
        job = facts.job
        order, subject = job.order, subject_of(job)
        if row.trigger is not JobTrigger.CREATED:
            self._live[subject] -= 1
            self._live_keys[order, job.unique_key] -= 1
            self._live_of[order] -= 1
            if row.trigger is not JobTrigger.CANCELLED or facts.results:
                self._served.add(subject.person)
                self._served_keys.add((order, job.unique_key))
            return
        self._live[subject] += 1
        self._live_keys[order, job.unique_key] += 1
        self._live_of[order] += 1
        if self._live[subject] > 1 and not self._had_left(subject):
            self.blame(f"{job.id} is one more live job of {subject}")
        if job.unique_key and self._live_keys[order, job.unique_key] > 1:
            self.blame(f"{job.id} is one more live job of {order} for key {job.unique_key!r}")
        rule = self._rules.get(order)
        if order.startswith("rule:") and rule is None:
            self.blame(f"{job.id} is of {order}, which nobody asked for")
        if rule is not None:
            limit = rule.concurrency_limit
            if limit and self._live_of[order] > limit:
                self.blame(f"{job.id} is one more live job of {order} than its limit of {limit}")
            if job.lane.agent_name != rule.agent_name or not is_of(rule.name, job.lane.job_type):
                self.blame(f"{job.id} is not what {order} asks for")

    def _had_left(self, subject: Subject) -> bool:
        """Had somebody of this identity left? Late news of it splits one subject into two.

        The job of the first is called off then, and may be on offer still when the other's is made.
        """
        sfu = self.world.sfu
        return sfu is not None and (subject.room_sid, subject.identity) in sfu.left

    @property
    def _rules(self) -> dict[str, Rule]:
        plan = self.world.scenario.sfu
        return {f"rule:{rule.name}": rule for rule in plan.rules} if plan is not None else {}

    def finished(self) -> None:
        """Exactly what the oracle says."""
        sfu, callers = self.world.sfu, self.world.rule_callers
        if sfu is None or callers is None or not sfu.is_settled:
            return
        live = Counter(
            {subject.person: count for subject, count in self._live.items() if count > 0}
        )
        for name, rule in callers.wanted.items():
            order = f"rule:{name}"
            may_live = set(allowed(sfu, name))
            for subject in live:
                if subject.order == order and subject not in may_live:
                    self.blame(f"a job of {subject} lives, and nobody is there for it")
            if rule is None or not rule.enabled:
                continue
            for subject in required(sfu, name):
                if live[subject] > 1:
                    self.blame(f"{subject} has {live[subject]} live jobs")
                if not live[subject] and subject not in self._served and not self._waits(rule, sfu):
                    self.blame(f"{subject} has no job")

    def _waits(self, rule: Rule, sfu: Sfu) -> bool:
        """May others of this rule, or of the same unique key, be why it has none yet?"""
        order = f"rule:{rule.name}"
        if rule.concurrency_limit:
            return self._live_of[order] >= rule.concurrency_limit
        shared = {key for key, count in self._live_keys.items() if count > 0} | self._served_keys
        return any(one == order and key for one, key in shared)
