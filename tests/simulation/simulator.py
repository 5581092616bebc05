"""One schedule from one seed: the world put together, its faults, its healing, its end.

`simulate(seed)` plays it and returns what was found. The same seed plays the same schedule, in any
process. `Parts` can be other than the real ones, which is how the planted bugs get in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from dispatcher.core.commit import GroupCommit
from dispatcher.core.engine import Engine
from dispatcher.core.events import Registration, WorkerDrainRequested
from dispatcher.core.jobs import MILLISECOND, SECOND, Job, JobType, Nanoseconds
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.policy import Policy
from tests.simulation.callers import Callers
from tests.simulation.checkers import (
    AcknowledgedIsKept,
    CapKept,
    Checker,
    ConfigKept,
    EndedStaysEnded,
    OneHolder,
)
from tests.simulation.facts import Facts
from tests.simulation.history_watch import ASKED_EVERY, HistoryIsClean
from tests.simulation.hostile_worker import HostileWorker
from tests.simulation.node_worker import NodeWorker
from tests.simulation.processes import WorkerProcess
from tests.simulation.promise_checker import PromisesAreDurable
from tests.simulation.rule_callers import RuleCallers
from tests.simulation.rule_checker import RulesAreKept
from tests.simulation.scenario import (
    PROJECT,
    FaultKind,
    Scenario,
    Temper,
    WorkerKind,
    WorkerPlan,
    draw_scenario,
    lanes_of,
)
from tests.simulation.sdk_worker import SdkWorker
from tests.simulation.server import Server
from tests.simulation.sfu import Sfu, hash_of
from tests.simulation.stock_worker import StockWorker
from tests.simulation.store import CommitFault, SimulatedStore, SqliteUnderSimulation
from tests.simulation.time_checkers import DeadlinesFire, FreeWorkersAreAsked
from tests.simulation.timeline import START, Timeline
from tests.simulation.trace import Trace, Violation
from tests.support.memory_store import MemoryDatabase

CHECKERS: tuple[type[Checker], ...] = (
    AcknowledgedIsKept,
    OneHolder,
    CapKept,
    ConfigKept,
    EndedStaysEnded,
    PromisesAreDurable,
    FreeWorkersAreAsked,
    DeadlinesFire,
    RulesAreKept,
)
PROBE_INTERVAL: Nanoseconds = 500 * MILLISECOND
# After everything healed, no job may take longer than this to its end.
HEALED_TIME_MAX: Nanoseconds = 400 * SECOND
# Who says nothing for longer is offered nothing, with most policies.
HANGS_LONG: Nanoseconds = 6 * SECOND
# How far the wall clock is set back or ahead.
CLOCK_JUMP_MAX: Nanoseconds = 180 * SECOND
_OF_ONE_WORKER = frozenset(
    {
        FaultKind.CUT,
        FaultKind.HALF_OPEN,
        FaultKind.ONE_WAY,
        FaultKind.HANG,
        FaultKind.KILL,
        FaultKind.DRAIN,
        FaultKind.TAKE_OUT,
        FaultKind.SIMULATE,
    }
)

_PROCESSES: dict[WorkerKind, type[WorkerProcess]] = {
    WorkerKind.STOCK: StockWorker,
    WorkerKind.NODE: NodeWorker,
    WorkerKind.SDK: SdkWorker,
    WorkerKind.HOSTILE: HostileWorker,
}

# What is done more often than not to a worker that hangs, if one does.
_WHEN_IT_HANGS = frozenset({FaultKind.DRAIN, FaultKind.TAKE_OUT})


@dataclass(frozen=True, slots=True)
class Parts:
    """What a schedule is played with: the real things, or ones with a planted bug."""

    engine: Callable[[Policy, Random], Engine] = Engine
    commits: Callable[[int, int], GroupCommit] = GroupCommit
    # None: the store in memory, and for one schedule in a hundred that of SQLite
    database: Callable[[], SimulatedStore] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a schedule showed."""

    seed: int
    # what it drew, in words
    mix: str
    violation: Violation | None
    lines: tuple[str, ...]
    jobs: int
    steps: int
    simulated_seconds: float


class World:
    """Everything that is simulated."""

    def __init__(self, seed: int, parts: Parts, *, keeps_text: bool) -> None:
        self.random = Random(seed)
        self.scenario: Scenario = draw_scenario(self.random)
        self.policy = self.scenario.policy
        self.timeline = Timeline()
        self._parts = parts
        self.database = self._make_database()
        self.trace = Trace(self, keeps_text=keeps_text)
        self.facts = Facts(self)
        self.trace.watch(self.facts)
        for checker in CHECKERS:
            self.trace.watch(checker(self, self.facts))
        if not seed % ASKED_EVERY:
            self.trace.watch(HistoryIsClean(self, self.facts))
        self.is_healed = False
        # until when the store has no space, and cannot sync; how its next commit fails
        self._full_until: Nanoseconds = 0
        self._outage_until: Nanoseconds = 0
        self._next_fault: CommitFault | None = None
        # how far the wall clock of the server is set ahead
        self.wall_offset: Nanoseconds = 0
        self._numbers = 0
        # every job id that a caller's request was given
        self.job_ids: list[str] = []
        # (worker id, job id) of what a stock worker was launching when it claimed: it left it out,
        # so that the server may come to give it the same job again
        self.unclaimed: set[tuple[str, str]] = set()
        self.server = Server(self)
        self.callers = Callers(self)
        plan = self.scenario.sfu
        self.sfu = Sfu(self, plan) if plan is not None else None
        self.rule_callers = RuleCallers(self, plan) if plan is not None else None
        # where callers want agents
        self.rooms = ("lobby", "attic") if plan is None else ("lobby", *plan.rooms)
        self.workers: list[tuple[WorkerPlan, WorkerProcess]] = []

    # --- handed in ---

    def make_engine(self, seed: int) -> Engine:
        """Make the engine of a new server process."""
        return self._parts.engine(self.policy, Random(seed))

    def make_commits(self) -> GroupCommit:
        """Make the group commit of a new server process."""
        return self._parts.commits(self.scenario.batch_max, self.scenario.unhurried_max)

    def _make_database(self) -> SimulatedStore:
        if self._parts.database is not None:
            return self._parts.database()
        return SqliteUnderSimulation() if self.scenario.on_sqlite else MemoryDatabase()

    def is_endless(self, job: Job) -> bool:
        """Does the job go on until it is told to stop?"""
        plan = self.scenario.sfu
        if plan is None or not job.order.startswith("rule:"):
            return False
        return hash_of(job.id, job.order) % 100 < plan.endless * 100

    def new_number(self) -> int:
        """Return a number that was not there before."""
        self._numbers += 1
        return self._numbers

    def new_id(self, prefix: str) -> str:
        """Return an id that was not there before."""
        return f"{prefix}_{self.new_number()}"

    def latency(self) -> Nanoseconds:
        """How long one frame takes."""
        latency = 50_000 + int(self.random.random() * self.scenario.latency_max)
        if not self.is_healed and self.random.random() < self.scenario.stalls:
            latency += int(self.random.random() * self.scenario.stall_max)
        return latency

    def commit_fault(self, *, is_writing: bool) -> CommitFault | None:
        """How does the store fail now?"""
        if self.is_healed or not is_writing:
            return None
        now, chance = self.timeline.now, self.scenario.commit_failures
        if now < self._full_until:
            return CommitFault.FULL
        if now < self._outage_until:
            return CommitFault.OUTAGE
        if chance and self.random.random() < chance:
            return self.random.choice((CommitFault.FULL, CommitFault.OUTAGE))
        fault, self._next_fault = self._next_fault, None
        return fault

    def server_ends(self, why: str) -> None:
        """The server ends itself, and is started again."""
        self.trace.fault(f"the server ends: {why}")
        self._crash()

    # --- workers ---

    def spawn(self, plan: WorkerPlan) -> WorkerProcess:
        """Start a worker process."""
        number = self.new_number()
        registration = plan.registration
        if registration.instance_id:
            registration = Registration(
                registration.project,
                registration.agent_name,
                registration.namespace,
                registration.deployment,
                registration.types,
                registration.capacity,
                registration.grace,
                instance_id=f"instance-{number}",
            )
        process = _PROCESSES[plan.kind](
            self, f"{plan.kind.value}-{number}", registration, plan.temper
        )
        self.workers.append((plan, process))
        self.timeline.after(0, process.wake, process.connect)
        return process

    def gone(self, process: WorkerProcess) -> None:
        """A process has ended; its supervisor starts another one in a while."""
        for plan, one in self.workers:
            if one is process:
                self.workers.remove((plan, one))
                if process.is_honest:
                    self.timeline.after(int(self.random.random() * 3 * SECOND), self.spawn, plan)
                return

    def _victim(self, kind: FaultKind) -> WorkerProcess | None:
        alive = [process for _, process in self.workers]
        if kind in _WHEN_IT_HANGS and self.random.random() < 0.5:
            now = self.timeline.now
            alive = [process for process in alive if process.hung_until > now] or alive
        return self.random.choice(alive) if alive else None

    # --- faults ---

    def _fault(self, kind: FaultKind) -> None:
        if kind in _OF_ONE_WORKER:
            victim = self._victim(kind)
            if victim is not None:
                self.trace.fault(f"{kind.value} {victim}")
                self._fault_of(kind, victim)
            return
        self.trace.fault(kind.value)
        random, now = self.random, self.timeline.now
        match kind:
            case FaultKind.CRASH:
                self._crash()
            case FaultKind.RESTART:
                self._drain()
            case FaultKind.ROLLING:
                for number in range(random.randint(2, 4)):
                    self.timeline.after(number * 3 * SECOND, self._drain)
            case FaultKind.PAUSE | FaultKind.SUSPEND if self.server.is_up:
                lasts = int(random.random() * random.choice((1, 5, 20)) * SECOND)
                self.server.pause(lasts, with_its_clock=kind is FaultKind.SUSPEND)
                if kind is FaultKind.SUSPEND:  # a server that starts later knows what time it is
                    self.trace.fault(f"for {lasts / 1e9:.3f} s")
            case FaultKind.CLOCK:
                self.wall_offset += int((random.random() - 0.5) * 2 * CLOCK_JUMP_MAX)
            case FaultKind.STORM:
                for _, process in list(self.workers):
                    self._fault_of(FaultKind.CUT, process)
            case FaultKind.FULL:
                self._full_until = now + int(random.random() * 15 * SECOND)
            case FaultKind.OUTAGE:
                self._outage_until = now + int(random.random() * 15 * SECOND)
            case FaultKind.LOST_ANSWER:
                self._next_fault = random.choice((CommitFault.LOST, CommitFault.LOST_ANSWER))
            case _:
                pass

    def _fault_of(self, kind: FaultKind, victim: WorkerProcess) -> None:
        random, scenario = self.random, self.scenario
        link = victim.link
        match kind:
            case FaultKind.CUT if link is not None:
                link.cut(scenario.notice_delay(random), scenario.notice_delay(random))
            case FaultKind.HALF_OPEN if link is not None:
                link.cut(int((0.2 + random.random()) * scenario.notice_max), 0)
            case FaultKind.ONE_WAY if link is not None:
                noticed = int((0.1 + random.random()) * scenario.notice_max)
                link.break_one_way(to_server=random.random() < 0.5, noticed=noticed)
            case FaultKind.HANG:
                self._hang(victim)
            case FaultKind.KILL:
                victim.die(scenario.notice_delay(random))
                self.gone(victim)
            case FaultKind.DRAIN:
                victim.wake(victim.drain)
            case FaultKind.TAKE_OUT:
                self._take_out(victim)
            case FaultKind.SIMULATE:
                said = victim.registration
                job = Job(
                    self.new_id("AJ"),
                    "",
                    random.choice(lanes_of((said.agent_name,))),
                    random.choice(self.rooms),
                    random.randbytes(4),
                    self.timeline.now,
                    queue_time=random.choice(scenario.queue_times),
                )
                if any(job.lane.job_type is type_ for type_ in said.types):
                    victim.wake(victim.simulate_job, job)
            case _:
                pass

    def _take_out(self, victim: WorkerProcess) -> None:
        if victim.link is not None and self.server.takes_calls:
            at = self.server.now + int(self.random.random() * 10 * SECOND)
            hand_over_at = self.random.choice((0, at))
            self.server.call(
                WorkerDrainRequested(
                    self.new_number(), PROJECT, victim.link.worker_id, hand_over_at
                )
            )

    def _drain(self) -> None:
        if self.server.accepts:
            self.trace.fault("the server drains")
            self.server.drain()
            self.timeline.after(
                int(self.random.random() * 3 * SECOND), self._stop, self.server.incarnation
            )

    def _crash(self) -> None:
        if self.server.is_up:
            self.server.crash()
            away = self.random.choice((SECOND // 10, SECOND, 8 * SECOND))
            self.timeline.after(int(self.random.random() * away), self._restart)

    def _stop(self, incarnation: int) -> None:
        if incarnation == self.server.incarnation:
            self._crash()

    def _restart(self) -> None:
        if not self.server.is_up:
            self.server.start()

    def _hang(self, victim: WorkerProcess) -> None:
        random = self.random
        lasts = int(random.random() * random.choice((5, 15, 40)) * SECOND)
        victim.hung_until = max(victim.hung_until, self.timeline.now + lasts)
        # The server pings, and gives a connection up that does not answer; of some that hang the
        # library still does.
        if lasts > HANGS_LONG and random.random() < 0.2:  # and an operator sees it
            later = int(random.random() * (lasts - HANGS_LONG))
            self.timeline.after(HANGS_LONG + later, self._take_out, victim)
        elif lasts > 8 * SECOND and victim.link is not None and random.random() < 0.5:
            victim.link.cut(8 * SECOND, lasts)

    # --- the schedule ---

    def prepare(self) -> None:
        """Put the scenario on the timeline."""
        scenario, timeline = self.scenario, self.timeline
        self.server.start()
        for plan in scenario.workers:
            timeline.after(plan.starts_at, self.spawn, plan)
        for at in scenario.dispatches_at:
            timeline.after(at, self.callers.wish)
        for at, kind in scenario.faults:
            timeline.after(at, self._fault, kind)
        if self.sfu is not None and self.rule_callers is not None:
            self.rule_callers.begin()
            self.sfu.begin()
        timeline.after(PROBE_INTERVAL, self._probe)
        timeline.after(scenario.active_time, self._heal)

    def _heal(self) -> None:
        """From now on nothing goes wrong, and every lane has a good worker."""
        self.trace.fault("everything heals")
        self.is_healed = True
        for _, process in list(self.workers):
            process.temper.heal()
            process.hung_until = min(process.hung_until, self.timeline.now)
            if not process.is_honest:
                process.die(0)
                self.gone(process)
        for plan in self.scenario.workers:
            plan.temper.heal()
        if self.sfu is not None:
            self.sfu.heal()
        for lane in lanes_of(self.scenario.agents):
            if lane.job_type is JobType.PARTICIPANT and self.sfu is None:
                continue
            good = Registration(PROJECT, lane.agent_name, "", "", (lane.job_type,))
            self.spawn(WorkerPlan(WorkerKind.STOCK, good, Temper(), 0))

    def _probe(self) -> None:
        self.trace.probe()
        healed_for = self.timeline.now - START - self.scenario.active_time
        seldom = healed_for > 60 * SECOND  # waits for one far deadline
        self.timeline.after(10 * PROBE_INTERVAL if seldom else PROBE_INTERVAL, self._probe)

    @property
    def is_quiet(self) -> bool:
        """Has everything come to its end?"""
        server, sfu, rule_callers = self.server, self.sfu, self.rule_callers
        if not (self.is_healed and server.is_up and server.is_idle and self.callers.are_content):
            return False
        if sfu is not None and not sfu.is_settled:
            return False
        if self.timeline.now < START + self.scenario.active_time + self.scenario.linger:
            return False
        if rule_callers is not None and not rule_callers.are_content:
            return False
        if any(
            not self.has_come_to_its_end(facts.job, facts.rows[-1].phase)
            for facts in self.facts.open.values()
        ):
            return False
        return not any(
            stored.dispatch.deletion_requested_at and not stored.dispatch.deleted_at
            for dispatch_id in self.callers.wishes
            if (stored := self.database.get_dispatch(PROJECT, dispatch_id)) is not None
        )

    def has_come_to_its_end(self, job: Job, phase: JobPhase) -> bool:
        """Has the job ended, or does it run without end?"""
        return phase.is_ended or (phase is JobPhase.RUNNING and self.is_endless(job))

    def play(self) -> int:
        """Play it to its end, or to the first violation; return the number of steps."""
        self.prepare()
        timeline, trace = self.timeline, self.trace
        deadline = START + self.scenario.active_time + HEALED_TIME_MAX
        if self.scenario.sets_the_clock:
            deadline += 4 * CLOCK_JUMP_MAX
        look_at = START + self.scenario.active_time
        steps = 0
        while trace.violation is None and timeline.now < deadline:
            timeline.step()
            steps += 1
            if timeline.now >= look_at:
                look_at = timeline.now + SECOND
                if self.is_quiet:
                    break
        if trace.violation is None:
            trace.finished()
        return steps


def simulate(seed: int, parts: Parts | None = None, *, keeps_text: bool = False) -> Report:
    """Play the schedule of this seed."""
    world = World(seed, parts or Parts(), keeps_text=keeps_text)
    try:
        steps = world.play()
    finally:
        if isinstance(world.database, SqliteUnderSimulation):
            world.database.remove()
    return Report(
        seed=seed,
        mix=world.scenario.mix,
        violation=world.trace.violation,
        lines=tuple(world.trace.lines),
        jobs=len(world.job_ids),
        steps=steps,
        simulated_seconds=(world.timeline.now - START) / SECOND,
    )
