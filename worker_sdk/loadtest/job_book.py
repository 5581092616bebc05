"""What became of each job: acknowledged, assigned to whom, ended. One byte a job, and eight.

Unaccounted is a job that was acknowledged and that nobody here has: never assigned, or given to a worker
that no longer has it, without an end. What became of it only the server can say (`server_record`).
Doubled is one that two workers held at one epoch, or that ended twice.
A job that is given to another worker at a later epoch is a rerun, which is what a dispatcher is for.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from worker_sdk.loadtest.tally import Happening

__all__ = ["JobBook"]

_ACKNOWLEDGED, _ASSIGNED, _ENDED, _END_TOLD, _HELD, _DOUBLED, _RERUN = (1 << n for n in range(7))
_SETTLED = _ENDED | _END_TOLD
_GROWTH = 65_536
_EPOCH_SHIFT = 32


class JobBook:
    """Keeps account by the numbers of jobs, which callers count from 0."""

    def __init__(self) -> None:
        self._states = bytearray()
        # Epoch and worker of the first assignment.
        self._first = array("Q")
        # Of jobs that were assigned again: all epochs and workers.
        self._holders: dict[int, set[int]] = {}
        self.acknowledged = 0
        self.ended = 0
        # Acknowledged, and not assigned so far; and not ended so far.
        self.waiting = 0
        self.open = 0
        self.doubled = 0
        self.reruns = 0

    def take(self, what: Happening, numbers: Sequence[int]) -> None:
        """Enter what a process reports; the reports of several come in any order."""
        if not numbers:
            return
        if what is Happening.ASSIGNED:
            self._grow(max(numbers[::3]))
            for at in range(0, len(numbers), 3):
                self._assigned(numbers[at], numbers[at + 1], numbers[at + 2])
            return
        self._grow(max(numbers))
        match what:
            case Happening.ACKNOWLEDGED:
                for number in numbers:
                    self._acknowledge(number)
            case Happening.ENDED:
                for number in numbers:
                    if self._states[number] & _ENDED:
                        self._double(number)
                    self._settle(number, _ENDED)
            case Happening.END_TOLD:
                for number in numbers:
                    self._settle(number, _END_TOLD)
            case Happening.HELD:
                for number in numbers:
                    self._states[number] |= _HELD

    def unaccounted(self, *, is_stock: bool) -> list[int]:
        """Jobs that were acknowledged and that nobody has.

        LiveKit's own server gives no job to a second worker: there only what was never assigned counts.
        """
        accounted = _SETTLED | _HELD | (_ASSIGNED if is_stock else 0)
        return [
            number
            for number, state in enumerate(self._states)
            if state & _ACKNOWLEDGED and not state & accounted
        ]

    def unfinished(self) -> int:
        """Jobs that workers held at the end."""
        return sum(bool(state & _HELD) and not state & _SETTLED for state in self._states)

    def _grow(self, greatest: int) -> None:
        missing = greatest + 1 - len(self._states)
        if missing > 0:
            missing += _GROWTH
            self._states.extend(bytes(missing))
            self._first.extend([0] * missing)

    def _acknowledge(self, number: int) -> None:
        state = self._states[number]
        self._states[number] = state | _ACKNOWLEDGED
        self.acknowledged += 1
        self.waiting += not state & (_ASSIGNED | _SETTLED)
        self.open += not state & _SETTLED

    def _assigned(self, number: int, epoch: int, worker: int) -> None:
        state = self._states[number]
        holder = epoch << _EPOCH_SHIFT | worker
        if not state & _ASSIGNED:
            self._states[number] = state | _ASSIGNED
            self._first[number] = holder
            if state & _ACKNOWLEDGED and not state & _SETTLED:
                self.waiting -= 1
            return
        holders = self._holders.setdefault(number, {self._first[number]})
        if holder in holders:
            return
        if any(each >> _EPOCH_SHIFT == epoch for each in holders):
            self._double(number)
        elif not state & _RERUN:
            self._states[number] |= _RERUN
            self.reruns += 1
        holders.add(holder)

    def _settle(self, number: int, how: int) -> None:
        state = self._states[number]
        self._states[number] = state | how
        self.ended += not state & _SETTLED
        if state & _ACKNOWLEDGED and not state & _SETTLED:
            self.open -= 1
            self.waiting -= not state & _ASSIGNED

    def _double(self, number: int) -> None:
        if not self._states[number] & _DOUBLED:
            self._states[number] |= _DOUBLED
            self.doubled += 1
