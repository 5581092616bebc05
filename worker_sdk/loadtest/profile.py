"""What a load test is: its shape, its sizes, what goes wrong in it, and the bounds on all of that.

Each field is declared once, with its default, its bounds and its words; the reader of files
(`profile_files`), the flags of the command and the table in docs/loadtest.md go by it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

__all__ = ["FIELDS", "Arrivals", "Field", "Form", "Profile", "Shape"]


class Shape(StrEnum):
    """How calls come."""

    RATE = "rate"  # open loop: at times of their own, whatever the server does
    BURST = "burst"  # open loop: many at one moment
    CLOSED = "closed"  # each caller calls again when its job is over
    RAMP = "ramp"  # open loop: faster and faster until it breaks


class Arrivals(StrEnum):
    """How the calls of an open loop are spread over a second."""

    EVEN = "even"
    POISSON = "poisson"


class Form(StrEnum):
    """How a field is written."""

    TEXT = "text"
    TEXTS = "texts"
    WHOLE = "whole number"
    NUMBER = "number"
    SWITCH = "true or false"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a profile."""

    name: str
    form: Form
    default: Any
    help: str
    least: float = 0.0
    most: float = 0.0
    choices: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """The option of the command."""
        return f"--{self.name.replace('_', '-')}"


_T = TypeVar("_T")


def _field(default: _T, words: str, **more: object) -> _T:
    return dataclasses.field(default=default, metadata={"help": words, **more})


@dataclass(frozen=True, slots=True)
class Profile:
    """One load test. Counts of workers and callers are totals over all processes."""

    description: str = _field("", "What it is for, in one line.")
    shape: Shape = _field(  # noqa: RUF009 - a field as any other
        Shape.RATE, "How calls come.", choices=tuple(Shape)
    )

    # ---- how long
    duration_seconds: float = _field(
        30.0, "How long is measured; a ramp ends sooner where it breaks.", least=0.5, most=864_000
    )
    warm_up_seconds: float = _field(
        2.0, "The same load before that, which no figure counts.", least=0, most=3600
    )
    drain_seconds: float = _field(
        15.0,
        "How long after the last call the end of the jobs is waited for; what still"
        " waits then is overdue.",
        least=0,
        most=3600,
    )

    # ---- calls
    rate: float = _field(
        100.0, "Calls a second (rate), or where a ramp begins.", least=0.001, most=1_000_000
    )
    arrivals: Arrivals = _field(  # noqa: RUF009 - a field as any other
        Arrivals.EVEN,
        "How calls of an open loop are spread: evenly, or by chance (poisson).",
        choices=tuple(Arrivals),
    )
    burst_jobs: int = _field(1000, "Calls of one burst.", least=1, most=1_000_000)
    burst_every_seconds: float = _field(10.0, "From one burst to the next.", least=0.5, most=3600)
    callers: int = _field(
        32,
        "Callers of a closed loop, each with a connection and one job at a time.",
        least=1,
        most=100_000,
    )
    ramp_factor: float = _field(
        1.25, "How many times the rate of its last step a ramp tries next.", least=1.01, most=10
    )
    ramp_step_seconds: float = _field(5.0, "How long a ramp stays at a rate.", least=2, most=3600)
    ramp_p99_ms_max: float = _field(
        500.0,
        "A step of a ramp whose p99 from call to assignment is above this is broken.",
        least=0.1,
        most=600_000,
    )
    rate_max: float = _field(
        100_000.0, "Where a ramp ends if nothing breaks.", least=0.001, most=1_000_000
    )
    call_timeout_seconds: float = _field(
        15.0, "A call without an answer is given up after so long.", least=0.1, most=3600
    )
    metadata_bytes: int = _field(
        200, "Metadata of each dispatch; at least 60 are needed.", least=60, most=500_000
    )
    connections_max: int = _field(
        500,
        "Connections of one process of callers; calls beyond wait, and their wait counts.",
        least=1,
        most=20_000,
    )
    backlog_max: int = _field(
        100_000,
        "Calls of one process that wait for a connection; those beyond are not made, and counted.",
        least=1,
        most=10_000_000,
    )
    caller_processes: int = _field(1, "Processes that call.", least=1, most=64)

    # ---- workers
    workers: int = _field(20, "Workers that take jobs.", least=0, most=1_000_000)
    worker_processes: int = _field(
        1, "Processes that the workers are spread over, at the least.", least=1, most=256
    )
    workers_per_process_max: int = _field(
        5000, "With more workers there are more processes.", least=1, most=50_000
    )
    capacity: int = _field(
        1000,
        "Jobs that a worker takes at once; declared to a Callboard.",
        least=1,
        most=1_000_000,
    )
    job_seconds: float = _field(
        0.0, "How long a job runs; 0: it ends as soon as it has started.", least=0, most=86_400
    )
    job_seconds_spread: float = _field(
        0.0, "Jobs are longer or shorter by up to this share, by chance.", least=0, most=1
    )
    grace_seconds: float = _field(
        3.0,
        "What workers declare to a Callboard: back within this, or lost.",
        least=0.1,
        most=3600,
    )
    slow_workers: int = _field(
        0, "Workers, beside the others, that answer offers late.", least=0, most=100_000
    )
    slow_answer_seconds: float = _field(2.0, "How late slow workers answer.", least=0.001, most=60)
    silent_workers: int = _field(
        0, "Workers, beside the others, that never answer offers.", least=0, most=100_000
    )
    declining_workers: int = _field(
        0, "Workers, beside the others, that decline every offer.", least=0, most=100_000
    )
    stock_decliner: bool = _field(
        True,
        "Against LiveKit's own server: one more worker, without a name, that declines at once."
        " Without it that server waits for one in every new room.",
    )
    agent_name: str = _field(
        "loadtest", "The agent that is called. Nobody else's: two runs at once disturb each other."
    )

    # ---- what goes wrong
    churn_per_second: float = _field(
        0.0, "Workers that leave, and others that come, each second.", least=0, most=1000
    )
    kill_every_seconds: float = _field(
        0.0, "A process of workers is killed (SIGKILL) and replaced so often.", least=0, most=3600
    )
    storm_every_seconds: float = _field(
        0.0, "The sockets of all workers are cut at one moment so often.", least=0, most=3600
    )

    # ---- the end
    results_max: int = _field(
        20_000_000, "Jobs that are kept account of; calls end there.", least=1000, most=200_000_000
    )
    seed: int = _field(0, "Of what is left to chance.", least=0, most=2**63)
    fail_if: tuple[str, ...] = _field(
        (), "Limits such as p99_ms>50: the command fails where one holds. May be repeated."
    )

    @property
    def process_count(self) -> int:
        """Processes of workers."""
        total = self.all_workers
        needed = -(-total // self.workers_per_process_max)
        return max(1, needed, min(self.worker_processes, total))

    @property
    def all_workers(self) -> int:
        """Workers of every kind."""
        return self.workers + self.slow_workers + self.silent_workers + self.declining_workers

    @property
    def is_open_loop(self) -> bool:
        """Do calls come at times of their own?"""
        return self.shape is not Shape.CLOSED

    def as_json(self) -> dict[str, Any]:
        """The profile as a file would have it."""
        return dataclasses.asdict(self)


_FORMS: dict[type, Form] = {
    bool: Form.SWITCH,
    int: Form.WHOLE,
    float: Form.NUMBER,
    str: Form.TEXT,
    tuple: Form.TEXTS,
}


def _fields() -> Sequence[Field]:
    return tuple(
        Field(
            name=each.name,
            form=Form.CHOICE if "choices" in each.metadata else _FORMS[type(each.default)],
            default=each.default,
            help=each.metadata["help"],
            least=each.metadata.get("least", 0.0),
            most=each.metadata.get("most", 0.0),
            choices=tuple(str(choice) for choice in each.metadata.get("choices", ())),
        )
        for each in dataclasses.fields(Profile)
    )


FIELDS: Sequence[Field] = _fields()
