"""A scrape: all metrics, read from those who count them, and written as text.

What it costs is bounded by the labels' bounds, and by the walk over the workers (`census`); it is done in
slices, and what was written is handed out for twenty times as long as it took. Nothing here waits for
the disk for longer than `store_timeout_seconds`.
"""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from dispatcher.core.effects import Ignored, Verdict
from dispatcher.core.lifecycle import JobTrigger, WorkerPhase
from dispatcher.metrics import catalogue as m
from dispatcher.metrics.catalogue import Metric
from dispatcher.metrics.census import NOTHING, USE_FACTOR, AgentCount, AgentKey, CensusTaker
from dispatcher.metrics.exposition import Form, Sample, encoded, write_end, write_metric
from dispatcher.metrics.process import ProcessFigures
from dispatcher.metrics.shown_agents import ShownAgents
from dispatcher.metrics.slices import in_slices
from protocol.errors import StoreError

if TYPE_CHECKING:
    from dispatcher.bridge.bridge import Bridge
    from dispatcher.event_feed import EventFeed
    from dispatcher.metrics.call_counts import CallCounts
    from dispatcher.metrics.counting_witness import CountingWitness
    from dispatcher.metrics.settings import MetricsSettings
    from dispatcher.notifier.notifier import Notifier
    from dispatcher.runtime import Runtime
    from dispatcher.server.event_stream import EventStreams
    from dispatcher.server.sessions import Sessions
    from dispatcher.sfu.reconciling import Reconciler
    from dispatcher.witness import LogWitness

Family = tuple[Metric, Iterable[Sample]]

# How a job ended, by its last move.
OUTCOMES = {
    JobTrigger.SUCCEEDED: "succeeded",
    JobTrigger.LEFT: "succeeded",
    JobTrigger.OFFER_TERMINATED: "succeeded",
    JobTrigger.FAILED: "failed",
    JobTrigger.GAVE_UP_LOST: "failed",
    JobTrigger.QUEUE_DEADLINE_PASSED: "failed",
    JobTrigger.CANCELLED: "cancelled",
}
# Moves that give a job to be tried again.
REQUEUES = (
    JobTrigger.GRACE_EXPIRED,
    JobTrigger.RETRIED,
    JobTrigger.HANDED_OVER,
    JobTrigger.ASSIGNMENT_EXPIRED,
)
# Why a connection ignores a word of its worker, beside what the engine ignores.
IGNORED_BY_CONNECTIONS = ("acceptance_over_limit", "refused", "unknown_message", "unreadable")
WORKER_STATES = tuple(phase for phase in WorkerPhase if phase is not WorkerPhase.GONE)


@dataclass(frozen=True, slots=True)
class Sources:
    """Who counts. All are read, none is changed."""

    version: str
    runtime: Runtime
    witness: CountingWitness
    log_witness: LogWitness
    sessions: Sessions
    calls: CallCounts
    streams: EventStreams
    notifier: Notifier
    feed: EventFeed
    # None: there is none
    reconciler: Reconciler | None = None
    bridge: Bridge | None = None


class Collector:
    """Writes the metrics of one server."""

    def __init__(
        self,
        sources: Sources,
        census_taker: CensusTaker,
        settings: MetricsSettings,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._sources = sources
        self._census_taker = census_taker
        self._settings = settings
        self._clock = clock
        self._process = ProcessFigures()
        self._shown = ShownAgents(settings.agents_max, settings.agent_memory_seconds)
        self._writing = anyio.Lock()
        # by format: what was written last, and until when that will do
        self._written: dict[Form, tuple[bytes, float]] = {}

    async def scrape(self, form: Form) -> bytes:
        """Return all metrics as text."""
        async with self._writing:
            written = self._written.get(form)
            if written is None or self._clock() >= written[1]:
                text, seconds = await self._write(form)
                written = self._written[form] = text, self._clock() + USE_FACTOR * seconds
            return written[0]

    async def _write(self, form: Form) -> tuple[bytes, float]:
        census = await self._census_taker.census()
        nothing = AgentCount()
        seconds = await in_slices(self._shown.choose(census.agents, nothing, self._clock()))
        last_event = await self._last_event()
        pieces: list[str] = []

        def write_all() -> Iterator[None]:
            for metric, samples in self._families(census.seconds, last_event):
                for piece in write_metric(metric, samples, form):
                    pieces.append(piece)
                    yield

        seconds += await in_slices(write_all())
        pieces.append(write_end(form))
        return encoded("".join(pieces)), seconds

    async def _last_event(self) -> int:
        """Return the newest event's number, where somebody is to be told of events; else 0."""
        sources = self._sources
        if sources.notifier.notifiers:
            with anyio.move_on_after(self._settings.store_timeout_seconds):
                try:
                    return await sources.feed.last_sequence()
                except StoreError:
                    pass  # who writes says so
        return 0

    # --- what there is ----------------------------------------------------------------------

    def _families(self, census_seconds: float, last_event: int) -> Iterator[Family]:
        yield from self._of_server()
        yield from self._of_agents(census_seconds)
        yield from self._of_jobs()
        yield from self._of_workers()
        yield from self._of_store()
        yield from self._of_callers()
        yield from self._of_webhooks(last_event)
        yield from self._of_sfu()
        yield from self._process.families()

    def _of_server(self) -> Iterator[Family]:
        runtime = self._sources.runtime
        yield m.BUILD, [((self._sources.version, platform.python_version()), 1)]
        yield m.READY, [((), int(runtime.ready))]
        yield m.DRAINING, [((), int(runtime.engine.is_draining))]

    def _of_agents(self, census_seconds: float) -> Iterator[Family]:
        shown, now = self._shown.shown, self._sources.runtime.now()
        agents: list[tuple[AgentKey, AgentCount]] = list(shown.agents.items())
        if shown.others_number:
            agents.append((m.OTHER_AGENTS, shown.others))
        yield (
            m.WORKERS,
            (
                ((*key, state.value), count.workers.get(state, 0))
                for key, count in agents
                for state in WORKER_STATES
            ),
        )
        yield m.JOBS, (row for key, count in agents for row in _jobs_of(key, count))
        yield m.OLDEST_WAIT, ((key, wait_seconds(count, now)) for key, count in agents)
        yield m.SLOTS, ((key, count.slots) for key, count in agents)
        yield m.SLOTS_FREE, ((key, count.free_slots) for key, count in agents)
        yield m.WORKERS_DESIRED, ((key, count.desired) for key, count in agents)
        yield m.AGENTS_UNSHOWN, [((), shown.others_number)]
        yield m.CENSUS_SECONDS, [((), census_seconds)]

    def _of_jobs(self) -> Iterator[Family]:
        witness, tally = self._sources.witness, self._sources.runtime.engine.tally
        moves = witness.moves
        ended = {trigger: moves[trigger] for trigger in OUTCOMES}
        ended[JobTrigger.CANCELLED] += tally.cancelled_waiting
        yield m.JOBS_CREATED, [((), moves[JobTrigger.CREATED])]
        yield (
            m.JOBS_ENDED,
            (((OUTCOMES[trigger], trigger.value), count) for trigger, count in ended.items()),
        )
        yield m.ASSIGNMENTS, [((), moves[JobTrigger.OFFER_ACCEPTED])]
        yield m.REQUEUED, (((trigger.value,), moves[trigger]) for trigger in REQUEUES)
        yield m.LOST, [((), moves[JobTrigger.WORKER_LOST])]
        yield m.CLAIMED, [((), moves[JobTrigger.CLAIMED] + moves[JobTrigger.REDELIVERED])]
        yield m.DISPATCH_SECONDS, [((), witness.dispatch_seconds)]
        yield m.QUEUE_SECONDS, [((), witness.queue_seconds)]
        yield m.START_SECONDS, [((), witness.start_seconds)]
        yield m.RUN_SECONDS, [((), witness.run_seconds)]
        withdrawn = tally.offers_over - tally.offers_declined - tally.offers_lapsed
        answers = {
            "accepted": tally.offers_accepted,
            "declined": tally.offers_declined,
            "terminated": tally.offers_terminated,
            "lapsed": tally.offers_lapsed,
            "withdrawn": withdrawn,
        }
        yield m.OFFERS, [((), tally.offers_made)]
        yield m.OFFER_ANSWERS, (((answer,), count) for answer, count in answers.items())

    def _of_workers(self) -> Iterator[Family]:
        sessions = self._sources.sessions
        ignored = ignored_words(self._sources.log_witness.ignored_counts, sessions.ignored)
        yield m.REGISTRATIONS, [((), sessions.registrations)]
        yield m.RECONNECTS, [((), sessions.reconnects)]
        yield m.DISCONNECTS, [((), sessions.disconnects)]
        yield m.BAD_STARTS, [((), sessions.bad_starts)]
        verdicts = sessions.verdicts
        yield m.VERDICTS, (((verdict.name.lower(),), verdicts[verdict]) for verdict in Verdict)
        yield m.IGNORED, (((reason,), count) for reason, count in ignored.items())

    def _of_store(self) -> Iterator[Family]:
        witness, runtime = self._sources.witness, self._sources.runtime
        yield m.COMMIT_SECONDS, [((), witness.commit_seconds)]
        yield m.COMMIT_REQUESTS, [((), witness.commit_requests)]
        yield m.COMMIT_FAILURES, [((), witness.commit_failures)]
        yield m.STORE_WRITABLE, [((), int(runtime.failing is None))]
        yield m.BACKLOG, [((), runtime.backlog)]
        yield m.CALLERS_WAITING, [((), runtime.callers_waiting)]

    def _of_callers(self) -> Iterator[Family]:
        sources = self._sources
        answers, durations = dict(sources.calls.answers), dict(sources.calls.durations)
        yield m.HTTP_REQUESTS, (((name, str(code)), n) for (name, code), n in answers.items())
        yield m.HTTP_SECONDS, (((name,), histogram) for name, histogram in durations.items())
        yield m.EVENT_STREAMS, [((), sources.streams.open_streams)]
        yield m.ROOMS, [((), len(sources.runtime.engine.rooms))]
        yield m.RULES, [((), len(sources.runtime.engine.rules))]

    def _of_webhooks(self, last_event: int) -> Iterator[Family]:
        # Two receivers may differ in what is not shown of their addresses.
        delivered: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        skipped: Counter[str] = Counter()
        behind: dict[str, int] = {}
        for each in self._sources.notifier.notifiers:
            url = each.shown_url
            delivered[url] += each.deliveries
            failed[url] += each.failed_deliveries
            skipped[url] += each.skipped
            behind[url] = max(behind.get(url, 0), last_event - each.position)
        yield m.WEBHOOKS_DELIVERED, (((url,), count) for url, count in delivered.items())
        yield m.WEBHOOKS_FAILED, (((url,), count) for url, count in failed.items())
        yield m.WEBHOOKS_SKIPPED, (((url,), count) for url, count in skipped.items())
        if last_event:
            yield m.WEBHOOK_LAG, (((url,), count) for url, count in behind.items())

    def _of_sfu(self) -> Iterator[Family]:
        reconciler, bridge = self._sources.reconciler, self._sources.bridge
        if reconciler is not None:
            yield m.SFU_REACHABLE, [((), int(not reconciler.is_failing))]
        if bridge is not None:
            sockets = bridge.sockets
            connected = sum(socket.is_connected for socket in sockets)
            states = {"registered": connected, "lost": len(sockets) - connected}
            yield m.BRIDGE_SOCKETS, (((state,), count) for state, count in states.items())
            yield m.BRIDGE_SWEEPING, [((), int(not bridge.health.is_failing))]


def ignored_words(
    by_engine: Mapping[Ignored, int], by_connections: Mapping[str, int]
) -> Counter[str]:
    """Return how many words of workers were ignored, by each reason that there is."""
    counts = Counter(dict.fromkeys(IGNORED_BY_CONNECTIONS, 0))
    counts.update({why.value: by_engine.get(why, 0) for why in Ignored})
    counts.update(by_connections)
    return counts


def wait_seconds(count: AgentCount, now: int) -> float:
    """Return how long the oldest job has waited that no worker has taken; 0 where none waits."""
    return max(0, now - count.oldest_at) / 1e9 if count.oldest_at != NOTHING else 0.0


def _jobs_of(key: AgentKey, count: AgentCount) -> Iterator[Sample]:
    yield (*key, "queued"), count.queued
    yield (*key, "offered"), count.offered
    yield (*key, "running"), count.running
    yield (*key, "orphaned"), count.orphaned
