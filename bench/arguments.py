"""What may be typed for each of the programs that measure: the arguments that they share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

__all__ = ["add_names", "parser_of"]


def parser_of(
    program: str, doc: str | None, quick: str = "less of everything, for a first look"
) -> argparse.ArgumentParser:
    """Return a parser with --quick and --output."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=doc)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument(
        "--output", type=Path, default=Path("docs/benchmarks"), help="where the report goes"
    )
    return parser


def add_names(parser: argparse.ArgumentParser, option: str, known: Iterable[str]) -> None:
    """Add an option that takes some of these names; its default is all of them."""
    parser.add_argument(
        option,
        metavar="NAMES",
        default=",".join(known),
        help="what to measure, with commas: %(default)s (default: all)",
    )
