"""The HTTP port that tells how a worker is: for probes of an orchestrator, and for Prometheus.

    GET /healthz   200 when the event loop turns: a worker whose loop is blocked gives no answer
    GET /readyz    200 when it is registered and takes jobs, else 503 and why
    GET /metrics   Prometheus's text format

Off unless `health_port` is set. It speaks as much HTTP as probes need: one request a connection, a
bounded head, no body; anything else is answered with an error status. Nothing here changes the
worker, and nothing that it says is secret.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import anyio
import anyio.abc

from protocol.errors import ConfigError
from worker_sdk.execution import OutcomeKind
from worker_sdk.log_events import LogEvent

if TYPE_CHECKING:
    from anyio.abc import TaskStatus
    from structlog.typing import FilteringBoundLogger

    from worker_sdk.counts import WorkerCounts
    from worker_sdk.executors.executor import PoolCounts

__all__ = ["HealthServer", "WorkerState", "metric_rows", "metrics_text"]

HEAD_BYTES_MAX = 8192
REQUEST_SECONDS_MAX = 5.0
CONNECTIONS_MAX = 32

TEXT_TYPE = "text/plain; charset=utf-8"
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What a worker is at an instant. `pool` is None where the executor has no processes."""

    agent_name: str
    is_registered: bool
    is_draining: bool
    jobs_running: int
    jobs_reserved: int
    capacity: int
    results_unconfirmed: int
    load: float
    counts: WorkerCounts
    pool: PoolCounts | None = None

    @property
    def unready_reason(self) -> str:
        """Why it takes no jobs; empty where it does. A full worker is ready: it only has enough."""
        if self.is_draining:
            return "draining"
        return "" if self.is_registered else "not registered with the server"


class HealthServer:
    """Serves the three paths until it is cancelled."""

    def __init__(
        self,
        host: str,
        port: int,
        state: Callable[[], WorkerState],
        log: FilteringBoundLogger,
        request_seconds_max: float = REQUEST_SECONDS_MAX,
    ) -> None:
        self._host = host
        self._port = port
        self._state = state
        self._log = log
        self._request_seconds_max = request_seconds_max
        self._connections = 0

    async def serve(self, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED) -> None:
        """Listen; started with the port once it does. Raises ConfigError where it cannot."""
        try:
            listener = await anyio.create_tcp_listener(
                local_host=self._host, local_port=self._port, reuse_port=False
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"health_host, health_port: cannot listen on {self._host}:{self._port}: {reason}"
            ) from None
        async with listener:
            port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610
            self._log.info(LogEvent.HEALTH_LISTENING, host=self._host, port=port)
            task_status.started(port)
            await listener.serve(self._handle)

    async def _handle(self, stream: anyio.abc.SocketStream) -> None:
        async with stream:
            if self._connections >= CONNECTIONS_MAX:
                return
            self._connections += 1
            try:
                with anyio.move_on_after(self._request_seconds_max):
                    await stream.send(self._answer(await _head(stream)))
                    await stream.send_eof()
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
                return  # who asked has gone
            finally:
                self._connections -= 1

    def _answer(self, head: bytes | None) -> bytes:
        words = (head or b"").split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return _response(HTTPStatus.BAD_REQUEST, "not a request\n")
        method, path = words[0], words[1].partition("?")[0]
        if path not in ("/healthz", "/readyz", "/metrics"):
            return _response(HTTPStatus.NOT_FOUND, "there are /healthz, /readyz and /metrics\n")
        if method not in ("GET", "HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, "GET it\n")
        status, kind, body = HTTPStatus.OK, TEXT_TYPE, "ok\n"
        state = self._state()
        if path == "/metrics":
            kind, body = METRICS_TYPE, metrics_text(state)
        elif path == "/readyz" and state.unready_reason:
            status, body = HTTPStatus.SERVICE_UNAVAILABLE, state.unready_reason + "\n"
        return _response(status, body, kind, with_body=method == "GET")


async def _head(stream: anyio.abc.SocketStream) -> bytes | None:
    """The request up to its empty line; None for one that has none within the bound."""
    head = b""
    while b"\r\n\r\n" not in head:
        if len(head) > HEAD_BYTES_MAX:
            return None
        try:
            head += await stream.receive()
        except anyio.EndOfStream:
            return None
    return head if len(head) <= HEAD_BYTES_MAX else None


def _response(
    status: HTTPStatus, body: str, content_type: str = TEXT_TYPE, *, with_body: bool = True
) -> bytes:
    content = body.encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: {content_type}\r\n"
        f"Content-Length: {len(content)}\r\n"
        "Cache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + (content if with_body else b"")


# ---- metrics ----

_PREFIX = "callboard_worker_"


@dataclass(frozen=True, slots=True)
class _Metric:
    name: str
    kind: str
    help: str
    # each with its labels: `{outcome="failed"}`, or nothing
    values: tuple[tuple[str, float], ...]


def metrics_text(state: WorkerState) -> str:
    """The worker's metrics, in Prometheus's text format."""
    lines: list[str] = []
    label = f'agent_name="{_escaped(state.agent_name)}"'
    for metric in _metrics(state):
        name = _PREFIX + metric.name
        lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.kind}"]
        for labels, value in metric.values:
            both = f"{label},{labels}" if labels else label
            lines.append(f"{name}{{{both}}} {_number(value)}")
    return "\n".join(lines) + "\n"


def metric_rows(state: WorkerState) -> list[tuple[str, str, str]]:
    """Name, kind and help of each metric of such a worker."""
    return [(_PREFIX + each.name, each.kind, each.help) for each in _metrics(state)]


def _metrics(state: WorkerState) -> Iterator[_Metric]:
    counts = state.counts

    def gauge(name: str, help: str, value: float) -> _Metric:  # noqa: A002
        return _Metric(name, "gauge", help, (("", value),))

    def counter(name: str, help: str, value: float) -> _Metric:  # noqa: A002
        return _Metric(name, "counter", help, (("", value),))

    yield gauge("registered", "1 while it is registered with the server.", state.is_registered)
    yield gauge("draining", "1 while it takes no more jobs.", state.is_draining)
    yield gauge("jobs_running", "Jobs that run now.", state.jobs_running)
    yield gauge("jobs_reserved", "Offers taken whose jobs have not come yet.", state.jobs_reserved)
    yield gauge("jobs_max", "Most jobs at once.", state.capacity)
    yield gauge("load_ratio", "How busy it is, 0 idle to 1 full.", state.load)
    yield gauge(
        "results_unconfirmed",
        "Job statuses that the server has not confirmed.",
        state.results_unconfirmed,
    )
    yield counter("jobs_started_total", "Jobs that were started.", counts.jobs_started)
    yield _Metric(
        "jobs_ended_total",
        "counter",
        "Jobs that ended, by how.",
        tuple((f'outcome="{kind.value}"', counts.jobs_ended[kind]) for kind in OutcomeKind),
    )
    yield counter(
        "jobs_handed_over_total", "Jobs given back for another worker.", counts.jobs_handed_over
    )
    yield counter("offers_refused_total", "Offers refused for want of room.", counts.offers_refused)
    yield counter("reconnects_total", "Connections after the first.", counts.reconnects)
    yield counter(
        "connection_failures_total", "Tries to connect that failed.", counts.connection_failures
    )
    pool = state.pool
    if pool is None:
        return
    yield _Metric(
        "pool_processes",
        "gauge",
        "Job processes now, by state.",
        tuple(
            (f'state="{name}"', getattr(pool, name))
            for name in ("starting", "idle", "busy", "ending")
        ),
    )
    yield gauge("pool_jobs_waiting", "Jobs that wait for a process.", pool.jobs_waiting)
    yield counter("pool_started_total", "Job processes that became ready.", pool.started_total)
    yield counter(
        "pool_start_failures_total",
        "Job processes that never became ready.",
        pool.start_failures_total,
    )
    yield counter(
        "pool_replacements_total",
        "Processes that ended or hung while they waited for a job.",
        pool.replaced_total,
    )
    yield counter("pool_killed_total", "Job processes that had to be killed.", pool.killed_total)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if float(value).is_integer() else repr(float(value))
