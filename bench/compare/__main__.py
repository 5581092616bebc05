"""Measure and report: `python -m bench.compare [--quick] [--only NAMES] [--output FOLDER]`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import anyio

from bench.arguments import parser_of
from bench.compare.contenders import CONTENDERS, find_python
from bench.compare.measure import FULL, QUICK, measure
from bench.compare.report import write_report

# Some have a comma of their own.
NAMES = "; ".join(each.name for each in CONTENDERS)


def main() -> None:
    """Measure everything and write the report."""
    parser = arguments()
    given = parser.parse_args()
    words = [word.strip().lower() for word in given.only.split(",")]
    chosen = [each for each in CONTENDERS if any(word in each.name.lower() for word in words)]
    if not chosen:
        parser.error(f"no such contender: {given.only}; there are {NAMES}")
    plan = QUICK if given.quick else FULL
    with tempfile.TemporaryDirectory(prefix="callboard-compare-") as folder:
        results = anyio.run(measure, plan, Path(folder), given.python, chosen)
    if not results.closed:
        raise SystemExit("nothing that was asked for can be run here")
    print(write_report(results, given.output))


def arguments() -> argparse.ArgumentParser:
    """What may be typed."""
    parser = parser_of("bench.compare", __doc__)
    parser.add_argument(
        "--only",
        metavar="NAMES",
        default="",
        help=f"parts of the names of contenders, with commas, of these: {NAMES} (default: all)",
    )
    parser.add_argument(
        "--python", default=find_python(), help="the Python that has nats-py and taskiq"
    )
    return parser


if __name__ == "__main__":
    main()
