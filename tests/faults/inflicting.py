"""Carries a plan out: does the harm, undoes it in time, counts it."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import anyio

from tests.faults.fleet import Fleet
from tests.faults.network import Direction, Line
from tests.faults.plan import CALLERS, NATURES, SERVER, Fault, FaultKind, Plan, Target

__all__ = ["Inflicted", "inflict_all"]

# Bytes on a line that is slow are held up by so much at a time.
DELAY_SECONDS_MIN, DELAY_SECONDS_MAX = 0.02, 1.2
# A cut waits so long for something to cut.
CONNECTED_SECONDS_MAX = 5.0
# A server whose disk is full when it starts does not start, which is no finding: a slow machine is
# waited for.
SERVING_SECONDS_MAX = 60.0


@dataclass
class Inflicted:
    """What has been done until now."""

    by_kind: Counter[FaultKind] = field(default_factory=Counter)
    # Connections that were cut, swallowed or reset.
    sockets: int = 0
    # Faults that are not over.
    at_work: int = 0

    @property
    def total(self) -> int:
        """Faults of all kinds."""
        return self.by_kind.total()


async def inflict_all(plan: Plan, fleet: Fleet, lines: Mapping[str, Line], done: Inflicted) -> None:
    """Inflict each fault of the plan at its time, counted from now; return when all are over."""
    begun_at = anyio.current_time()
    # The plan keeps a victim's faults apart; a drain that takes long must, too.
    locks = {_place(fault): anyio.Lock() for fault in plan.faults}
    async with anyio.create_task_group() as tasks:
        for fault in plan.faults:
            await anyio.sleep_until(begun_at + fault.at_seconds)
            tasks.start_soon(_inflict, fault, fleet, lines, done, locks[_place(fault)])


def _place(fault: Fault) -> tuple[Target, str]:
    return NATURES[fault.kind].target, fault.victim


async def _inflict(
    fault: Fault, fleet: Fleet, lines: Mapping[str, Line], done: Inflicted, lock: anyio.Lock
) -> None:
    async with lock:
        await _until_connected(fault, lines)
        done.by_kind[fault.kind] += 1
        done.at_work += 1
        try:
            await _strike(fault, fleet, lines, done)
        finally:
            done.at_work -= 1
            fleet.down.discard(fault.victim)


async def _until_connected(fault: Fault, lines: Mapping[str, Line]) -> None:
    """Wait, within a bound, until the sockets are there that a cut is meant for.

    A drain, and a disk that gets full, are for a server that serves, too.
    """
    target = NATURES[fault.kind].target
    if fault.kind in (FaultKind.SERVER_RESTARTED, FaultKind.SERVER_KILLED_FULL):
        target = Target.NETWORK
    if target is Target.LINE:
        struck = [lines[fault.victim]]
    elif target in (Target.NETWORK, Target.DISK):
        struck = [line for line in lines.values() if line.name != CALLERS]
    else:
        return
    fills = fault.kind in (FaultKind.DISK_FULL, FaultKind.SERVER_KILLED_FULL)
    with anyio.move_on_after(SERVING_SECONDS_MAX if fills else CONNECTED_SECONDS_MAX):
        # Of many lines, some may be down themselves.
        while sum(line.connections > 0 for line in struck) * 2 < len(struck):  # noqa: ASYNC110 - of other processes
            await anyio.sleep(0.05)


async def _strike(fault: Fault, fleet: Fleet, lines: Mapping[str, Line], done: Inflicted) -> None:
    name, seconds = fault.victim, fault.seconds
    direction = Direction.UP if fault.whim < 0.5 else Direction.DOWN
    match fault.kind:
        case FaultKind.SERVER_KILLED:
            fleet.down.add(SERVER)
            await fleet.kill_server()
            await anyio.sleep(seconds)
            fleet.start_server()
        case FaultKind.SERVER_STOPPED | FaultKind.SERVER_HUNG:
            fleet.signal_server(signal.SIGSTOP)
            await anyio.sleep(seconds)
            fleet.signal_server(signal.SIGCONT)
        case FaultKind.SERVER_RESTARTED:
            fleet.down.add(SERVER)
            await fleet.drain_server()
            await anyio.sleep(seconds)
            fleet.start_server()
        case FaultKind.SERVER_KILLED_FULL:
            # What was said before it was on the disk is gone then.
            fleet.fill_disk(entirely=True)
            await anyio.sleep(seconds)
            fleet.down.add(SERVER)
            await fleet.kill_server()
            fleet.start_server()
        case FaultKind.DISK_FULL:
            pid = fleet.fill_disk()
            await anyio.sleep(seconds)
            fleet.free_disk(pid)
        case FaultKind.WORKER_KILLED:
            fleet.down.add(name)
            await fleet.kill_worker(name)
            await anyio.sleep(seconds)
            fleet.start_worker(name)
        case FaultKind.WORKER_STOPPED | FaultKind.WORKER_HUNG:
            fleet.signal_worker(name, signal.SIGSTOP)
            await anyio.sleep(seconds)
            fleet.signal_worker(name, signal.SIGCONT)
        case FaultKind.WORKER_RESTARTED:
            # As a rolling deployment does: the next one is there before the last one goes.
            old = fleet.workers[name]
            fleet.start_worker(name)
            await anyio.sleep(seconds)
            await fleet.drain_worker(name, old)
        case FaultKind.SOCKET_CUT:
            done.sockets += lines[name].connections
            lines[name].cut_in_frame(direction)
        case FaultKind.SOCKET_HALF_OPEN:
            struck = lines[name].swallow(direction)
            done.sockets += len(struck)
            await anyio.sleep(seconds)
            lines[name].reset(struck)
        case FaultKind.SOCKET_DELAYED:
            spread = DELAY_SECONDS_MAX - DELAY_SECONDS_MIN
            lines[name].delay_seconds = DELAY_SECONDS_MIN + spread * fault.whim
            await anyio.sleep(seconds)
            lines[name].delay_seconds = 0.0
        case FaultKind.LINE_DOWN:
            lines[name].is_open = False
            done.sockets += lines[name].reset_all()
            await anyio.sleep(seconds)
            lines[name].is_open = True
        case FaultKind.STORM:
            # Half of the storms leave the callers alone.
            for line in lines.values():
                if line.name != CALLERS or fault.whim < 0.5:
                    done.sockets += line.reset_all()
