"""HTTP calls by method and status, and how long they took."""

from __future__ import annotations

from collections import Counter

from dispatcher.metrics.histogram import QUICK_SECONDS, Histogram

# What is none of ours goes by this one name: a path is chosen by who calls.
OTHER = "other"


class CallCounts:
    """Counts answers. Whoever notes one chooses its name from a bounded set."""

    def __init__(self) -> None:
        # by name and status
        self.answers: Counter[tuple[str, int]] = Counter()
        self.durations: dict[str, Histogram] = {}

    def note(self, name: str, status: int, seconds: float) -> None:
        """Count one answer, which took so long from the head of the call."""
        self.answers[name, status] += 1
        durations = self.durations.get(name)
        if durations is None:
            durations = self.durations[name] = Histogram(QUICK_SECONDS)
        durations.observe(seconds)

    def note_stream(self, name: str, status: int) -> None:
        """Count one answer that lasts for as long as its caller likes."""
        self.answers[name, status] += 1
