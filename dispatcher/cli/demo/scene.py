"""What is known of a run at an instant: what the screen shows and the plot waits for."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

# A room whose start nobody has acknowledged yet: it is reported again.
CALLING = "calling"
WAITING = frozenset({"delayed", "queued", "offered"})
HELD = frozenset({"assigned", "running"})
ENDED = frozenset({"succeeded", "failed", "cancelled"})


class Mood(Enum):
    """How a headline is meant."""

    CALM = "calm"
    ALARM = "alarm"
    GOOD = "good"


class ServerState(Enum):
    """What became of the server."""

    STARTING = "starting"
    UP = "up"
    KILLED = "killed"


@dataclass(slots=True)
class RoomRow:
    """One room and its job."""

    name: str
    # "" before the room starts; then the job's phase
    phase: str = ""
    worker: str = ""
    attempt: int = 1
    # its end has been reported, and acknowledged
    is_over: bool = False


@dataclass(slots=True)
class WorkerRow:
    """One worker process, by its own record."""

    name: str
    pid: int
    capacity: int
    state: str = "starting"
    running: int = 0
    finished: int = 0


@dataclass(slots=True)
class Scene:
    """The run as far as it is known. Written by the plot, read by the screen."""

    rooms: dict[str, RoomRow]
    workers: dict[str, WorkerRow] = field(default_factory=dict)
    server: ServerState = ServerState.STARTING
    server_pid: int = 0
    url: str = ""
    headline: str = "starting"
    mood: Mood = Mood.CALM
    # the rules that the server has: what each says, by its name
    rules: dict[str, str] = field(default_factory=dict)
    # what the server knows: rooms that are there, people in them, rooms with a job
    rooms_there: int = 0
    people: int = 0
    matched: int = 0
    # reports of room events that were acknowledged, and that are waited for
    reports: int = 0
    unanswered: int = 0
    kills: list[str] = field(default_factory=list)
    started_at: float = field(default_factory=time.monotonic)
    # fixed for a picture, else the clock's
    seconds: float | None = None

    @property
    def elapsed_seconds(self) -> float:
        """Time since the start."""
        return time.monotonic() - self.started_at if self.seconds is None else self.seconds

    def count(self, phases: frozenset[str]) -> int:
        """How many rooms have a job in one of these phases."""
        per_phase = Counter(row.phase for row in self.rooms.values())
        return sum(per_phase[phase] for phase in phases)

    @property
    def waiting(self) -> int:
        """Jobs that no worker holds, and that nobody is to be asked back for."""
        return self.count(WAITING)

    @property
    def held(self) -> int:
        """Jobs that a worker holds."""
        return self.count(HELD)

    @property
    def ended(self) -> int:
        """Jobs whose end the server has."""
        return self.count(ENDED)
