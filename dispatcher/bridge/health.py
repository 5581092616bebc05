"""How the bridge's sweeps fare, for the log and for who asks whether all is well.

What lasts is said the 1st, 2nd, 4th, 8th ... time, and once more when it is over. An agent that the SFU
was asked for, and that nobody ever served, is said the same way by its name.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import anyio
import structlog

from dispatcher.sfu.client import SfuError

log = structlog.get_logger()

# Names that nobody serves of which it is counted how often they were asked for; of more nothing is said.
UNSERVED_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Unserved:
    """A dispatch of an agent that nobody ever served."""

    dispatch_id: str
    room: str
    agent_name: str


@dataclass(slots=True)
class SweepHealth:
    """What became of the last sweeps. Times are the event loop's."""

    failures: int = 0
    _error: SfuError | None = None
    _failing_since: float = 0.0
    # the nodes of rooms that a whole sweep was told nothing of
    _silent_rooms: int = 0
    _unserved: set[Unserved] = field(default_factory=set)
    _asked_for: dict[str, int] = field(default_factory=dict)

    @property
    def is_failing(self) -> bool:
        """Did the last sweep fail?"""
        return self._error is not None

    def failed(self, error: SfuError) -> None:
        """No node told the SFU's dispatches."""
        if self._error is None:
            self._failing_since = anyio.current_time()
        self._error = error
        self.failures += 1
        if _is_power_of_two(self.failures):
            log.warning(
                "bridge_sweep_failed", url=error.url, reason=error.cause, times=self.failures
            )

    def succeeded(self, silent_rooms: int, unserved: Collection[Unserved]) -> None:
        """A sweep was made; of some rooms it was perhaps not told."""
        if self._error is not None:
            seconds = anyio.current_time() - self._failing_since
            log.info("bridge_sweep_recovered", times=self.failures, seconds=round(seconds, 1))
            self._error, self.failures = None, 0
        if silent_rooms and not self._silent_rooms:
            log.warning("bridge_rooms_silent", rooms=silent_rooms)
        self._silent_rooms = silent_rooms
        self._note_unserved(unserved)

    def _note_unserved(self, unserved: Collection[Unserved]) -> None:
        for one in unserved:
            if one in self._unserved:
                continue
            known = one.agent_name in self._asked_for
            if not known and len(self._asked_for) >= UNSERVED_MAX:
                continue
            times = self._asked_for[one.agent_name] = self._asked_for.get(one.agent_name, 0) + 1
            if _is_power_of_two(times):
                log.warning(
                    "bridge_agent_unserved",
                    room=one.room,
                    agent_name=one.agent_name,
                    dispatch_id=one.dispatch_id,
                    times=times,
                )
        self._unserved = set(unserved)

    def warnings(self) -> list[str]:
        """Say in lines for people what is not well now."""
        lines: list[str] = []
        if self._error is not None:
            seconds = anyio.current_time() - self._failing_since
            lines.append(
                f"bridge: the SFU's dispatches cannot be listed for {seconds:.0f} s"
                f" ({self.failures} times): {self._error}"
            )
        if self._silent_rooms:
            lines.append(
                f"bridge: the SFU tells nothing of {self._silent_rooms} of its rooms;"
                " is one of its nodes away?"
            )
        return lines


def _is_power_of_two(number: int) -> bool:
    return number & (number - 1) == 0
