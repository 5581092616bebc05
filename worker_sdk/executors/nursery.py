"""Forks job processes from one that has imported what each of them needs: a process of its own.

    python -P -m worker_sdk.executors.nursery DESCRIPTOR EVENT_LOOP

An interpreter that starts and imports this library takes some hundred milliseconds of CPU; a fork of
one that has, takes some ten, and shares its memory. Nothing of the user's program is loaded here, there
is no event loop and no thread: what is forked is in no state that it could not be in after a start.

Started by `launching`, to which it answers over a socket of whole messages, one at a time:

    a descriptor with one byte   fork a job process with this socket; answered by its pid, or E and errno
    a pid                        has that process ended? answered by its exit code, as subprocess has
                                 it, or nothing but a dash; who has ended is a zombie until it is asked for

Its end is the end of the socket; its job processes, whose parent it is, then end too (`parent_watch`).
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from worker_sdk.executors import child
from worker_sdk.executors.parent_watch import die_with_parent

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["main"]

_REQUEST_BYTES_MAX = 64


def main() -> None:
    """Serve until the worker is gone; in each process that is forked, be a job process."""
    die_with_parent()
    # Who stops a whole group of processes stops the jobs in the way that the worker decides on.
    signal.signal(signal.SIGTERM, _do_nothing)
    signal.signal(signal.SIGINT, _do_nothing)
    descriptor = int(sys.argv[1])
    # What a program imports, and what its loop needs.
    for name in ("worker_sdk.worker", f"anyio._backends._{sys.argv[2]}", "uvloop"):
        with suppress(ImportError):
            importlib.import_module(name)
    os.set_inheritable(descriptor, False)
    with socket.socket(fileno=descriptor) as worker:
        # What is there now is never looked at again, so that its memory stays shared.
        gc.collect()
        gc.freeze()
        forked = _serve(worker)
    if forked is not None:
        child.run(forked)


def _serve(worker: socket.socket) -> int | None:
    """Obey. Returns in each process that was forked, with the descriptor of its socket."""
    while True:
        request, descriptors, _flags, _address = socket.recv_fds(worker, _REQUEST_BYTES_MAX, 1)
        if not request:
            return None
        if not descriptors:
            worker.send(_ended(int(request)))
            continue
        try:
            pid = _fork()
        except OSError as error:
            answer = b"E%d" % (error.errno or 0)
        else:
            if pid == 0:
                return descriptors[0]
            answer = b"%d" % pid
        os.close(descriptors[0])
        worker.send(answer)


def _fork() -> int:
    """Fork as os.fork does. When it returns, the new process leads a session and a group of its own."""
    ours, theirs = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(ours)
        os.close(theirs)
        raise
    if pid == 0:
        os.setsid()
        os.close(ours)
        os.close(theirs)
        return 0
    os.close(theirs)
    # Who is told of the pid may kill the group at once. Its end of the pipe goes with it, too.
    os.read(ours, 1)
    os.close(ours)
    return pid


def _ended(pid: int) -> bytes:
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return b"-"
    return b"%d" % os.waitstatus_to_exitcode(status) if ended else b"-"


def _do_nothing(_signal: int, _frame: FrameType | None) -> None:
    pass


if __name__ == "__main__":
    main()
