"""The two clocks of a server.

`time.time_ns` is the wall clock: what tokens are held against, and what people read. It is set
forward and back by others. `steady_clock` is what deadlines go by: it reads the wall clock once
and goes on by the monotonic one, so that a clock that is set forward by an hour does not orphan,
expire and redispatch everything at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable


def steady_clock() -> Callable[[], int]:
    """Return a clock in nanoseconds since the epoch that never jumps while the process lives."""
    offset = time.time_ns() - time.monotonic_ns()
    return lambda: offset + time.monotonic_ns()
