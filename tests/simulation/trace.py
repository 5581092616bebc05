"""What an outside observer sees, told to everybody who watches, and kept as text if wanted.

Observations are method calls on `Watcher`s: what the server heard and sent, what became durable,
what really runs, and the crashes. A watcher that finds an invariant broken says so with `blame`.
The first violation of a run counts; it ends the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.core.effects import Message, NoteIgnored, StoreRequest
from dispatcher.core.events import Event
from dispatcher.core.room_events import DisconnectReason
from dispatcher.store.contract import EventRow
from tests.simulation.network import Link

if TYPE_CHECKING:
    from tests.simulation.processes import WorkerProcess
    from tests.simulation.simulator import World


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that was found broken, and by which checker."""

    checker: str
    what: str


class Watcher:
    """Sees everything; each kind overrides what it is interested in."""

    def started(self, incarnation: int) -> None:
        """A server process opened the store; it has done nothing else yet."""

    def crashed(self) -> None:
        """The server process is gone, with all that was not durable."""

    def heard(self, event: Event, link: Link | None, true_epoch: int) -> None:
        """A frame or a call arrived at the server; it has not acted on it yet."""

    def sent(self, message: Message, link: Link | None) -> None:
        """The server releases a message to a worker, or an answer to a caller (no link)."""

    def committed(self, batch: Sequence[StoreRequest], rows: Sequence[EventRow]) -> None:
        """A batch became durable, and these are its rows of the event log."""

    def began(self, process: WorkerProcess, job_id: str, epoch: int) -> None:
        """A process begins to run a job."""

    def ended(
        self, process: WorkerProcess, job_id: str, epoch: int, reason: DisconnectReason
    ) -> None:
        """A process runs a job no longer; its agent leaves for this reason."""

    def probe(self) -> None:
        """A moment passed."""

    def finished(self) -> None:
        """The run is over; everything had its time to end well."""


HOOKS = ("started", "crashed", "heard", "sent", "committed", "began", "ended", "probe", "finished")


class Trace:
    """Tells the watchers, in their order, of each observation."""

    def __init__(self, world: World, *, keeps_text: bool) -> None:
        self._world = world
        self._keeps_text = keeps_text
        self._last_sequence = 0
        self._watchers: dict[str, list[Watcher]] = {hook: [] for hook in HOOKS}
        self.lines: list[str] = []
        self.violation: Violation | None = None

    def watch(self, watcher: Watcher) -> None:
        """Tell this one too, of those hooks that it overrides."""
        for hook in HOOKS:
            if getattr(type(watcher), hook) is not getattr(Watcher, hook):
                self._watchers[hook].append(watcher)

    def blame(self, checker: str, what: str) -> None:
        """An invariant is broken. Only the first one counts."""
        if self.violation is None:
            self.violation = Violation(checker, what)
        self._note("VIOLATION", checker, what)

    def broken(self, what: str) -> None:
        """The engine or the store raised: nothing that a peer does may lead there."""
        self.blame("robustness", what)

    def _note(self, *words: object) -> None:
        if self._keeps_text:
            at = self._world.timeline.now
            self.lines.append(f"{at / 1e9:12.6f} " + " ".join(map(str, words)))

    def started(self, incarnation: int) -> None:
        """See `Watcher`."""
        self._note("STARTED", incarnation)
        for watcher in self._watchers["started"]:
            watcher.started(incarnation)

    def crashed(self) -> None:
        """See `Watcher`."""
        self._note("CRASHED")
        for watcher in self._watchers["crashed"]:
            watcher.crashed()

    def heard(self, event: Event, link: Link | None, true_epoch: int) -> None:
        """See `Watcher`."""
        if self._keeps_text:
            self._note("HEARD", link.process if link is not None else "caller", event)
        for watcher in self._watchers["heard"]:
            watcher.heard(event, link, true_epoch)

    def sent(self, message: Message, link: Link | None) -> None:
        """See `Watcher`."""
        if self._keeps_text:
            self._note("SENT", link.process if link is not None else "caller", message)
        for watcher in self._watchers["sent"]:
            watcher.sent(message, link)

    def noted(self, note: NoteIgnored) -> None:
        """Something was ignored: for the text alone."""
        if self._keeps_text:
            self._note("IGNORED", note)

    def committed(self, batch: Sequence[StoreRequest]) -> None:
        """See `Watcher`."""
        rows = self._world.database.events_after(self._last_sequence, 1 << 30)
        if rows:
            self._last_sequence = rows[-1].sequence
        if self._keeps_text:
            for request in batch:
                self._note("DURABLE", request)
            for row in rows:
                self._note("ROW", row)
        for watcher in self._watchers["committed"]:
            watcher.committed(batch, rows)

    def began(self, process: WorkerProcess, job_id: str, epoch: int) -> None:
        """See `Watcher`."""
        self._note("BEGAN", process, job_id, epoch)
        for watcher in self._watchers["began"]:
            watcher.began(process, job_id, epoch)

    def ended(
        self, process: WorkerProcess, job_id: str, epoch: int, reason: DisconnectReason
    ) -> None:
        """See `Watcher`."""
        self._note("ENDED", process, job_id, epoch)
        for watcher in self._watchers["ended"]:
            watcher.ended(process, job_id, epoch, reason)

    def fault(self, what: str) -> None:
        """A fault of the world: for the text alone."""
        self._note("FAULT", what)

    def probe(self) -> None:
        """See `Watcher`."""
        for watcher in self._watchers["probe"]:
            watcher.probe()

    def finished(self) -> None:
        """See `Watcher`."""
        for watcher in self._watchers["finished"]:
            watcher.finished()
