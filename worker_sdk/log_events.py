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
    SHUTDOWN_CALLBACK_FAILED = "shutdown_callback_failed"
    SHUTDOWN_CUT_OFF = "shutdown_cut_off"  # callbacks took too long; some were `not_called`
    # job processes
    PROGRAM_UNUSABLE = "program_unusable"  # a job process could not load or prewarm it
    PROCESS_READY = "process_ready"
    PROCESS_START_FAILED = "process_start_failed"  # with a `cause`; tried again
    PROCESS_REPLACED = "process_replaced"  # was warm, and found dead, hung or too large
    PROCESS_KILLED = "process_killed"  # by this worker, with the `cause`
    PROCESS_NOT_GONE = "process_not_gone"  # killed, and still there
    JOB_IN_PROCESS = "job_in_process"  # the `pid` in which a job runs
    # the worker
    LOAD_FUNCTION_FAILED = "load_function_failed"
    DRAIN_STARTED = "drain_started"
    DRAIN_WAITS = "drain_waits"  # what for: its jobs, with their ids and seconds, or its results
    DRAIN_DEADLINE_PASSED = "drain_deadline_passed"  # what still runs is handed over
    DRAIN_FINISHED = "drain_finished"
    STOP_FORCED = "stop_forced"
    HEALTH_LISTENING = "health_listening"
    RECORDS_NOT_WRITTEN = "records_not_written"  # once: jobs go on, their record has a gap
    RECORDS_WRITTEN_AGAIN = "records_written_again"  # so many lines are `missing`
    # the reloader of `dev`
    RELOADER_WATCHES = "reloader_watches"
    RELOADED = "reloaded"  # because files `changed`
    RELOADER_WAITS = "reloader_waits"  # the program ended with an error: for the next change
