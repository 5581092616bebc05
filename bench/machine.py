"""What a run was measured on, as its report says it."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["environment", "load_average", "synced_write"]

SYNCED_WRITES = 300


def environment() -> dict[str, str]:
    """What the numbers are of: commit, machine, packages."""
    packages = ("uvicorn", "uvloop", "httptools", "websockets", "protobuf", "apsw")
    return {
        "commit": subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
        ).stdout.strip(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "packages": ", ".join(f"{name} {metadata.version(name)}" for name in packages),
        "load average before": load_average(),
    }


def synced_write(folder: Path) -> str:
    """What the disk itself takes for a write that lasts: no commit can be faster."""
    taken: list[float] = []
    with (folder / "synced-write").open("wb", buffering=0) as file:
        for _ in range(SYNCED_WRITES):
            started_at = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - started_at)
    quantiles = statistics.quantiles(taken, n=100)
    return f"4 KiB: p50 {1e3 * quantiles[49]:.2f} ms, p99 {1e3 * quantiles[98]:.2f} ms"


def load_average() -> str:
    """The load of the last 1, 5 and 15 minutes."""
    return " ".join(f"{load:.2f}" for load in os.getloadavg())
