"""What is true of a board between any two turns, checked by looking at all of it.

`check_board` fails with the first thing that is not consistent; `check_nothing_left` holds an
engine to having forgotten everything once all has ended. Both look behind the engine's door, as
nothing else may.
"""

from __future__ import annotations

from collections import Counter

from dispatcher.core.board import Board, DeadlineKind
from dispatcher.core.bridging import Bridging
from dispatcher.core.claiming import Claiming
from dispatcher.core.dispatching import Dispatching
from dispatcher.core.engine import Engine
from dispatcher.core.jobs import Lane
from dispatcher.core.lifecycle import JobPhase, WorkerPhase
from dispatcher.core.observing import Observing
from dispatcher.core.ordering import Ordering
from dispatcher.core.placement import Standing
from dispatcher.core.standing_dispatches import StandingDispatches
from tests.support.engine_bench import EngineBench


def board_of(engine: Engine) -> Board:
    """Return the engine's board."""
    return engine._board


def watched(bench: EngineBench) -> None:
    """Hold a bench's engine against its invariants; to be given as `watch`."""
    check_board(bench.engine)


def check_board(engine: Engine) -> None:
    """Hold the board against its invariants."""
    board = board_of(engine)
    check_jobs(board)
    check_workers(board)
    check_deadlines(board)
    check_pools(board)


def check_jobs(board: Board) -> None:
    """Each job in hand is where its phase says; nothing else is anywhere."""
    offers: dict[str, str] = {}
    held: dict[str, str] = {}
    for worker in board.workers.values():
        for job_id, hand in worker.offers.items():
            assert board.jobs.get(job_id) is hand
            assert job_id not in offers, f"{job_id} is offered to two"
            offers[job_id] = worker.id
        for job_id, hand in worker.jobs.items():
            assert board.jobs.get(job_id) is hand
            assert job_id not in held, f"{job_id} is held by two"
            held[job_id] = worker.id
    assert board.tally.offers_pending == len(offers)
    for job_id, hand in board.jobs.items():
        assert hand.id == job_id
        owner = hand.worker.id if hand.worker is not None else None
        if hand.phase is JobPhase.OFFERED:
            assert hand.job is not None
            if hand.is_reserved:
                assert hand.state.worker_id == owner
            else:
                assert hand.state.phase is JobPhase.QUEUED
            assert offers.pop(job_id, None) == owner is not None
        elif hand.phase is JobPhase.ORPHANED:
            assert owner is None
        else:
            assert hand.phase in (JobPhase.ASSIGNED, JobPhase.RUNNING), hand.phase
            assert hand.job is None
            assert hand.state.worker_id == owner
            assert held.pop(job_id, None) == owner is not None
        if hand.phase is not JobPhase.OFFERED:
            assert hand.state.phase is hand.phase
        assert hand.held.state.epoch <= hand.state.epoch
        if hand.held.dispatch_id:
            key = (hand.lane.project, hand.held.room, hand.held.dispatch_id)
            assert job_id in board.dispatches[key]
    assert not offers
    assert not held
    for job_ids in board.dispatches.values():
        assert job_ids
        assert all(job_id in board.jobs for job_id in job_ids)
    for key, deletion in board.deletions.items():
        assert deletion.requests or key in board.dispatches, "a deletion waits for nothing"


def check_workers(board: Board) -> None:
    """Nothing is known of a worker that is gone, and no worker exceeds its bounds."""
    for worker_id, worker in board.workers.items():
        assert worker.id == worker_id
        if worker.phase is WorkerPhase.GONE:  # its loss has not had its turn
            assert not worker.offers
        assert not worker.stopping & worker.jobs.keys()
        assert len(worker.offers) <= board.policy.offers_in_flight_max
        assert worker.unreported_jobs >= 0
        for pair in worker.contests:
            assert worker_id in pair
            assert set(pair) <= board.workers.keys()
            assert (DeadlineKind.TAKEOVER, *pair) in board.deadlines
    for process, worker in board.processes.items():
        assert board.workers[worker.id] is worker
        assert process == worker.process


def check_deadlines(board: Board) -> None:
    """Everything that must not wait for ever has its deadline, and no deadline is for nothing."""
    expected: Counter[tuple[DeadlineKind, str, str]] = Counter()
    for hand in board.jobs.values():
        if hand.phase is JobPhase.OFFERED:
            expected[DeadlineKind.OFFER, hand.id, ""] += 1
        elif hand.phase is JobPhase.ORPHANED:
            if not board.is_draining:  # where it comes back is asked elsewhere
                expected[DeadlineKind.GRACE, hand.id, ""] += 1
        elif hand.phase is JobPhase.ASSIGNED:
            assert hand.id in board.unstarted
            expected[DeadlineKind.UNSTARTED, "", ""] = 1
        if hand.parting is not None:
            expected[DeadlineKind.PARTING, hand.id, ""] += 1
    for worker in board.workers.values():
        for job_id in worker.stopping:
            expected[DeadlineKind.STOP, worker.id, job_id] += 1
        if worker.phase is not WorkerPhase.GONE:
            expected[DeadlineKind.STATUS, worker.id, ""] += 1
        if worker.uncounted_since:
            expected[DeadlineKind.UNCOUNTED, worker.id, ""] += 1
        if worker.phase is WorkerPhase.SETTLING:
            expected[DeadlineKind.SETTLE, worker.id, ""] += 1
        if worker.phase is WorkerPhase.BACKED_OFF:
            expected[DeadlineKind.BACKOFF, worker.id, ""] += 1
        if worker.yielding and worker.phase is not WorkerPhase.GONE:
            expected[DeadlineKind.YIELD, worker.id, ""] += 1
        for pair in worker.contests:
            expected[DeadlineKind.TAKEOVER, pair[0], pair[1]] = 1
    for job_id in board.late_answers:
        expected[DeadlineKind.LATE_ANSWER, job_id, ""] += 1
    if board.due_at is not None:
        expected[DeadlineKind.DUE, "", ""] += 1
    keys = set(board.deadlines._live)
    assert expected.keys() <= keys, f"without a deadline: {expected.keys() - keys}"
    # of no job or worker; the last finds nothing to look at when all started
    ours = {
        DeadlineKind.SWEEP,
        DeadlineKind.SUCCESSION,
        DeadlineKind.OVER,
        DeadlineKind.UNNAMED,
        DeadlineKind.REOPENED,
        DeadlineKind.UNSTARTED,
    }
    outliving = {
        DeadlineKind.SETTLE,
        DeadlineKind.BACKOFF,
        DeadlineKind.UNCOUNTED,
        DeadlineKind.HAND_OVER,
    }
    for kind, one, _two in keys - expected.keys():
        if kind in ours or (kind is DeadlineKind.GRACE and board.is_draining):
            continue
        # these may outlive what they were set for, but not their worker
        assert kind in outliving, f"{kind} is for nothing"
        assert one in board.workers


def check_pools(board: Board) -> None:
    """The pools have exactly the workers with room, where their pressure puts them."""
    expected: dict[Lane, dict[Standing, set[str]]] = {}
    room: Counter[Lane] = Counter()
    for worker in board.workers.values():
        has_room = worker.room(board.policy)
        if has_room:
            preferred = worker.pressure(board.policy) < board.policy.target_load
            standing = Standing.PREFERRED if preferred else Standing.LOADED
            for lane in worker.lanes:
                expected.setdefault(lane, {}).setdefault(standing, set()).add(worker.id)
                room[lane] += has_room
    pools = board.pools._pools
    assert {
        lane: {s: {w.id for w in bag._items} for s, bag in pool.bags.items() if len(bag)}
        for lane, pool in pools.items()
    } == expected
    assert {lane: pool.room for lane, pool in pools.items()} == dict(room)


def check_lanes(bench: EngineBench) -> None:
    """At rest, the engine's count of what waits is the store's, or a bit over it.

    Over it by a job that never was: offered for a call that repeated another, and declined before
    the store said so. The next claim puts it right; a count below would leave jobs waiting.
    """
    board = board_of(bench.engine)
    stored = {lane: len(queue) for lane, queue in bench.database._queues.items()}
    counted = {lane: queue.waiting for lane, queue in board.lanes.items()}
    for lane, count in stored.items():
        assert counted.get(lane, 0) >= count
    assert not any(queue.is_claiming for queue in board.lanes.values())


def check_nothing_left(engine: Engine) -> None:
    """All has ended and everybody has gone: nothing is remembered."""
    board = board_of(engine)
    handlers = engine._handlers.values()
    parts = {id(h.__self__): h.__self__ for h in handlers if hasattr(h, "__self__")}
    left: list[object] = [
        board.workers,
        board.processes,
        board.jobs,
        board.dispatches,
        board.deletions,
        board.lanes,
        board.pools._pools,
        board.pools._places,
        board.late_answers,
        board.called_off,
        board.identities,
        board.ended,
        board.unserved,
        board.deadlines._live,
    ]
    for part in parts.values():
        if isinstance(part, Claiming):
            left.append(part._contests)
        if isinstance(part, Dispatching):
            left += [part._creating, part._deleting]
        if isinstance(part, Ordering):
            left += [part.rules, part._index, part._live, part._waiting]
            left += [part._sweeps, part._revoked, part._off]
        if isinstance(part, StandingDispatches):
            left.append(part._asked)
        if isinstance(part, Observing):
            left += [part._rooms.rooms, part._rooms.over, part._rooms.touched]
        if isinstance(part, Bridging):
            left += [part.calls, part._by_room, part._by_job]
    # all that remember something of jobs, rooms or rules were found by their handlers
    found = {type(part) for part in parts.values()}
    assert {Claiming, Dispatching, Ordering, StandingDispatches, Observing, Bridging} <= found
    assert not any(left), [what for what in left if what]
    assert board.due_at is None
