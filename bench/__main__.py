"""Run the benchmark and write its report: `python -m bench [--quick] [--output FOLDER]`."""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path

import uvloop

from bench.arguments import parser_of
from bench.measure import FULL, QUICK, measure
from bench.report import write_report


def main() -> None:
    """Measure everything and write the report."""
    arguments = parser_of("bench", __doc__).parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="callboard-bench-") as folder:
        results = uvloop.run(measure(QUICK if arguments.quick else FULL, Path(folder)))
    write_report(results, arguments.output)


if __name__ == "__main__":
    main()
