"""`python -m tests.faults`: a fault run of one's own, the reconnect storm, or the hand-over."""

import argparse
import secrets
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

import anyio

from tests.faults import plan as plans
from tests.faults.fleet import remove
from tests.faults.handoff import Measurement, measure_ours, measure_stock
from tests.faults.run import Outcome, run
from tests.faults.screen import Screen, report
from tests.faults.storm import Storm, weather


def main() -> int:
    """Do what the command line says; 0 if all that is promised was kept."""
    # So that whoever stops it leaves no process of it behind.
    signal.signal(signal.SIGTERM, _exit)
    given = _parser().parse_args()
    if given.storm:
        return _storm(given)
    if given.handoff or given.handoff_stock:
        return _handoff(given)
    return _fault_run(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long callers call")
    parser.add_argument("--rate", type=float, default=100.0, help="dispatches a second")
    parser.add_argument(
        "--seed", type=int, default=None, help="decides the plan, or a storm's pauses"
    )
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two faults")
    parser.add_argument("--workers", type=int, default=8, help="workers of ours")
    parser.add_argument("--stock", type=int, default=1, help="workers of livekit-agents")
    parser.add_argument("--hasty", action="store_true", help="short pings, as in the test")
    parser.add_argument("--show-plan", action="store_true", help="print each fault beforehand")
    parser.add_argument("--storm", type=int, metavar="WORKERS", help="the reconnect storm, alone")
    parser.add_argument("--jobs", type=int, default=100, help="jobs of each worker in a storm")
    parser.add_argument("--grace", type=float, default=3.0, help="of each worker in a storm")
    parser.add_argument("--handoff", type=int, metavar="N", help="kill a worker of ours N times")
    parser.add_argument(
        "--handoff-stock", action="store_true", help="kill, cut and hang stock ones"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder of a good run, too")
    return parser


def _fault_run(given: argparse.Namespace) -> int:
    seed = secrets.randbits(31) if given.seed is None else given.seed
    plan = plans.draw(
        seed,
        seconds=given.minutes * 60,
        rate_per_second=given.rate,
        interval_seconds=given.every,
        workers=given.workers,
        stock_workers=given.stock,
        is_hasty=given.hasty,
    )
    folder = Path(tempfile.mkdtemp(prefix="callboard-faults-"))
    again = (
        f"python -m tests.faults --minutes {given.minutes:g} --rate {given.rate:g} "
        f"--every {given.every:g} --workers {given.workers} --stock {given.stock}"
        f"{' --hasty' if given.hasty else ''} --seed {seed}"
    )
    sys.stdout.write(
        f"seed {seed}: {len(plan.faults)} faults in {plan.load_seconds:.0f} s, "
        f"{given.rate:g} dispatches a second, {given.workers} workers and {given.stock} stock ones; "
        f"in {folder}\nthe same plan again: {again}\n"
    )
    if given.show_plan:
        sys.stdout.write("".join(f"{fault}\n" for fault in plan.faults))
    screen = Screen()
    try:
        outcome: Outcome = anyio.run(
            lambda: run(plan, folder, show=screen), backend_options={"use_uvloop": True}
        )
    finally:
        screen.close()
    said = f"{report(outcome)}\n{'good' if outcome.is_good else 'FAILED'}: {again}\n"
    sys.stdout.write(said)
    (folder / "report.txt").write_text(f"seed {seed}\n{said}")
    if outcome.is_good and not given.keep:
        remove(folder)
    else:
        sys.stdout.write(f"All of it is in {folder}\n")
    return 0 if outcome.is_good else 1


def _storm(given: argparse.Namespace) -> int:
    seed = secrets.randbits(31) if given.seed is None else given.seed
    _say(
        f"seed {seed}; the same pauses again: python -m tests.faults --storm {given.storm} "
        f"--jobs {given.jobs} --grace {given.grace:g} --seed {seed}\n"
    )
    outcome = anyio.run(
        weather,
        Storm(given.storm, jobs_per_worker=given.jobs, grace_seconds=given.grace, seed=seed),
        _say,
        backend_options={"use_uvloop": True},
    )
    sys.stdout.write(f"{outcome}\n")
    return 0 if outcome.is_good else 1


def _handoff(given: argparse.Namespace) -> int:
    measured: list[Measurement] = []
    _say("nothing of this is drawn at random: there is no seed, the same command is the same run\n")
    if given.handoff:
        measured += anyio.run(measure_ours, given.handoff, _say)
    if given.handoff_stock:
        measured += anyio.run(measure_stock, _say)
    sys.stdout.write("".join(f"{one}\n" for one in measured))
    return 0 if all(one.is_good for one in measured) else 1


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _exit(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(143)


if __name__ == "__main__":
    sys.exit(main())
