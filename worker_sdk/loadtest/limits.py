"""Limits on figures, as `--fail-if 'p99_ms>50'` says them: a name, a comparison, a number.

A limit is broken where its comparison holds. One on a figure that LiveKit's own server cannot have is
not judged; one on a figure that was not measured is broken, for nobody knows that it was kept.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from protocol.errors import ConfigError
from worker_sdk.loadtest.figures import FIGURES, NOT_ON_STOCK, Figures

__all__ = ["DEFAULT_LIMITS", "Judgement", "Limit", "Verdict", "judge", "parse_limit"]

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_LIMIT = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(>=|<=|==|!=|>|<)\s*(\S+)\s*")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_NAMES = {figure.name: figure for figure in FIGURES}


@dataclass(frozen=True, slots=True)
class Limit:
    """One bound; broken where `name comparison bound` is true."""

    name: str
    comparison: str
    bound: float

    def __str__(self) -> str:
        return f"{self.name}{self.comparison}{self.bound:.12g}"

    def is_broken_by(self, value: float) -> bool:
        """Does the comparison hold?"""
        return _COMPARISONS[self.comparison](value, self.bound)

    @property
    def is_on_count(self) -> bool:
        """Is it about what is counted?"""
        return _NAMES[self.name].is_count


class Verdict(Enum):
    """What became of a limit."""

    KEPT = "kept"
    BROKEN = "broken"
    NOT_MEASURED = "not measured"
    NOT_ON_STOCK = "not on stock"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A limit beside what was measured."""

    limit: Limit
    verdict: Verdict
    value: float | None = None

    @property
    def is_failure(self) -> bool:
        """Does the run fail by it?"""
        return self.verdict in (Verdict.BROKEN, Verdict.NOT_MEASURED)

    def __str__(self) -> str:
        limit = self.limit
        match self.verdict:
            case Verdict.BROKEN:
                assert self.value is not None
                return f"{limit.name} is {self.value:.6g}: limit {limit} is broken"
            case Verdict.KEPT:
                assert self.value is not None
                return f"{limit.name} is {self.value:.6g}: limit {limit} is kept"
            case Verdict.NOT_MEASURED:
                return f"{limit.name} was not measured: limit {limit} counts as broken"
            case Verdict.NOT_ON_STOCK:
                return f"{limit.name} is {NOT_ON_STOCK}: limit {limit} is not judged"


# What a run fails by, whatever else it is asked.
DEFAULT_LIMITS = tuple(Limit(name, ">", 0.0) for name in ("lost", "overdue", "failed", "doubled"))


def parse_limit(text: str, subject: str = "--fail-if") -> Limit:
    """The limit that a text says. Raises ConfigError that begins with `subject`."""
    found = _LIMIT.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"{subject}: must be a figure, a comparison ({' '.join(_COMPARISONS)}) and a number,"
            f" such as p99_ms>50, not {text!r}"
        )
    name, comparison, number = found.groups()
    if name not in _NAMES:
        near = difflib.get_close_matches(name, list(_NAMES), n=1, cutoff=0.6)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"{subject}: there is no figure {name!r}; {hint}there are {', '.join(_NAMES)}"
        )
    if not _NUMBER.fullmatch(number) or not math.isfinite(float(number)):
        raise ConfigError(f"{subject}: {number!r} in {text!r} is no number")
    return Limit(name, comparison, float(number))


def judge(limits: Iterable[Limit], figures: Figures) -> list[Judgement]:
    """Hold each limit against the figures."""
    judgements = []
    for limit in limits:
        value = figures.values.get(limit.name)
        if value is not None:
            verdict = Verdict.BROKEN if limit.is_broken_by(value) else Verdict.KEPT
        elif figures.reasons.get(limit.name) == NOT_ON_STOCK:
            verdict = Verdict.NOT_ON_STOCK
        else:
            verdict = Verdict.NOT_MEASURED
        judgements.append(Judgement(limit, verdict, value))
    return judgements
