"""The composition root: builds a server from its configuration, runs it, and stops it in order.

Order of a start: the socket is bound (a port in use is one line, and nothing was touched), the
store opened and recovered, then connections are taken. Order of a stop: no more offers and no more
upgrades, what is in flight settles, connections are closed (1012: come back), the store is closed.
A store that is broken for good ends everything with its one line.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import signal
import sys
import time
from dataclasses import dataclass, replace
from random import Random, SystemRandom
from typing import Any

import anyio
import anyio.abc
import structlog

from dispatcher.bridge.bridge import Bridge
from dispatcher.clock import steady_clock
from dispatcher.config import ApiKey, Config
from dispatcher.core.engine import Engine
from dispatcher.event_feed import EventFeed
from dispatcher.metrics.call_counts import CallCounts
from dispatcher.metrics.census import CensusTaker
from dispatcher.metrics.collector import Collector, Sources
from dispatcher.metrics.counting_witness import CountingWitness
from dispatcher.metrics.door import MetricsDoor
from dispatcher.metrics.pages import MetricsPages
from dispatcher.notifier.notifier import Notifier
from dispatcher.room_configurations import Presets
from dispatcher.runtime import Clock, Runtime
from dispatcher.server.access import Access
from dispatcher.server.agent_service import AgentService
from dispatcher.server.dispatch_service import DispatchService
from dispatcher.server.event_stream import EventStreams, events_route
from dispatcher.server.http import HttpApp
from dispatcher.server.job_service import JobService
from dispatcher.server.network import Network
from dispatcher.server.passthrough import Passthrough
from dispatcher.server.room_configuration_service import RoomConfigurationService
from dispatcher.server.room_creation import RoomCreation
from dispatcher.server.room_jobs import RoomJobs
from dispatcher.server.room_reports import RoomReports
from dispatcher.server.room_service import RoomService
from dispatcher.server.rule_service import RuleService
from dispatcher.server.sessions import Sessions
from dispatcher.server.sfu_dispatches import SfuDispatches
from dispatcher.server.twirp import Twirp
from dispatcher.server.webhooks import Webhooks
from dispatcher.server.worker_messages import RoomAccess
from dispatcher.server.worker_service import WorkerService
from dispatcher.server.worker_socket import WorkerSocket
from dispatcher.sfu.access import sfu_access
from dispatcher.sfu.client import SfuClient
from dispatcher.sfu.loss_witness import LossWitness
from dispatcher.sfu.reconciling import Reconciler
from dispatcher.store.contract import Store
from dispatcher.store.sqlite import SqliteStore
from protocol import wire_pb2
from protocol.errors import CallboardError

log = structlog.get_logger()

# The store's thread lets go of the interpreter with each row that it writes. A busy event loop would
# keep it for Python's 5 ms each time, and with it everybody who waits for the commit.
SWITCH_SECONDS = 0.0005

# What LiveKit's servers say of themselves: the signalling protocol, and the agents' protocol.
PROTOCOL = 16
AGENT_PROTOCOL = 1


@dataclass(frozen=True, slots=True)
class Parts:
    """A server's parts, put together and not started."""

    runtime: Runtime
    sessions: Sessions
    http: HttpApp
    feed: EventFeed
    # None: there is no SFU
    reconciler: Reconciler | None
    # None: we are no worker of it
    bridge: Bridge | None
    notifier: Notifier
    # of the SFU's nodes, but for the one that the reconciler has
    other_nodes: tuple[SfuClient, ...] = ()


def compose(config: Config, store: Store | None = None, clock: Clock | None = None) -> Parts:
    """Build the parts of a server. Opens and binds nothing.

    `store` None: SQLite in the data folder. `clock`: what deadlines go by, in the place of ours.
    """
    limits = config.limits
    access = Access(config.keys, limits.wire)
    sessions = Sessions(
        access=access,
        limits=limits,
        server_info=_server_info(),
        room=RoomAccess(config.room_url, config.room_key, config.room_secret),
        queue_time=config.policy.queue_time,
        clock=time.time_ns,
    )
    reconciler: Reconciler | None = None

    def list_rooms() -> None:
        if reconciler is not None:
            reconciler.request()

    store = store or SqliteStore(config.data_dir)
    feed = EventFeed(store, limits.event_page_rows, limits.event_pause_seconds)
    engine = Engine(
        # With the bridge, LiveKit calls the unnamed workers itself.
        replace(config.policy, automatic_dispatch=False) if config.bridge else config.policy,
        Random(),
        config.rooms,
    )
    log_witness = LossWitness(list_rooms)
    witness = CountingWitness(engine.jobs, log_witness)
    runtime = Runtime(
        engine=engine,
        store=store,
        delivery=sessions,
        clock=clock or steady_clock(),
        witness=witness,
        retention=config.retention,
        limits=config.runtime,
        committed=feed.committed,
    )
    sessions.connect(runtime)
    presets = Presets(config.room_configurations, lambda: runtime.engine.room_configurations)
    reports = RoomReports(runtime, limits.room_event_ids_max)
    sfu = sfu_access(config.room_url, config.room_key, config.room_secret, config.keys)
    client = SfuClient(sfu, config.sfu) if sfu is not None else None
    of_sfu = None
    if client is not None and config.bridge:
        of_sfu = SfuDispatches(
            client, config.room_project, runtime.engine, runtime.store, runtime.submit
        )
    calls = CallCounts()
    twirp = Twirp(
        {
            **DispatchService(runtime, limits, of_sfu).methods(),
            **JobService(runtime, limits).methods(),
            **AgentService(runtime, limits).methods(),
            **WorkerService(runtime, sessions, limits).methods(),
            **RuleService(runtime, limits, config.rules).methods(),
            **RoomService(
                lambda: runtime.engine.rooms, reports, limits, RoomJobs(runtime.engine)
            ).methods(),
            **RoomConfigurationService(
                runtime, presets, limits, config.room_configuration_limits
            ).methods(),
        },
        access,
        limits,
        time.time_ns,
        runtime.note_damage,
        calls,
    )
    socket_app = WorkerSocket(sessions, lambda: runtime.engine.is_draining)
    webhooks = Webhooks(_webhook_signers(config, access), reports, limits, time.time_ns)
    streams = EventStreams(feed, access, limits)
    routes = [events_route(streams), *webhooks.routes()]
    rooms = None
    if client is not None and not config.bridge:
        rooms = RoomCreation(
            runtime, presets, client.list_dispatches, limits, config.room_configuration_limits
        )
    passthrough = Passthrough(
        sfu, config.keys, config.room_project, time.time_ns, limits, config.sfu, rooms
    )
    notifier = Notifier(config.webhooks, config.keys, feed, store, config.notifier)
    bridge = None
    other_nodes: tuple[SfuClient, ...] = ()
    if sfu is not None and client is not None:
        reconciler = Reconciler(
            client, config.room_project, runtime.submit, runtime.now, config.sfu
        )
        if config.bridge:
            urls = config.bridge_urls or (sfu.url,)
            other_nodes = tuple(
                SfuClient(replace(sfu, url=url), config.sfu) for url in urls if url != sfu.url
            )
            bridge = Bridge(
                runtime,
                client,
                sfu,
                urls,
                config.room_project,
                config.bridging,
                others=other_nodes,
            )
    sources = Sources(
        version=_version(),
        runtime=runtime,
        witness=witness,
        log_witness=log_witness,
        sessions=sessions,
        calls=calls,
        streams=streams,
        notifier=notifier,
        feed=feed,
        reconciler=reconciler,
        bridge=bridge,
    )
    routes += _metrics_pages(config, sources, access).routes()
    http = HttpApp(
        socket_app,
        twirp,
        lambda: _why_not_ready(runtime),
        routes,
        passthrough,
        bridge.health.warnings if bridge is not None else lambda: (),
        calls,
    )
    return Parts(runtime, sessions, http, feed, reconciler, bridge, notifier, other_nodes)


def _metrics_pages(config: Config, sources: Sources, access: Access) -> MetricsPages:
    runtime, settings = sources.runtime, config.metrics
    taker = CensusTaker(runtime.engine, runtime.store, runtime.now, settings.store_timeout_seconds)
    return MetricsPages(
        Collector(sources, taker, settings),
        taker,
        MetricsDoor(settings, access, time.time_ns),
        dict.fromkeys(key.project for key in config.keys.values()),
        settings.agents_max,
        runtime.now,
        config.limits.wire,
    )


def _webhook_signers(config: Config, access: Access) -> tuple[Access, ...]:
    """Return who verifies webhooks: with the SFU's key, where it has one of its own, and with ours."""
    if not config.room_key:
        return (access,)
    of_sfu = ApiKey(config.room_secret, config.room_project)
    keys = {**config.keys, config.room_key: of_sfu}
    return Access(keys, config.limits.wire), access


def run(config: Config) -> None:
    """Run a server in this process until SIGTERM or SIGINT, which drain it.

    Raises ConfigError or StoreError, each with one line for a person; SystemExit(1) when a second
    signal stopped it at once.
    """
    anyio.run(serve, config, backend_options={"use_uvloop": sys.platform != "win32"})


async def serve(config: Config) -> None:
    """Run a server until a signal; see `run`."""
    stop = anyio.Event()
    forced = False
    _raise_open_files_limit()
    _calm_garbage_collector()
    sys.setswitchinterval(SWITCH_SECONDS)
    async with anyio.create_task_group() as tasks:

        async def watch_signals() -> None:
            nonlocal forced
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async for _ in signals:
                    if stop.is_set():
                        forced = True
                        tasks.cancel_scope.cancel()
                    stop.set()

        tasks.start_soon(watch_signals)
        try:
            await serve_until(config, stop)
        except CallboardError as error:
            failure: CallboardError | None = error
        else:
            failure = None
        tasks.cancel_scope.cancel()
    if forced:
        log.warning("server_stopped", forced=True)
        raise SystemExit(1)
    if failure is not None:
        raise failure
    log.info("server_stopped", forced=False)


async def serve_until(
    config: Config,
    stop: anyio.Event,
    *,
    task_status: anyio.abc.TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Run a server until `stop` is set, then drain it. Starts with the port it listens on.

    Raises ConfigError or StoreError.
    """
    parts = compose(config)
    with Network(config.bind, config.port, config.limits, parts.http) as network:
        asyncio.get_running_loop().set_exception_handler(_log_loop_error)
        try:
            async with anyio.create_task_group() as tasks:
                await tasks.start(parts.runtime.run)
                tasks.start_soon(parts.feed.run)
                if parts.reconciler is not None:
                    tasks.start_soon(parts.reconciler.run)
                if parts.bridge is not None:
                    tasks.start_soon(parts.bridge.run)
                await tasks.start(parts.notifier.run)
                await tasks.start(network.run)
                log.info(
                    "server_started",
                    url=_url(config.bind, network.port),
                    port=network.port,
                    data_dir=str(config.data_dir),
                )
                task_status.started(network.port)
                await stop.wait()
                log.info("server_draining", workers=len(parts.sessions))
                await parts.runtime.drain()
                parts.feed.close()
                await parts.notifier.stop()
                await network.stop()
                await parts.http.close()
                for node in parts.other_nodes:
                    await node.close()
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise _cause(group) from None


def _why_not_ready(runtime: Runtime) -> str | None:
    if runtime.ready:
        return None
    if runtime.failing is not None:
        return runtime.failing.for_caller
    if runtime.engine.is_draining:
        return "draining"
    return "the store is not open"


def _server_info() -> wire_pb2.ServerInfo:
    return wire_pb2.ServerInfo(
        edition=wire_pb2.ServerInfo.Standard,
        version=_version(),
        protocol=PROTOCOL,
        node_id=f"ND_{SystemRandom().getrandbits(60):015x}",
        agent_protocol=AGENT_PROTOCOL,
    )


def _version() -> str:
    try:
        return importlib.metadata.version("callboard")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def _url(bind: str, port: int) -> str:
    return f"ws://[{bind}]:{port}" if ":" in bind else f"ws://{bind}:{port}"


def _raise_open_files_limit() -> None:
    """Let this process hold as many connections as the system allows."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            log.warning("open_files_limit_kept", limit=soft, error=str(error))


def _calm_garbage_collector() -> None:
    """Let Python look for cycles rarely: a job makes none, and thousands of workers are many objects.

    With the defaults, a server with 5,000 workers spent a quarter of its time in looking, and stood
    still for up to half a second while it did.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _log_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    log.error("event_loop_error", message=context["message"], exc_info=context.get("exception"))


def _cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that is for a person, if there is one in the group, else the group."""
    for error in group.exceptions:
        found = _cause(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, CallboardError):
            return found
    return group
