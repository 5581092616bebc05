"""How a process ended that did not end as it should: the one line that people read. Pure.

It is the error of the job that ran in the process, or, where none did, the cause in the log.
"""

from __future__ import annotations

import signal

__all__ = [
    "CLOSED_ITS_SOCKET",
    "did_not_leave",
    "did_not_stop",
    "did_not_take",
    "exited",
    "hung",
    "no_process",
    "not_ready",
    "over_memory",
    "over_time",
]

CLOSED_ITS_SOCKET = "the process closed its connection to the worker and ran on"


def exited(return_code: int) -> str:
    """The process ended by itself, or was killed by others; `return_code` is subprocess's."""
    if return_code >= 0:
        return f"the process exited with code {return_code}"
    number = -return_code
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    # The worker names its own reason where it kills: this one came from elsewhere.
    hint = " (not by this worker: by the kernel for want of memory, or by hand)"
    return f"the process was killed by {name}{hint if number == signal.SIGKILL else ''}"


def over_memory(used_bytes: int, allowed_bytes: int) -> str:
    """The process and what it started use too much."""
    return (
        f"the process used {used_bytes} bytes of memory, {allowed_bytes} are allowed: it was killed"
    )


def over_time(job_seconds_max: float) -> str:
    """The job ran too long."""
    return f"the job ran for longer than the {job_seconds_max:g} s that are allowed"


def hung(ping_seconds_max: float) -> str:
    """The event loop of the process does not answer."""
    return (
        f"the process hung: its event loop did not turn for {ping_seconds_max:g} s,"
        " and it was killed"
    )


def did_not_stop(stop_seconds_max: float) -> str:
    """The job was told to stop and did not."""
    return (
        f"the job did not stop within {stop_seconds_max:g} s of being told to,"
        " and its process was killed"
    )


def not_ready(prewarm_seconds_max: float) -> str:
    """The process did not get through its start."""
    return (
        f"the program was not loaded and prewarmed within {prewarm_seconds_max:g} s,"
        " and the process was killed"
    )


def did_not_take(take_seconds_max: float) -> str:
    """The process was ready, and then not."""
    return (
        f"the process was ready, and then did not take a job within {take_seconds_max:g} s:"
        " it was killed"
    )


def did_not_leave(leave_seconds_max: float) -> str:
    """The process was told to end and did not; its job was over before."""
    return (
        f"the process did not end within {leave_seconds_max:g} s of being told to"
        " (a thread or an exit function of the program still runs)"
    )


def no_process(wait_seconds_max: float, last_failure: str | None) -> str:
    """No process became free for the job."""
    why = f"the last one failed: {last_failure}" if last_failure else "all are still starting"
    return f"no process became ready for the job within {wait_seconds_max:g} s; {why}"
