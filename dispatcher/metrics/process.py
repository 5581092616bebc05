"""What this process uses: CPU, memory, files. None of it grows with what it holds open."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from dispatcher.metrics import catalogue
from dispatcher.metrics.catalogue import Metric
from dispatcher.metrics.exposition import Sample

_FDS = Path("/proc/self/fd")


class ProcessFigures:
    """Looks at the process that made it."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._started_at = self._process.create_time()

    def families(self) -> Iterator[tuple[Metric, list[Sample]]]:
        """Yield each figure; those that this system does not tell are left out."""
        yield catalogue.PROCESS_CPU, [((), time.process_time())]
        yield catalogue.PROCESS_MEMORY, [((), self._process.memory_info().rss)]
        yield catalogue.PROCESS_START, [((), self._started_at)]
        files = self._open_files()
        if files is not None:
            yield catalogue.PROCESS_FDS, [((), files)]
        most = _most_open_files()
        if most is not None:
            yield catalogue.PROCESS_FDS_MAX, [((), most)]

    def _open_files(self) -> int | None:
        """Linux tells it as the size of a folder since 6.2; to list thousands takes milliseconds."""
        try:
            return _FDS.stat().st_size or len(os.listdir(_FDS))  # noqa: PTH208 - names alone
        except OSError:
            pass
        try:
            return self._process.num_fds()
        except (AttributeError, psutil.Error):  # Windows has none
            return None


def _most_open_files() -> int | None:
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else None
