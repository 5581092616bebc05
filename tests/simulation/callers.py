"""API callers: they create dispatches, repeat themselves, delete, and lose answers in crashes.

A caller that gets no answer asks again with the same dispatch id, as LiveKit's clients do with
their request id; the server then draws fresh job ids, which must come to nothing if the first
request was carried out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.core.effects import Outcome, Reply
from dispatcher.core.events import DispatchDeletionRequested, DispatchRequested
from dispatcher.core.jobs import (
    MILLISECOND,
    SECOND,
    Dispatch,
    Job,
    JobType,
    Lane,
    RestartPolicy,
)
from protocol.wire_pb2 import AgentDispatch
from tests.simulation.scenario import PROJECT

if TYPE_CHECKING:
    from tests.simulation.simulator import World

# A caller that got no answer asks again after this.
PATIENCE = 3 * SECOND


@dataclass(slots=True, eq=False)
class Wish:
    """One dispatch that a caller wants."""

    dispatch: Dispatch
    lanes: tuple[Lane, ...]
    queue_time: int
    is_answered: bool = False
    is_deleted: bool = False


class Callers:
    """All callers."""

    def __init__(self, world: World) -> None:
        self._world = world
        # by request number; a crash of the server forgets who asked
        self._creating: dict[int, Wish] = {}
        self._deleting: dict[int, str] = {}
        self.wishes: dict[str, Wish] = {}

    @property
    def are_content(self) -> bool:
        """Has every wish been answered?"""
        return all(wish.is_answered for wish in self.wishes.values())

    def wish(self) -> None:
        """Somebody wants a dispatch."""
        world, random = self._world, self._world.random
        agent = random.choice(world.scenario.named_agents)
        types = random.choice(((JobType.ROOM,),) * 4 + ((JobType.ROOM, JobType.PUBLISHER),))
        dispatch_id = world.new_id("AD")
        asked = AgentDispatch(id=dispatch_id, agent_name=agent, metadata=f"{random.random()}")
        dispatch = Dispatch(
            id=dispatch_id,
            project=PROJECT,
            room=random.choice(world.rooms),
            agent_name=agent,
            deployment="",
            restart_policy=random.choice((RestartPolicy.ON_FAILURE,) * 3 + (RestartPolicy.NEVER,)),
            config=asked.SerializeToString(),
            created_at=world.timeline.now,
        )
        lanes = tuple(Lane(PROJECT, agent, job_type=job_type) for job_type in types)
        wish = Wish(dispatch, lanes, random.choice(world.scenario.queue_times))
        self.wishes[dispatch.id] = wish
        self._ask(wish)
        if random.random() < world.scenario.repeats:
            world.timeline.after(random.randrange(30 * MILLISECOND), self._ask, wish)
        if random.random() < world.scenario.deletes:
            world.timeline.after(random.randrange(8 * SECOND), self._delete, wish)

    def make_job(self, dispatch: Dispatch, lane: Lane, queue_time: int) -> Job:
        """Draw a job as the shell does."""
        world = self._world
        job = Job(
            id=world.new_id("AJ"),
            dispatch_id=dispatch.id,
            lane=lane,
            room=dispatch.room,
            config=world.random.randbytes(4),
            created_at=world.timeline.now,
            restart_policy=dispatch.restart_policy,
            priority=world.random.choice((0, 0, 0, 1)),
            queue_time=queue_time,
        )
        world.job_ids.append(job.id)
        return job

    def _ask(self, wish: Wish) -> None:
        world = self._world
        world.timeline.after(world.latency(), self._create, wish)
        world.timeline.after(PATIENCE, self._insist, wish)

    def _insist(self, wish: Wish) -> None:
        if not wish.is_answered:
            self._ask(wish)

    def _create(self, wish: Wish) -> None:
        world = self._world
        if not world.server.takes_calls:
            return
        request = world.new_number()
        self._creating[request] = wish
        jobs = tuple(self.make_job(wish.dispatch, lane, wish.queue_time) for lane in wish.lanes)
        world.server.call(DispatchRequested(request, wish.dispatch, jobs))

    def _delete(self, wish: Wish) -> None:
        world = self._world
        if wish.is_deleted:
            return
        if not world.server.takes_calls:
            world.timeline.after(PATIENCE, self._delete, wish)
            return
        random = world.random
        request = world.new_number()
        dispatch_id, room = wish.dispatch.id, wish.dispatch.room
        drawn = random.random()
        if drawn < 0.1:
            dispatch_id = "AD_nobody"
        elif drawn < 0.2:
            room = "cellar"
        else:
            self._deleting[request] = dispatch_id
            world.timeline.after(PATIENCE, self._delete, wish)
            if drawn < 0.4:  # twice at once
                again = world.new_number()
                world.server.call(DispatchDeletionRequested(again, PROJECT, room, dispatch_id))
        world.server.call(DispatchDeletionRequested(request, PROJECT, room, dispatch_id))

    def job_failed(self, job: Job) -> None:
        """Somebody sees a job fail, and may call it off while it waits for its next try."""
        world = self._world
        wish = self.wishes.get(job.dispatch_id)
        if wish is not None and world.random.random() < world.scenario.deletes:
            pause = int(world.random.random() * 1.2 * world.policy.retry_backoff_min)
            world.timeline.after(pause, self._delete, wish)

    def replied(self, reply: Reply) -> None:
        """The server answers. (The caller hears it some time later, or not at all.)"""
        wish = self._creating.pop(reply.request, None)
        if wish is not None and reply.outcome in (Outcome.CREATED, Outcome.EXISTED):
            wish.is_answered = True
        dispatch_id = self._deleting.pop(reply.request, None)
        if dispatch_id is not None:
            self.wishes[dispatch_id].is_deleted = True
