"""What to know before one believes the figures of a run, in sentences; and where it was run."""

from __future__ import annotations

import os
import platform
import socket
from typing import TYPE_CHECKING

from worker_sdk.loadtest.tally import Count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_sdk.loadtest.measurements import Measurements
    from worker_sdk.loadtest.profile import Profile

__all__ = ["machine", "notes_on"]

# The harness's own lateness is told where it is more than this share of the p99.
LATE_SHARE_NOTED = 0.3
# That the machine is full is told from this share of its cores on.
MACHINE_SHARE_NOTED = 0.85


def notes_on(
    profile: Profile,
    measured: Measurements,
    values: Mapping[str, float | None],
    *,
    is_saturated: bool,
    is_stock: bool,
) -> list[str]:
    """The notes on a run with these figures."""
    sums, notes = measured.sums, []
    if is_saturated:
        notes.append(
            "the harness itself was the bottleneck: its own processes were busy or late, and"
            " the figures are its own as much as the server's. More --caller-processes or"
            " --worker-processes on more cores, or another machine, or less load"
        )
    late_ms, p99_ms = values["harness_late_p99_ms"], values["p99_ms"]
    if late_ms and p99_ms and late_ms > LATE_SHARE_NOTED * p99_ms and not is_saturated:
        notes.append(
            f"the harness made calls up to {late_ms:.3g} ms late (p99), which is a large part of"
            f" the p99 of {p99_ms:.3g} ms: this machine has too much else to do"
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
    if values["lost"]:
        notes.append(
            f"{values['lost']:,.0f} jobs had no worker {profile.drain_seconds:g} s after the"
            " last call (more than --drain-seconds?): latencies are of those that were assigned,"
            " and so better than what callers saw"
        )
    if measured.count(Count.NOT_MADE):
        notes.append("calls that were due were not made: the figures leave them out")
    if is_stock:
        notes.append(
            "livekit-server: durability, receipts, verdicts over claims and jobs that go on"
            " elsewhere are not on stock, and not judged"
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
