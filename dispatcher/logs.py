"""Logs are events: a constant name, ids bound to it, one catalogue of all names.

`EVENTS` is that catalogue, and docs/log-events.md is written from it: `python -m dispatcher.logs`.
A test holds it against the source: each name that is logged is in it, and each one in it is logged.
For people on a terminal (or with --dev) an event is a coloured line, otherwise a JSON object a line.
Secrets and tokens never reach a log, whoever passes them: they are replaced by key and by form.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

import structlog

from dispatcher.config.tree import LogFormat, LogLevel

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

EVENTS: Mapping[str, str] = {
    "job_moved": "A job's state changed, durably; `kind` says how, as in the event log."
    " What happens to every job when all is well is logged at debug.",
    "jobs_moved": "As `job_moved`, for several jobs of a worker that was lost, or is back."
    " At debug each of them is told too.",
    "engine_failed": "A bug of ours: the server ends rather than go on with what it cannot trust.",
    "store_cannot_write": "A commit failed and is tried again; callers are refused meanwhile.",
    "store_writes_again": "Commits pass again; nothing was lost.",
    "worker_word_ignored": "A worker said something of no consequence; `reason` says why.",
    "server_started": "The server takes connections at `url`; its store is in `data_dir`.",
    "server_draining": "A signal came: no more offers, and what is in flight settles.",
    "server_stopped": "The server has ended; `forced` says that a second signal cut it short.",
    "api_secret_short": "The secret of `api_key` has fewer than 32 bytes, and can be guessed.",
    "open_files_limit_kept": "The limit on open files stays at `limit`; it bounds the connections.",
    "event_loop_error": "Something failed that nobody waited for. A bug: please report it.",
    "api_call_failed": "A call was answered with an internal error. A bug: please report it.",
    "webhook_refused": "A webhook was answered with `status`, and why; the 1st, 2nd, 4th ... time.",
    "webhook_failed": "A webhook was answered with an internal error. A bug: please report it.",
    "webhook_ignored": "A webhook was about something else than who is in a room.",
    "room_event_taken": "What follows from a room event is durable; `again`: it came before.",
    "room_event_refused": "A room event is over a bound, which `reason` names; nothing changed."
    " Said the 1st, 2nd, 4th ... time of a room, with `times`.",
    "worker_registered": "A worker is connected and may be offered jobs soon.",
    "worker_refused": "A connection was refused at its upgrade, with HTTP `status`; of what a flood"
    " repeats the 1st, 2nd, 4th ... time in a few seconds, with `count`.",
    "worker_start_refused": "A worker's first message was no registration, or one with a bad value,"
    " which `reason` names: it is closed after a while; said the 1st, 2nd, 4th ... time.",
    "worker_message_ignored": "A message of a worker was ignored; said the 1st, 2nd, 4th ... time.",
    "worker_cut_off": "A worker did not read what it was sent, and its connection was cut.",
    "caller_cut_off": "A caller did not read what it was answered, and its connection was cut.",
    "event_stream_failed": "An event stream was ended because the log could not be read.",
    "notice_delivered": "A webhook of ours was taken by its receiver.",
    "notice_failed": "A webhook of ours was not taken, and is sent again; said the 1st, 2nd, 4th ...",
    "notices_flow_again": "A receiver takes our webhooks again, after `failures` that it did not.",
    "notice_skipped": "A webhook of ours is given up; its receiver gets the ones after it.",
    "notices_gone": "What a receiver should have been told was pruned before it could be.",
    "notice_position_unsaved": "How far a receiver was told could not be stored; it may be told twice.",
    "worker_disconnected": "A worker's connection is gone; its jobs are kept for its grace time."
    " `reason`: closed by the worker (with the code), no answer to a ping, cut off, connection lost (it was"
    " killed, or its path is gone), going away (this server drains) or dropped: status_stale (it hangs),"
    " taken_over (it is back on another connection), instance_shared, the server stops.",
    "instance_id_shared": "Two workers of one agent say the same `instance_id` and take each other's"
    " place without end: give each process its own, or none (the SDK makes one).",
    "worker_drained": "An operator took a worker out of service; what it still has after"
    " `hand_over_after_seconds` goes to others, with 0 it keeps it.",
    "sfu_unreachable": "The SFU's rooms cannot be listed; nothing is changed until they can.",
    "sfu_reachable_again": "The SFU's rooms are listed again.",
    "sfu_call_failed": "A call could not be passed on to the SFU (the first one of an outage), or the"
    " SFU refused what we asked it for a call at `path`.",
    "bridge_registered": "The SFU offers us jobs for this name, type and deployment, on one socket.",
    "bridge_disconnected": "A socket to the SFU's /agent at `url` is lost, or cannot be made.",
    "bridge_connected_again": "The sockets to the SFU's /agent at `url` are registered again.",
    "bridge_offer_declined": "A job that the SFU offered could not be committed; it looks further.",
    "bridge_sweep_failed": "The SFU's dispatches cannot be listed; nothing is changed until they can."
    " Said the 1st, 2nd, 4th ... time, with `times`; while it lasts /readyz says so too.",
    "bridge_sweep_recovered": "The SFU's dispatches can be listed again, after `times` in `seconds`.",
    "bridge_rooms_silent": "The SFU lists `rooms` rooms of which it tells no more: one of its nodes is"
    " away. Their jobs go on.",
    "bridge_agent_unserved": "A token, or CreateRoom, asked for an agent that no worker of ours ever"
    " served: a wrong name? Said the 1st, 2nd, 4th ... time of a name, with `times`.",
    "bridge_names_over_limit": "More is served than the bridge may register; the rest is left out.",
    "library_log": "A library (`logger`) says something (`message`) that is no event of ours.",
}

REDACTED = "[redacted]"

# A word of a key that says that its value must not be read by whoever reads logs.
_SECRET_KEY = re.compile(
    r"(^|[_\-.])(secrets?|tokens?|passwords?|authorization|cookie|jwt|keys)$", re.IGNORECASE
)
# A signed token in any text, a bearer header, user and password in an address.
_SECRET_TEXT = re.compile(
    r"eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*|(?<=[Bb]earer )\S+|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|(?<=[?&]access_token=)[^&\s\"']+|(?<=[?&]worker_token=)[^&\s\"']+"
)
_DEPTH_MAX = 6


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace whatever looks like a secret, by its key or by its form; a structlog processor."""
    return {key: _redacted(key, value, _DEPTH_MAX) for key, value in event.items()}


def _redacted(key: str, value: object, depth: int) -> object:
    if _SECRET_KEY.search(key) and value is not None:
        return REDACTED
    if isinstance(value, str):
        return _SECRET_TEXT.sub(REDACTED, value)
    if isinstance(value, bytes | bytearray):
        return f"<{len(value)} bytes>"  # bodies and frames are not for logs
    if depth and isinstance(value, Mapping):
        return {name: _redacted(str(name), inner, depth - 1) for name, inner in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", inner, depth - 1) for inner in value]
    return value


def _name_foreign(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Give a library's record, which is any text, the constant name of the catalogue."""
    event["message"] = event.pop("event")
    event["event"] = "library_log"
    return event


def configure_logs(
    level: LogLevel = LogLevel.INFO,
    format: LogFormat = LogFormat.AUTO,  # noqa: A002
    stream: TextIO | None = None,
) -> None:
    """Set up logging of this process, once, to `stream` (stderr). Libraries' warnings come along."""
    out = sys.stderr if stream is None else stream
    for_people = format is LogFormat.HUMAN or (format is LogFormat.AUTO and out.isatty())
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(
            fmt="%H:%M:%S.%f" if for_people else "iso", utc=not for_people
        ),
    ]
    structlog.configure(
        processors=[*shared, *_ending(for_people, out)],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, _name_foreign],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_ending(for_people, out),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.WARNING))


def _ending(for_people: bool, out: TextIO) -> list[Processor]:
    # The traceback becomes text before `redact` sees it, and without local variables: both may
    # hold what must not be logged.
    render: Processor = structlog.processors.JSONRenderer(default=str)
    if for_people:
        render = structlog.dev.ConsoleRenderer(
            colors=out.isatty(),
            pad_event_to=24,
            exception_formatter=structlog.dev.plain_traceback,
        )
    return [structlog.processors.format_exc_info, redact, render]


def catalogue_page() -> str:
    """Return docs/log-events.md."""
    rows = "\n".join(f"| `{name}` | {EVENTS[name]} |" for name in sorted(EVENTS))
    return (
        "# Log events\n\n"
        "Every event that a Callboard server logs. Written by `python -m dispatcher.logs` from the\n"
        "catalogue in `dispatcher/logs.py`; a test holds both against the source.\n\n"
        "On a terminal, or with `--dev`, an event is a line for people; otherwise it is a JSON\n"
        "object on a line of its own, with `event`, `level`, `timestamp` (ISO 8601, UTC) and the\n"
        "ids of what it is about (`worker_id`, `job_id`, `dispatch_id`, `room` ...). Secrets and\n"
        "tokens are replaced by `[redacted]`.\n\n"
        f"| event | what happened |\n|---|---|\n{rows}\n"
    )


if __name__ == "__main__":
    sys.stdout.write(catalogue_page())
