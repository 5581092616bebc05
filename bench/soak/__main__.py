"""Run it and report: `python -m bench.soak [--quick] [--minutes N] [--output FOLDER]`."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import anyio

from bench.arguments import parser_of
from bench.soak.measure import FULL, QUICK, measure
from bench.soak.report import write_report


def main() -> None:
    """Run the soak and write the report."""
    parser = parser_of("bench.soak", __doc__, quick="a minute of it, for a first look")
    parser.add_argument("--minutes", type=int, default=0, help="how long, in place of 30")
    given = parser.parse_args()
    plan = QUICK if given.quick else FULL
    if given.minutes:
        judged = max(2, given.minutes * plan.judged_minutes // plan.minutes)
        plan = dataclasses.replace(plan, minutes=given.minutes, judged_minutes=judged)
    if plan.minutes < plan.judged_minutes:
        parser.error("too short to be judged")
    with tempfile.TemporaryDirectory(prefix="callboard-soak-") as folder:
        results = anyio.run(measure, plan, Path(folder))
    print(write_report(results, given.output))


if __name__ == "__main__":
    main()
