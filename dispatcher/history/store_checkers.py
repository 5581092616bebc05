"""Checkers that hold the log against what else there is: acknowledged dispatches, and the store."""

from __future__ import annotations

from collections.abc import Iterable

from dispatcher.core.jobs import Nanoseconds
from dispatcher.history.case import Case
from dispatcher.history.checkers import Checker
from dispatcher.history.evidence import Acknowledgement, Gone, StoreFacts
from dispatcher.history.verdict import Assumptions
from dispatcher.store.contract import EventRow


class Acknowledged(Checker):
    """What callers were told is true."""

    name = "acknowledged"
    promise = "a dispatch that was acknowledged to its caller is there, with its jobs"
    of = "dispatches"

    def __init__(
        self,
        assumptions: Assumptions,
        store: StoreFacts | None = None,
        acknowledged: Iterable[Acknowledgement] = (),
    ) -> None:
        super().__init__(assumptions, store)
        # those of which the log has had nothing so far
        self._missing = {one.dispatch_id: one.at for one in acknowledged}
        self.acknowledged = len(self._missing)
        self._first_at: Nanoseconds = 0
        self._is_pruned = False

    def gone(self, gone: Gone) -> None:
        """What is missing from now on may have been in these rows."""
        self._is_pruned = True

    def event(self, case: Case, before: EventRow | None, row: EventRow) -> None:
        """A job of the dispatch is there."""
        if not self._first_at:
            self._first_at = row.at
        if row.dispatch_id in self._missing:
            # Any row will do: that its beginning is missing is said elsewhere.
            del self._missing[row.dispatch_id]
            self.judged += 1

    def finish(self) -> None:
        """What is not in the log may be in the store: a dispatch that made no job yet."""
        for dispatch_id, at in self._missing.items():
            if self.store is not None and self.store.has_dispatch(dispatch_id):
                self.judged += 1
            elif self._is_pruned and at <= self._first_at:
                self.pass_over("acknowledged before the log begins")
            else:
                self.judged += 1
                self.blame_nobody(
                    f"dispatch {dispatch_id} was acknowledged, and there is no job of it",
                    Acknowledgement(dispatch_id, at),
                )


class Kept(Checker):
    """No job vanishes, and the store says of each what the log says."""

    name = "kept"
    promise = (
        "no job vanishes; the store says of each job what its last event says (phase, epoch, attempt,"
        " worker, reason, error, project and dispatch), and has of it what was asked for"
    )

    def __init__(self, assumptions: Assumptions, store: StoreFacts | None = None) -> None:
        super().__init__(assumptions, store)
        self._unkept = 0

    def settle(self, case: Case) -> None:
        """A job that has not ended is in the store."""
        last = case.last
        if last is None or case.end is not None:
            return
        if self.store is None:
            self._unkept += 1
        elif self.store.job(case.job_id) is None and not self.store.ended_since(
            case.job_id, last.sequence
        ):
            self.judged += 1
            self.blame(case, f"is {last.phase.value}, and the store does not have it", last)

    def finish(self) -> None:
        """Compare the store with the log, in the store."""
        if self.store is None:
            if self._unkept:
                self.pass_over("the store is not at hand", self._unkept)
            return
        comparison = self.store.comparison()
        self.judged += comparison.compared
        for why, count in comparison.unjudged.items():
            self.pass_over(why, count)
        for one in comparison.found:
            self.blame_nobody(one.what, job_id=one.job_id)
