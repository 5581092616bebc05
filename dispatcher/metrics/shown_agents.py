"""Which agents have series of their own. The number is bounded: the names are chosen by others.

Whoever may call may name ten thousand agents that nobody serves, and whoever may register may be ten
thousand of them. So those come first that have workers, and among equals those that were shown before;
one of which nothing is left stays, with zeros, until its time is over or its place is needed. What is
not shown is one sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dispatcher.metrics.census import AgentCount, AgentKey

# Agents of one step; each costs less than a microsecond.
STEP = 128


@dataclass(frozen=True, slots=True)
class Shown:
    """Those that are shown, and the sum of the others with their number."""

    agents: Mapping[AgentKey, AgentCount]
    others: AgentCount
    others_number: int


class ShownAgents:
    """Chooses at most `agents_max`, and remembers for `memory_seconds` whom it chose."""

    def __init__(self, agents_max: int, memory_seconds: float) -> None:
        self._agents_max = agents_max
        self._memory_seconds = memory_seconds
        # when there was something of each, in the order in which they were chosen
        self._seen_at: dict[AgentKey, float] = {}
        self.shown = Shown({}, AgentCount(), 0)

    def choose(
        self, agents: Mapping[AgentKey, AgentCount], nothing: AgentCount, now_seconds: float
    ) -> Iterator[None]:
        """Choose anew, in short steps; then `shown` is what was chosen.

        `agents` are those of which there is something; `nothing` stands for those that are gone.
        """
        remembered = [
            key for key, at in self._seen_at.items() if self._is_remembered(at, now_seconds)
        ]
        known = set(remembered)
        chosen: dict[AgentKey, AgentCount] = {}
        for is_served, is_known in ((True, True), (True, False), (False, True), (False, False)):
            if len(chosen) >= self._agents_max:
                break
            for number, key in enumerate(remembered if is_known else agents):
                if number % STEP == 0:
                    yield
                count = agents.get(key)
                if count is None or (key in known) is not is_known:
                    continue
                if bool(count.workers) is is_served:
                    chosen[key] = count
                    if len(chosen) >= self._agents_max:
                        break
        for key in remembered:
            if len(chosen) >= self._agents_max:
                break
            chosen.setdefault(key, nothing)
        others = AgentCount()
        if len(agents) > len(chosen) or any(key not in chosen for key in agents):
            for number, (key, count) in enumerate(agents.items()):
                if number % STEP == 0:
                    yield
                if key not in chosen:
                    others.add(count)
        seen_at = self._seen_at
        self._seen_at = {key: now_seconds if key in agents else seen_at[key] for key in chosen}
        here = sum(key in agents for key in chosen)
        self.shown = Shown(chosen, others, len(agents) - here)

    def _is_remembered(self, at: float, now_seconds: float) -> bool:
        return now_seconds - at < self._memory_seconds
