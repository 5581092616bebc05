"""What an agent of the benchmark writes down and waits for; the same code for both SDKs.

A note is one line `<started|ended> <job id> <monotonic ns>` in the file that BENCH_NOTES names; monotonic
time is the same in all processes of a machine. A job whose metadata is empty ends at once; else it
goes on until the file that its metadata names is there.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOTES_VARIABLE = "BENCH_NOTES"
POLL_SECONDS = 0.05


@contextmanager
def noted(job_id: str) -> Iterator[None]:
    """Note when a job function begins and when it ends, whatever ends it."""
    _note("started", job_id)
    try:
        yield
    finally:
        _note("ended", job_id)


def _note(event: str, job_id: str) -> None:
    """Append one line, in one write, so that the lines of several processes do not mix."""
    line = f"{event} {job_id} {time.monotonic_ns()}\n".encode()
    descriptor = os.open(os.environ[NOTES_VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def is_over(metadata: str) -> bool:
    """Has the job that was made with this metadata nothing more to do?"""
    return not metadata or Path(metadata).exists()
