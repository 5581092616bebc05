"""Every metric, once: its name, kind, labels and help. docs/metrics.md is made of this.

Names follow Prometheus's conventions: a prefix, base units, `_total` for what only grows. What the
process itself is has the names that Prometheus's own clients give it. Each label's values come from a
set of ours, but for those of an agent, of which there are at most `metrics.agents_max`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a metric is, in Prometheus's words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


METRICS: list[Metric] = []

# What tells agents apart. The sum of those that are not shown has an empty project, which none has.
AGENT_LABELS = ("project", "agent", "agent_namespace", "deployment")
OTHER_AGENTS = ("", "other", "", "")


def _metric(kind: Kind, name: str, help: str, *labels: str) -> Metric:  # noqa: A002
    metric = Metric(name, kind, help, labels)
    METRICS.append(metric)
    return metric


def _counter(name: str, help: str, *labels: str) -> Metric:  # noqa: A002
    return _metric(Kind.COUNTER, f"callboard_{name}_total", help, *labels)


def _gauge(name: str, help: str, *labels: str) -> Metric:  # noqa: A002
    return _metric(Kind.GAUGE, f"callboard_{name}", help, *labels)


def _histogram(name: str, help: str, *labels: str) -> Metric:  # noqa: A002
    return _metric(Kind.HISTOGRAM, f"callboard_{name}", help, *labels)


# --- the server ---
BUILD = _gauge("build_info", "1, with the version of the server as label.", "version", "python")
READY = _gauge("ready", "1 while it takes work, as /readyz says.")
DRAINING = _gauge("draining", "1 while it drains: it makes no more offers.")

# --- agents ---
WORKERS = _gauge("workers", "Connected workers by their state.", *AGENT_LABELS, "state")
JOBS = _gauge(
    "jobs",
    "Jobs by state: queued, offered (a worker is asked), running (a worker has it), orphaned (held for"
    " a worker that may come back).",
    *AGENT_LABELS,
    "state",
)
OLDEST_WAIT = _gauge(
    "queue_oldest_wait_seconds",
    "How long the job has waited that was queued first and that no worker has taken; 0: none waits.",
    *AGENT_LABELS,
)
SLOTS = _gauge("worker_slots", "Jobs that workers which take jobs have room for.", *AGENT_LABELS)
SLOTS_FREE = _gauge("worker_slots_free", "Those of them that are free.", *AGENT_LABELS)
WORKERS_DESIRED = _gauge(
    "workers_desired", "Workers of the present kind that all jobs need.", *AGENT_LABELS
)
AGENTS_UNSHOWN = _gauge(
    "agents_unshown", "Agents without series of their own: they are in the one with agent other."
)
CENSUS_SECONDS = _gauge("census_seconds", "What it took to count what there is of agents.")

# --- jobs ---
JOBS_CREATED = _counter("jobs_created", "Jobs that were made.")
JOBS_ENDED = _counter("jobs_ended", "Jobs that ended, by how and why.", "outcome", "cause")
ASSIGNMENTS = _counter("job_assignments", "Acceptances: the tries of all jobs.")
REQUEUED = _counter("jobs_requeued", "Jobs given to be tried again, by why.", "cause")
LOST = _counter("jobs_lost", "Jobs whose worker's connection was lost, a restart of ours included.")
CLAIMED = _counter("jobs_claimed", "Lost jobs whose worker came back with them.")
DISPATCH_SECONDS = _histogram(
    "dispatch_seconds", "From a job's being due (created, or queued again) to its assignment."
)
QUEUE_SECONDS = _histogram(
    "job_queue_seconds", "From a job's being due to the acceptance of a worker."
)
START_SECONDS = _histogram(
    "job_start_seconds", "From the acceptance of a job to its worker's word that it runs."
)
RUN_SECONDS = _histogram("job_run_seconds", "From the acceptance of a job to its end.")

# --- offers ---
OFFERS = _counter("offers", "Offers that were made.")
OFFER_ANSWERS = _counter(
    "offer_answers",
    "Offers by how they ended: accepted, declined, terminated (the job is not to run), lapsed (no"
    " answer in time), withdrawn (its worker was lost, or the job called off).",
    "answer",
)

# --- workers' connections ---
REGISTRATIONS = _counter("worker_registrations", "Connections that became workers.")
RECONNECTS = _counter(
    "worker_reconnects",
    "Those of them that a process made which had one before (stock workers do not say who they are).",
)
DISCONNECTS = _counter("worker_disconnects", "Workers whose connection ended.")
BAD_STARTS = _counter("worker_bad_starts", "Connections whose first message was bad or too late.")
VERDICTS = _counter(
    "claim_verdicts", "Jobs that workers claimed when they came back, by the answer.", "verdict"
)
IGNORED = _counter(
    "worker_words_ignored", "What workers said and what was of no consequence, by why.", "reason"
)

# --- the store ---
COMMIT_SECONDS = _histogram("commit_seconds", "How long commits took, synced to disk.")
COMMIT_REQUESTS = _histogram("commit_requests", "Requests of one commit.")
COMMIT_FAILURES = _counter("commit_failures", "Commits that failed, and were tried again.")
STORE_WRITABLE = _gauge("store_writable", "0 while the store cannot write.")
BACKLOG = _gauge("commit_backlog", "Requests that are not durable yet.")
CALLERS_WAITING = _gauge("callers_waiting", "Calls that wait for the disk.")

# --- callers ---
HTTP_REQUESTS = _counter(
    "http_requests", "HTTP calls that were answered, by what serves them.", "method", "code"
)
HTTP_SECONDS = _histogram("http_request_seconds", "How long they took.", "method")
EVENT_STREAMS = _gauge("event_streams", "Open streams of /events.")
ROOMS = _gauge("rooms", "Rooms that are known.")
RULES = _gauge("rules", "Rules.")

# --- outgoing webhooks ---
WEBHOOKS_DELIVERED = _counter("webhook_deliveries", "Webhooks that were taken.", "url")
WEBHOOKS_FAILED = _counter("webhook_failures", "Deliveries that failed.", "url")
WEBHOOKS_SKIPPED = _counter("webhooks_skipped", "Webhooks that were given up.", "url")
WEBHOOK_LAG = _gauge(
    "webhook_events_behind", "Events of the log that are not done with for a receiver.", "url"
)

# --- the SFU ---
SFU_REACHABLE = _gauge("sfu_reachable", "0 while the SFU's rooms cannot be listed.")
BRIDGE_SOCKETS = _gauge("bridge_sockets", "Sockets to the SFU's /agent, by state.", "state")
BRIDGE_SWEEPING = _gauge("bridge_sweeping", "0 while the SFU's dispatches cannot be listed.")

# --- the process ---
PROCESS_CPU = _metric(
    Kind.COUNTER, "process_cpu_seconds_total", "CPU time of the process, user and system."
)
PROCESS_MEMORY = _metric(Kind.GAUGE, "process_resident_memory_bytes", "Resident memory.")
PROCESS_FDS = _metric(Kind.GAUGE, "process_open_fds", "Open files and sockets.")
PROCESS_FDS_MAX = _metric(Kind.GAUGE, "process_max_fds", "Most of them that it may have.")
PROCESS_START = _metric(
    Kind.GAUGE, "process_start_time_seconds", "When it started, in seconds since 1970."
)
