"""Tries to connect that came to nothing, told thinly: a server that is away does not fill the log.

Of each kind (an HTTP status, or no answer at all) the first, second, fourth, eighth ... try is a
line, with how many there were. A 503 is what a server says that drains or starts, and passes by
itself: a warning. Any other status is one that a person has to act on: an error.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from worker_sdk.connection import ConnectionEnded
from worker_sdk.log_events import LogEvent

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from protocol.errors import FrameError

__all__ = ["ConnectionFailures"]

_SERVICE_UNAVAILABLE = 503


class ConnectionFailures:
    """The failed tries since the last connection."""

    def __init__(self, url: str, log: FilteringBoundLogger) -> None:
        self._url = url
        self._log = log
        # tries by HTTP status, those without one under None
        self._counts: Counter[int | None] = Counter()

    @property
    def total(self) -> int:
        """How many tries failed."""
        return self._counts.total()

    def forget(self) -> None:
        """A connection was made: what fails from now on is news."""
        self._counts.clear()

    def failed(self, error: ConnectionEnded | FrameError) -> None:
        """Count a try that failed, and tell of it if it is one to tell of."""
        status = error.status if isinstance(error, ConnectionEnded) else None
        self._counts[status] += 1
        count = self._counts[status]
        if count & (count - 1):
            return
        log = self._log.bind(url=self._url, count=count)
        if not isinstance(error, ConnectionEnded) or status is None:
            log.warning(LogEvent.CONNECTION_FAILED, cause=str(error))
        elif status == _SERVICE_UNAVAILABLE:
            log.warning(LogEvent.CONNECTION_REFUSED, status=status, remedy=error.remedy)
        else:
            log.error(LogEvent.CONNECTION_REFUSED, status=status, remedy=error.remedy)
