"""What a worker counts of itself: the numbers behind /metrics. They start at 0 with the process."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker_sdk.execution import OutcomeKind

__all__ = ["WorkerCounts"]


@dataclass(slots=True)
class WorkerCounts:
    """Totals of one worker process."""

    jobs_started: int = 0
    # by how their functions ended
    jobs_ended: Counter[OutcomeKind] = field(default_factory=Counter)
    # jobs given back to the server for another worker to run
    jobs_handed_over: int = 0
    offers_refused: int = 0
    # connections after the first
    reconnects: int = 0
    # tries to connect that failed
    connection_failures: int = 0
