"""What a job process logs is logged by its worker, as if the job ran there.

In the job process, structlog and the root logger of `logging` hand everything to the worker, which
has the configuration that its main program made. A program that configures either of them at its
top level configures it in the job process too, and what it says there counts: such lines go where
that configuration sends them, from the job process itself. Standard output and error are the
worker's own.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import structlog

from protocol import executor_pb2
from protocol.limits import escaped_text

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["forward_logs", "log_standard", "log_structured"]

Send = Callable[[executor_pb2.ChildMessage], None]

# A longer text of a log line is cut: the socket is for the jobs.
TEXT_CHARACTERS_MAX = 64 * 1024
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
# Arguments of the logger's methods, which no field may be called.
_RESERVED_FIELDS = {"self", "event"}


def forward_logs(send: Send, *, structured_level: int, standard_level: int) -> None:
    """In a job process: hand all logs of these levels (logging's numbers) and up to the worker."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            _StructlogForwarder(send),
        ],
        # It knows the levels that have names, and no others.
        wrapper_class=structlog.make_filtering_bound_logger(
            max((level for level in _LEVELS.values() if level <= structured_level), default=0)
        ),
    )
    root = logging.getLogger()
    root.addHandler(_Forwarder(send))
    root.setLevel(standard_level)


def log_structured(message: executor_pb2.StructuredLog, log: FilteringBoundLogger) -> None:
    """In the worker: log what a job process logged with structlog."""
    fields: dict[str, Any] = json.loads(message.fields_json)
    method = getattr(log, message.level if message.level in _LEVELS else "error")
    method(message.event, **fields)


def log_standard(message: executor_pb2.StandardLog, pid: int) -> None:
    """In the worker: log what a job process logged with the standard library's logging."""
    logger = logging.getLogger(message.logger)
    if not logger.isEnabledFor(message.level):
        return
    record = logger.makeRecord(
        message.logger, message.level, message.path, message.line, message.message, (), None
    )
    record.exc_text = message.exception or None
    record.created = message.created_at_seconds
    record.process = pid
    logger.handle(record)


class _StructlogForwarder:
    def __init__(self, send: Send) -> None:
        self._send = send

    def __call__(
        self, logger: object, method: str, event_dict: MutableMapping[str, Any]
    ) -> Mapping[str, Any]:
        event = str(event_dict.pop("event", ""))
        fields = {
            f"{name}_" if name in _RESERVED_FIELDS else name: _cut(value)
            if isinstance(value, str)
            else value
            for name, value in event_dict.items()
        }
        self._send(
            executor_pb2.ChildMessage(
                structured_log=executor_pb2.StructuredLog(
                    level="error" if method == "exception" else method,
                    event=_cut(event),
                    fields_json=json.dumps(fields, default=repr, skipkeys=True).encode(),
                )
            )
        )
        raise structlog.DropEvent


class _Forwarder(logging.Handler):
    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        exception = record.exc_text or ""
        if record.exc_info and record.exc_info[0] is not None:
            exception = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        try:
            self._send(
                executor_pb2.ChildMessage(
                    standard_log=executor_pb2.StandardLog(
                        logger=record.name,
                        level=record.levelno,
                        message=_cut(record.getMessage()),
                        exception=_cut(exception),
                        path=record.pathname,
                        line=record.lineno,
                        created_at_seconds=record.created,
                    )
                )
            )
        except Exception:  # noqa: BLE001 - as every handler: a wrong log call breaks no program
            self.handleError(record)


def _cut(text: str) -> str:
    text = escaped_text(text)
    return text if len(text) <= TEXT_CHARACTERS_MAX else text[:TEXT_CHARACTERS_MAX] + "..."
