"""The names of all log events of a worker, in one place: what a person greps for.

The values are bound to structlog's `event`; ids and details are bound beside it.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["LogEvent"]


class LogEvent(StrEnum):
    """One name for each thing that a worker may log."""

    # the connection
    WORKER_REGISTERED = "worker_registered"
    CONNECTION_LOST = "connection_lost"
    # the next two: the 1st, 2nd, 4th ... time of a kind, with `count`
    CONNECTION_FAILED = "connection_failed"
    CONNECTION_REFUSED = "connection_refused"  # an HTTP status at the upgrade; has a remedy
    CONNECTED_AGAIN = "connected_again"  # after `away_seconds`, and so many `failures`
    SERVER_GOES_AWAY = "server_goes_away"
    SERVER_FRAME_UNREADABLE = "server_frame_unreadable"
    # offers and jobs
    OFFER_REFUSED = "offer_refused"
    REQUEST_HANDLER_FAILED = "request_handler_failed"
    JOB_STARTED = "job_started"
    JOB_ENDED = "job_ended"
    JOB_FAILED = "job_failed"
    JOB_STOP_ORDERED = "job_stop_ordered"
    JOB_DOES_NOT_STOP = "job_does_not_stop"
    # the worker
    LOAD_FUNCTION_FAILED = "load_function_failed"
    DRAIN_STARTED = "drain_started"
    DRAIN_FINISHED = "drain_finished"
    STOP_FORCED = "stop_forced"
