"""What to know before one believes the figures of a run, in sentences; and where it was run."""

from __future__ import annotations

import math
import os
import platform
import socket
from typing import TYPE_CHECKING

from worker_sdk.loadtest.figures import number_text
from worker_sdk.loadtest.tally import Count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_sdk.loadtest.measurements import Measurements
    from worker_sdk.loadtest.profile import Profile
    from worker_sdk.loadtest.server_record import ServerRecord

__all__ = ["machine", "notes_on"]

# The harness's own lateness is told where it is more than this share of the p99.
LATE_PART_NOTED = 0.3
# That the machine is full is told from this share of its cores on.
MACHINE_SHARE_NOTED = 0.85


def notes_on(
    profile: Profile,
    measured: Measurements,
    values: Mapping[str, float | None],
    *,
    is_saturated: bool,
    is_stock: bool,
    record: ServerRecord | None = None,
) -> list[str]:
    """The notes on a run with these figures."""
    sums, notes = measured.sums, []
    if is_saturated:
        notes.append(
            "the harness itself was the bottleneck: its own processes were busy, or as late as half"
            " of the time to the assignment; the figures are its own as much as the server's."
            " More --caller-processes or"
            " --worker-processes on more cores, or another machine, or less load"
        )
    p99_ms = values["p99_ms"] or math.inf
    for name, words in (
        ("harness_late_p99_ms", "the harness made calls"),
        ("harness_lag_p99_ms", "the harness read what came"),
    ):
        late_ms = values[name] or 0.0
        if late_ms > LATE_PART_NOTED * p99_ms and not is_saturated:
            notes.append(
                f"{words} up to {number_text(late_ms)} ms late (p99), which is a large part of"
                f" the p99 of {number_text(p99_ms)} ms: this machine has too much else to do"
            )
    cores, used = os.cpu_count() or 1, values["machine_cpu_cores"] or 0.0
    if used > MACHINE_SHARE_NOTED * cores:
        here = "server, harness and all else" if values["server_cpu_cores"] else "what runs"
        notes.append(
            f"{here} on this machine used {used:.1f} of its {cores} cores: with the machine for"
            " itself the server does more, and sooner"
        )
    if sums["waits_for_connection"]:
        notes.append(
            f"{sums['waits_for_connection']} calls waited for one of the connections"
            f" (connections_max {profile.connections_max}); the wait is in their latency"
        )
    if sums["foreign_jobs"]:
        notes.append(
            f"{sums['foreign_jobs']} jobs were not of this run (of an earlier one?): taken,"
            " ended, and not counted"
        )
    notes += _notes_on_unaccounted(profile, values["lost"] or 0.0, record)
    if measured.count(Count.NOT_MADE):
        notes.append("calls that were due were not made: the figures leave them out")
    if is_stock:
        notes.append(
            "livekit-server: durability, receipts, verdicts over claims and jobs that go on"
            " elsewhere are not on stock, and not judged"
        )
    return notes


def _notes_on_unaccounted(profile: Profile, lost: float, record: ServerRecord | None) -> list[str]:
    notes = []
    overdue = record.queued + record.running if record else 0
    if lost or overdue:
        what = f"{lost:,.0f} jobs are lost" if lost else ""
        if record and overdue:
            what += " and " if what else ""
            what += f"{record.queued:,} jobs were queued and {record.running:,} running still"
        notes.append(
            f"{what} {profile.drain_seconds:g} s after the last call: latencies are of those that"
            " were assigned, and so better than what callers saw"
            + (". More --drain-seconds, or less load" if overdue else "")
        )
    if record and record.ended:
        notes.append(
            f"{record.ended:,} jobs have ended by the server's record, and no worker here heard it:"
            " not lost, and not in the latencies of ends"
        )
    if record and record.unasked:
        notes.append(
            f"of {record.unasked:,} of the jobs that count as lost the server was not asked:"
            f" {record.why_unasked}"
        )
    return notes


def machine() -> dict[str, str]:
    """The machine of the harness."""
    return {
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "host": socket.gethostname(),
    }
