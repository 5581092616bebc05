"""A seed is a plan, whole and the same each time; a victim has one fault at a time."""

from collections import defaultdict

from tests.faults.jobs import MIX
from tests.faults.plan import NATURES, FaultKind, Plan, Target, draw, draw_kills
from tests.faults.promises import Chance


def drawn(seed: int, seconds: float = 600.0) -> Plan:
    return draw(
        seed,
        seconds=seconds,
        rate_per_second=100,
        interval_seconds=1.5,
        workers=6,
        stock_workers=1,
    )


def test_a_seed_decides_the_plan_entirely() -> None:
    assert drawn(7) == drawn(7)
    assert drawn(7).faults != drawn(8).faults


def test_a_short_plan_too_has_every_kind_of_fault() -> None:
    for seed in range(50):
        assert {fault.kind for fault in drawn(seed, seconds=25).faults} == set(FaultKind)


def test_no_victim_has_two_faults_at_a_time() -> None:
    for seed in range(20):
        by_victim: dict[tuple[Target, str], float] = defaultdict(float)
        for fault in drawn(seed).faults:
            place = NATURES[fault.kind].target, fault.victim
            assert fault.at_seconds >= by_victim[place]
            by_victim[place] = fault.at_seconds + fault.seconds


def test_callers_call_until_the_last_fault_is_over() -> None:
    plan = drawn(3, seconds=25)
    assert plan.load_seconds > max(fault.at_seconds + fault.seconds for fault in plan.faults)


def test_a_minute_is_meant_to_bring_up_everything() -> None:
    plan = drawn(5, seconds=60)
    assert plan.fed_chances == set(Chance)
    assert {"stops", "restarts"} < plan.fed_checkers
    assert set(plan.mix) == set(MIX)


def test_a_run_without_failing_jobs_does_not_expect_them() -> None:
    plan = draw_kills(1, seconds=60, rate_per_second=40, servers=4, workers=5, fleet=6)
    assert plan.fed_chances == {Chance.EPOCHS, Chance.COUNTED_RESULTS}
    assert not plan.fed_checkers & {"stops", "restarts"}


def test_a_plan_of_kills_has_as_many_as_were_asked_for() -> None:
    plan = draw_kills(1, seconds=10, rate_per_second=40, servers=4, workers=5, fleet=6)
    kinds = [fault.kind for fault in plan.faults]
    assert kinds.count(FaultKind.SERVER_KILLED) == 4
    assert kinds.count(FaultKind.WORKER_KILLED) == 5
    assert len(kinds) == 9
