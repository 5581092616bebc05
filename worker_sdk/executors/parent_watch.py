"""Ends a job process whose worker is gone, whatever the process does at that moment.

A thread waits for the end of the worker's socket, then gives the job a bounded time to end, then
kills the process and all of its group. It needs a turn of the interpreter now and then: for a
process that computes in C without ever giving one, Linux is asked to send a signal as well.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time

__all__ = ["PARENT_GONE_SECONDS_MAX", "die_with_parent", "kill_own_group", "watch_parent"]

# What a job has to clean up. Another worker is given the job after the grace time of the lost one.
PARENT_GONE_SECONDS_MAX = 2.0
# How often it is looked whether another process has become the parent: a worker that forked may
# have left its end of the socket to somebody.
_POLL_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1


def watch_parent(descriptor: int) -> None:
    """Begin to watch the worker that started this process; `descriptor` is the socket to it."""
    parent = os.getppid()
    if sys.platform == "linux":
        _ask_kernel()
    thread = threading.Thread(
        target=_watch, args=(descriptor, parent), name="callboard-parent-watch", daemon=True
    )
    thread.start()


def die_with_parent() -> None:
    """Have the kernel (Linux) end this process as soon as its parent has ended."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def kill_own_group() -> None:
    """End this process and all that it started, at once."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _watch(descriptor: int, parent: int) -> None:
    poller = select.poll()
    poller.register(descriptor, 0)  # its end is told without being asked for
    while not poller.poll(_POLL_SECONDS * 1000) and os.getppid() == parent:
        pass
    time.sleep(PARENT_GONE_SECONDS_MAX)
    kill_own_group()


def _ask_kernel() -> None:
    """Have the process killed some seconds after its parent has ended, without the interpreter.

    The signal is SIGQUIT, number 3, and what handles it is libc's own `alarm`, which is called with
    the number: SIGALRM ends the process 3 s later, after the thread above has had its time.
    """
    import ctypes

    libc = ctypes.CDLL(None)
    libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.signal.restype = ctypes.c_void_p
    libc.signal(signal.SIGQUIT, ctypes.cast(libc.alarm, ctypes.c_void_p))
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
