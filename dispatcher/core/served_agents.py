"""Agents whose workers were here once: who is remembered, and for how long.

The SFU is told of them before their workers are back, and rooms call the unnamed among them without
being asked. A name is asked for by somebody; the unnamed are not, so they are forgotten when none of
their workers has been here for a while. That time begins anew with the server: what was remembered
when it ended is. Any agent is forgotten when a caller says so, unless a worker of it is here.

Left to others: the job types of an agent (`standing_dispatches`), what the SFU is told (`bridging`),
automatic calls (`ordering`).
"""

from __future__ import annotations

from dispatcher.core.board import Board, DeadlineKind
from dispatcher.core.bridged import AgentForgotten
from dispatcher.core.bridging import Bridging
from dispatcher.core.effects import Outcome, Reply
from dispatcher.core.events import StoreRecovered, WorkerDisconnected, WorkerRegistered
from dispatcher.core.ordering import Ordering
from dispatcher.core.standing_dispatches import StandingDispatches

UNNAMED = ""


class ServedAgents:
    """The part of the engine that forgets agents."""

    def __init__(
        self,
        board: Board,
        standing: StandingDispatches,
        bridging: Bridging,
        ordering: Ordering,
    ) -> None:
        self._board = board
        self._standing = standing
        self._bridging = bridging
        self._ordering = ordering
        # the connections of workers without a name: by project, and whose each is
        self._unnamed: dict[str, set[str]] = {}
        self._projects: dict[str, str] = {}

    def registered(self, event: WorkerRegistered) -> None:
        """A worker came."""
        said = event.registration
        if said.agent_name == UNNAMED and event.worker_id in self._board.workers:
            self._unnamed.setdefault(said.project, set()).add(event.worker_id)
            self._projects[event.worker_id] = said.project
            self._board.cancel(DeadlineKind.UNNAMED, said.project)

    def disconnected(self, event: WorkerDisconnected) -> None:
        """A worker's connection is lost: it may have been the last without a name."""
        project = self._projects.pop(event.worker_id, None)
        if project is None:
            return
        self._unnamed[project].discard(event.worker_id)
        if not self._unnamed[project]:
            del self._unnamed[project]
            self._remember_for_a_while(project)

    def recovered(self, _event: StoreRecovered) -> None:
        """A server starts: the unnamed may come back."""
        for project, agent_name in self._standing.agents:
            if agent_name == UNNAMED:
                self._remember_for_a_while(project)
        for project, served in self._bridging.served:
            if served.agent_name == UNNAMED:
                self._remember_for_a_while(project)

    def _remember_for_a_while(self, project: str) -> None:
        board = self._board
        board.schedule(DeadlineKind.UNNAMED, board.now + board.policy.unnamed_memory, project)

    def memory_over(self, project: str) -> None:
        """No unnamed worker has been here for long enough."""
        if project not in self._unnamed:
            self._forget(project, UNNAMED)

    def forgotten(self, event: AgentForgotten) -> None:
        """A caller has an agent forgotten."""
        board = self._board
        connected = sum(
            worker.registration.project == event.project
            and worker.registration.agent_name == event.agent_name
            for worker in board.workers.values()
        )
        if connected:
            detail = f"workers of it are connected: {connected}"
            board.emit(Reply(event.request, Outcome.REFUSED, detail=detail))
            return
        is_known = self._forget(event.project, event.agent_name)
        if event.agent_name == UNNAMED:
            board.cancel(DeadlineKind.UNNAMED, event.project)
        board.emit(Reply(event.request, Outcome.DELETED if is_known else Outcome.NOT_FOUND))

    def _forget(self, project: str, agent_name: str) -> bool:
        of_dispatches = self._standing.forget_agent(project, agent_name)
        of_bridge = self._bridging.forget_agent(project, agent_name)
        if agent_name == UNNAMED:
            self._ordering.unnamed_forgotten(project)
        return of_dispatches or of_bridge
