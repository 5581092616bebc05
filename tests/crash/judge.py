"""The judge: what became of each acknowledged dispatch, and who held which epoch of which job.

Sources that know nothing of each other: the event log in the data folder (the server's word), the
workers' records (what really ran) and what was acknowledged to the callers. The history checker
holds them against the invariants; to which end each job comes is the plan's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dispatcher.core.jobs import SECOND
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.policy import Policy
from dispatcher.history import (
    Acknowledgement,
    Assumptions,
    StoreFacts,
    WorkerRecord,
    check,
)
from dispatcher.history import Verdict as History
from dispatcher.history.report import told
from dispatcher.store.contract import EventRow

# which invariants are counted under these heads; all others are contradictions in the log
LOST = frozenset({"acknowledged", "kept", "endings"})
DOUBLED = frozenset({"holders"})
STALE = frozenset({"results"})

_POLICY = Policy()
# The run is over when it is judged, every worker of it has written a record, and its server has
# the policy that it has by default.
ASSUMPTIONS = Assumptions(
    is_over=True,
    has_all_workers=True,
    attempts_max=_POLICY.attempts_max,
    grace_seconds_max=_POLICY.grace / SECOND,
    offer_seconds_max=_POLICY.offer_timeout / SECOND,
    retry_seconds_max=_POLICY.retry_backoff_max / SECOND,
    queue_seconds_max=_POLICY.queue_time / SECOND,
)


@dataclass(frozen=True)
class Verdict:
    """What was found. Empty lists are good."""

    history: History
    # acknowledged dispatches whose jobs are not there, or came to an end that they may not come to
    failed: tuple[str, ...]
    attempts_beyond_first: int

    @property
    def is_good(self) -> bool:
        """Was nothing lost, doubled, stale or broken?"""
        return self.history.is_clean and not self.failed

    @property
    def lost(self) -> list[str]:
        """Acknowledged jobs that are not there, or came to a wrong end."""
        broken = self._told(LOST)
        said = "\n".join(broken)  # each is counted once
        return [*(one for one in self.failed if one.split()[0] not in said), *broken]

    @property
    def doubled(self) -> list[str]:
        """Epochs that two workers, or one worker twice, have had."""
        return self._told(DOUBLED)

    @property
    def stale(self) -> list[str]:
        """Ends that were accepted of another epoch than the newest, or that no worker reached."""
        return self._told(STALE)

    @property
    def broken(self) -> list[str]:
        """Whatever else contradicts itself."""
        names = {finding.invariant for finding in self.history.findings}
        return self._told(frozenset(names - LOST - DOUBLED - STALE))

    def _told(self, names: frozenset[str]) -> list[str]:
        return [told(one) for one in self.history.violations if one.invariant in names]


def must_succeed(_dispatch_id: str, last: EventRow) -> str:
    """Return what is wrong with the last row of a job that must succeed; "" for nothing."""
    is_right = last.phase is JobPhase.SUCCEEDED
    return "" if is_right else f"ended as {last.phase.value} ({last.trigger.value})"


def judge(
    acknowledged: Mapping[str, str],
    log: list[EventRow],
    records: list[WorkerRecord],
    store: StoreFacts | None = None,
    *,
    end_is_wrong: Callable[[str, EventRow], str] = must_succeed,
) -> Verdict:
    """Hold the sources against each other. `acknowledged`: job id by dispatch id.

    `end_is_wrong` says what is wrong with a dispatch whose job has this last row.
    """
    history = check(
        log,
        records,
        [Acknowledgement(dispatch_id) for dispatch_id in acknowledged],
        store=store,
        assumptions=ASSUMPTIONS,
    )
    last = {row.job_id: row for row in log}
    failed = []
    for dispatch_id, job_id in acknowledged.items():
        row = last.get(job_id)
        wrong = "has no row" if row is None else end_is_wrong(dispatch_id, row)
        if wrong:
            failed.append(f"{dispatch_id} {job_id}: {wrong}")
    beyond = sum(row.epoch - 1 for row in last.values())
    return Verdict(history, tuple(failed), beyond)
