"""`dev` starts the program anew when its files change: the worker is a process below this one.

A change tells the old process twice to end, so that its jobs are handed over and the new one resumes
them. Ctrl-C goes through this process to the worker, which drains as in production. A worker that
ends with an error (a mistake in the file that was just saved) is started again at the next change.
When this process is gone, however it went, the worker ends too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import structlog

from worker_sdk.log_events import LogEvent
from worker_sdk.signals import ENDING_SIGNALS, KILLED_EXIT_CODE

__all__ = ["Reloader", "end_with_parent", "is_reloaded"]

# Names the descriptor that ends with the parent; set for the worker's process only.
PARENT_VARIABLE = "CALLBOARD_WORKER_DEV_PARENT"

# Who has no jobs ends by the first signal. The second is another one: two of a kind are one to a process
# that has not come to handle the first.
SIGNAL_GAP_SECONDS = 0.3
# Then the old process is killed.
STOP_SECONDS_MAX = 15.0
# How often it is looked whether the worker has ended by itself.
LOOK_MILLISECONDS = 100


def is_reloaded() -> bool:
    """Is this the worker's process below a reloader?"""
    return PARENT_VARIABLE in os.environ


def end_with_parent() -> None:
    """End this process in good order when the reloader is gone."""
    # What this program starts itself is no worker below the reloader.
    descriptor = int(os.environ.pop(PARENT_VARIABLE))

    def watch() -> None:
        os.read(descriptor, 1)  # returns when the other end is closed
        for number in ENDING_SIGNALS:
            os.kill(os.getpid(), number)
            time.sleep(SIGNAL_GAP_SECONDS)

    threading.Thread(target=watch, name="watch the reloader", daemon=True).start()


class Reloader:
    """Runs this very program in a process below, until it ends or is told to end."""

    def __init__(self, folder: Path, command: Sequence[str] | None = None) -> None:
        self._folder = folder
        # The same interpreter, options, program and arguments as this process.
        self._command = list(command or [sys.executable, *sys.orig_argv[1:]])
        self._log = structlog.get_logger("callboard.worker")
        self._process: subprocess.Popen[bytes] | None = None
        self._signals = 0
        # Nobody writes to it: the worker reads its end when this process is gone.
        self._read_end, self._write_end = os.pipe()

    def run(self) -> int:
        """Start, watch, start anew. Returns the exit code of the last process."""
        from watchfiles import PythonFilter, watch  # only `dev` needs it

        before = {number: signal.signal(number, self._forward) for number in ENDING_SIGNALS}
        self._log.info(LogEvent.RELOADER_WATCHES, folder=str(self._folder))
        is_started = False
        try:
            for changes in watch(
                self._folder,
                watch_filter=PythonFilter(),
                rust_timeout=LOOK_MILLISECONDS,
                yield_on_timeout=True,
                raise_interrupt=False,
            ):
                if not is_started:
                    # Not before the files are watched: a change in between would never be noticed.
                    is_started = True
                    self._start()
                elif changes and not self._signals:
                    names = sorted({Path(path).name for _, path in changes})
                    self._log.info(LogEvent.RELOADED, changed=names)
                    self._stop()
                    self._start()
                code = self._look()
                if code is not None:
                    return code
            return KILLED_EXIT_CODE
        finally:
            self._stop()
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._read_end)
            os.close(self._write_end)

    def _start(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this very program
            self._command,
            env={**os.environ, PARENT_VARIABLE: str(self._read_end)},
            pass_fds=(self._read_end,),
            # So that Ctrl-C reaches it through here, once.
            start_new_session=True,
        )

    def _look(self) -> int | None:
        """The exit code to end with, if the worker's end is this program's."""
        process = self._process
        if process is None or process.poll() is None:
            return None
        if self._signals or process.returncode == 0:
            # A negative one is the signal that it died of.
            return process.returncode if process.returncode >= 0 else 128 - process.returncode
        self._log.error(LogEvent.RELOADER_WAITS, exit_code=process.returncode)
        self._process = None
        return None

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for number in ENDING_SIGNALS:
            if process.poll() is None:
                process.send_signal(number)
                try:
                    process.wait(SIGNAL_GAP_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        if self._process is not None:
            self._process.send_signal(number)
        if self._process is None or self._signals > 3:
            raise SystemExit(KILLED_EXIT_CODE)
