"""A driver process: started, told what to do, asked what it took, ended with all that it started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import psutil

from bench.servers import cpu_seconds, stop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["DriverProcess", "driving"]

# It answers after all of its own waits, which are shorter, have ended.
ANSWER_SECONDS_OVER = 60.0


class DriverProcess:
    """One process that calls a contender, and has workers at it."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    async def ready(self) -> None:
        """Wait until all its connections stand. Raises RuntimeError where they do not."""
        await self._answer(ANSWER_SECONDS_OVER)

    async def closed(self, callers: int, seconds: float) -> dict[str, Any]:
        """A closed loop; returns what `shapes.Taken` says of it."""
        return await self._do({"shape": "closed", "callers": callers, "seconds": seconds}, seconds)

    async def open(self, rate: float, seconds: float) -> dict[str, Any]:
        """An open loop; the same."""
        return await self._do({"shape": "open", "rate": rate, "seconds": seconds}, seconds)

    def cpu_seconds(self) -> float:
        """CPU time of the driver and of the worker processes that it started."""
        process = psutil.Process(self._process.pid)
        family = [process.pid, *(child.pid for child in process.children(recursive=True))]
        return sum(cpu_seconds(pid) for pid in family)

    async def _do(self, command: Mapping[str, object], seconds: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return await self._answer(seconds + ANSWER_SECONDS_OVER)

    async def _answer(self, seconds_max: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        with anyio.move_on_after(seconds_max):
            line = await anyio.to_thread.run_sync(
                self._process.stdout.readline, abandon_on_cancel=True
            )
            if line:
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise RuntimeError(f"the driver gave no answer; see {self._log}")


@contextmanager
def driving(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[DriverProcess]:
    """Run a driver in a process group of its own."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            start_new_session=True,
        )
    try:
        yield DriverProcess(process, log)
    finally:
        try:
            os.killpg(process.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        stop(process)
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
