"""Which agents have series of their own: a bounded number, and those that matter."""

from __future__ import annotations

from collections.abc import Mapping

from dispatcher.core.lifecycle import WorkerPhase
from dispatcher.metrics.census import AgentCount, AgentKey
from dispatcher.metrics.shown_agents import Shown, ShownAgents

NOTHING = AgentCount()


def key(name: str) -> AgentKey:
    return "p", name, "", ""


def served(*names: str, running: int = 0) -> dict[AgentKey, AgentCount]:
    """Return agents that have a worker."""
    return {key(name): AgentCount({WorkerPhase.AVAILABLE: 1}, running=running) for name in names}


def called(*names: str) -> dict[AgentKey, AgentCount]:
    """Return agents that are called, and that nobody serves."""
    return {key(name): AgentCount(queued=1, oldest_at=17) for name in names}


class Scraper:
    """Chooses again and again."""

    def __init__(self, agents_max: int = 3, memory_seconds: float = 60.0) -> None:
        self.agents = ShownAgents(agents_max, memory_seconds)
        self.now = 0.0
        self.steps = 0

    def choose(self, agents: Mapping[AgentKey, AgentCount]) -> Shown:
        self.steps = sum(1 for _ in self.agents.choose(agents, NOTHING, self.now))
        return self.agents.shown

    def names(self, agents: Mapping[AgentKey, AgentCount]) -> set[str]:
        return {agent[1] for agent in self.choose(agents).agents}


def test_all_are_shown_while_there_are_few() -> None:
    shown = Scraper().choose({**served("a"), **called("b")})
    assert [agent[1] for agent in shown.agents] == ["a", "b"]
    assert (shown.others_number, shown.others) == (0, NOTHING)


def test_what_is_beyond_the_bound_is_one_sum() -> None:
    agents = served(*(f"a{number}" for number in range(10)), running=2)
    agents[key("a9")].oldest_at = 5
    agents[key("a8")].oldest_at = 3
    shown = Scraper().choose(agents)
    assert len(shown.agents) == 3
    assert shown.others_number == 7
    assert (shown.others.connected, shown.others.running, shown.others.oldest_at) == (7, 14, 3)


def test_ten_thousand_names_that_nobody_serves_do_not_hide_an_agent_that_has_workers() -> None:
    scraper = Scraper()
    crowd = called(*(f"x{number}" for number in range(10_000)))
    assert len(scraper.choose(crowd).agents) == 3
    shown = scraper.choose({**crowd, **served("real")})
    assert key("real") in shown.agents
    assert len(shown.agents) == 3
    assert (shown.others_number, shown.others.queued) == (9_998, 9_998)


def test_who_was_shown_stays_while_others_come_that_are_no_better() -> None:
    scraper = Scraper()
    assert scraper.names(served("b", "c", "d")) == {"b", "c", "d"}
    assert scraper.names(served("a", "b", "c", "d", "e")) == {"b", "c", "d"}
    assert scraper.names({**served("d", "e"), **called("b", "c")}) == {"d", "e", "b"}


def test_an_agent_that_is_gone_is_shown_with_zeros_for_its_time() -> None:
    scraper = Scraper(memory_seconds=60)
    scraper.choose(served("a"))
    scraper.now = 59.0
    assert scraper.choose({}).agents == {key("a"): NOTHING}
    scraper.now = 61.0
    assert scraper.choose({}).agents == {}


def test_an_agent_that_is_gone_gives_its_place_to_one_that_is_there() -> None:
    scraper = Scraper()
    scraper.choose(served("a", "b", "c"))
    assert scraper.names(served("b", "c", "d")) == {"b", "c", "d"}


def test_no_choice_takes_long_between_two_turns_of_others() -> None:
    scraper = Scraper()
    scraper.choose(called(*(f"x{number}" for number in range(10_000))))
    # two looks at all of them, in steps of 128
    assert scraper.steps >= 2 * 10_000 / 128
