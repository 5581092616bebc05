"""A job's timeline: a bar that the eye reads, and a line for each durable move.

The bar is as wide as the terminal and has a mark for each phase that the job was in, for as long as
it was. Below it the moves stand by attempt: when each was, how long after the one before, what
happened, and the evidence. In a pipe there is a row for each move, with all that is known of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TextIO

from dispatcher.cli.output import PHASE_STYLES, clock, lasted, printable

if TYPE_CHECKING:
    from rich.console import Console

    from protocol import api_pb2

COLUMNS = (
    "at", "after", "event", "phase", "attempt", "epoch", "worker", "what happened", "evidence",
)  # fmt: skip
BAR_WIDTH_MAX = 120
_AFTER_WIDTH = 14
# Text that would have less than this beside its time stands below it.
_TEXT_WIDTH_MIN = 26
_INDENT = "  "


class Mark(NamedTuple):
    """How a phase looks in the bar; `plain` is for terminals without more than ASCII."""

    glyph: str
    plain: str


MARKS: Mapping[str, Mark] = {
    "delayed": Mark("·", "."),
    "queued": Mark("░", ":"),
    "offered": Mark("▒", "+"),
    "assigned": Mark("▓", "="),
    "running": Mark("█", "#"),
    "orphaned": Mark("!", "!"),
}
# Trouble is seen however short it was.
_SEEN_FIRST = "orphaned"


@dataclass(frozen=True, slots=True)
class Stay:
    """For how long a job was in a phase, in nanoseconds."""

    phase: str
    begins_at: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """The moves of one attempt and epoch; the one that ends it is its last."""

    attempt: int
    epoch: int
    moves: Sequence[tuple[int, api_pb2.JobEvent]]  # with their places in the timeline

    @property
    def worker(self) -> str:
        """The worker, if it is the same in all moves that name one."""
        workers = {event.worker_id for _, event in self.moves if event.worker_id}
        return workers.pop() if len(workers) == 1 else ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened to a job, oldest first; `now_ns` is where the bar ends if it has not ended."""

    events: Sequence[api_pb2.JobEvent]
    now_ns: int

    def write(self, out: TextIO) -> Sequence[str]:
        """Write a row for each move."""
        out.write("\t".join(COLUMNS) + "\n")
        for place, event in enumerate(self.events):
            cells = (
                clock(event.at),
                self._after(place) or "-",
                event.kind,
                phase_name(event.phase),
                str(event.attempt),
                str(event.epoch),
                event.worker_id or "-",
                event.told or event.kind,
                evidence(event) or "-",
            )
            out.write("\t".join(printable(cell) for cell in cells) + "\n")
        return () if self.events else ("no events are kept of it",)

    def draw(self, console: Console) -> Sequence[str]:
        """Draw the bar, and the moves below it."""
        if not self.events:
            return ("no events are kept of it",)
        from rich.text import Text

        stays = self.stays()
        if stays and stays[-1].ends_at > stays[0].begins_at:
            width = min(console.width, BAR_WIDTH_MAX)
            bar = bar_of(stays, width, is_plain=_is_plain(console))
            console.print(Text.assemble(*bar), soft_wrap=True)
            for line in self._totals(stays, console.width, is_plain=_is_plain(console)):
                console.print(Text(line))
        date = ""
        for attempt in attempts(self.events):
            console.print()
            heading = _heading(attempt)
            for place, event in attempt.moves:
                day, _, time = clock(event.at).partition(" ")
                if heading or day != date:
                    told = "  ".join(filter(None, (day if day != date else "", heading)))
                    console.print(Text(told, style="bold"))
                    date, heading = day, ""
                self._draw_move(console, place, event, time, attempt.worker)
        return ()

    def _draw_move(
        self, console: Console, place: int, event: api_pb2.JobEvent, time: str, worker: str
    ) -> None:
        from rich.text import Text

        phase = phase_name(event.phase)
        style = PHASE_STYLES.get(phase, "")
        mark = _mark(phase, is_plain=_is_plain(console))
        after = f"+{self._after(place)}" if place else ""
        lead = Text.assemble((mark, style), " ", time, f"{after:>{_AFTER_WIDTH}}", "  ")
        told = printable(_without(event.told or event.kind, worker))
        left = console.width - lead.cell_len
        if left < _TEXT_WIDTH_MIN:
            lead.rstrip()
            console.print(lead)
            lead = Text(_INDENT)
            left = max(console.width - len(_INDENT), _TEXT_WIDTH_MIN)
        lines = [*Text(told).wrap(console, left)]
        before = evidence(self.events[place - 1]) if place else ""
        found = printable(_new_evidence(event, worker, before))
        if found:
            lines += Text(found, style="red" if event.error else "dim").wrap(console, left)
        for number, line in enumerate(lines):
            line.rstrip()
            console.print((lead if number == 0 else Text(" " * lead.cell_len)) + line)

    def stays(self) -> list[Stay]:
        """Return the phases that the job was in, each from its move to the next."""
        found = [
            Stay(phase_name(event.phase), event.at, following.at)
            for event, following in pairwise(self.events)
        ]
        last = phase_name(self.events[-1].phase) if self.events else ""
        if last in MARKS:
            found.append(Stay(last, self.events[-1].at, max(self.now_ns, self.events[-1].at)))
        return found

    def _totals(self, stays: Sequence[Stay], width: int, *, is_plain: bool) -> list[str]:
        """Return the time in each phase, on lines that no phase is parted by from its mark."""
        spent: dict[str, int] = {}
        for stay in stays:
            spent[stay.phase] = spent.get(stay.phase, 0) + stay.ends_at - stay.begins_at
        parts = [
            f"{_mark(phase, is_plain=is_plain)} {phase} {lasted(spent[phase])}"
            for phase in MARKS
            if spent.get(phase)
        ]
        lines = [f"{lasted(stays[-1].ends_at - stays[0].begins_at)}:"]
        for part in parts:
            if len(lines[-1]) + len(_INDENT) + len(part) > width:
                lines.append(f"{_INDENT}{part}")
            else:
                lines[-1] += f"{_INDENT}{part}"
        return lines

    def _after(self, place: int) -> str:
        if not place:
            return ""
        return lasted(self.events[place].at - self.events[place - 1].at)


def attempts(events: Sequence[api_pb2.JobEvent]) -> list[Attempt]:
    """Return the moves by attempt and epoch; the move that began the next one ends each."""
    found: list[Attempt] = []
    moves: list[tuple[int, api_pb2.JobEvent]] = []
    number = (events[0].attempt, events[0].epoch) if events else (0, 0)
    for place, event in enumerate(events):
        moves.append((place, event))
        if (event.attempt, event.epoch) != number:
            found.append(Attempt(*number, moves))
            number, moves = (event.attempt, event.epoch), []
    if moves:
        found.append(Attempt(*number, moves))
    return found


def bar_of(stays: Sequence[Stay], width: int, *, is_plain: bool = False) -> list[tuple[str, str]]:
    """Return the bar's pieces, each with its style. Each place shows the phase that fills it most."""
    begin, end = stays[0].begins_at, stays[-1].ends_at
    pieces: list[tuple[str, str]] = []
    index = 0
    for place in range(width):
        left = begin + (end - begin) * place // width
        right = max(begin + (end - begin) * (place + 1) // width, left + 1)
        while index + 1 < len(stays) and stays[index].ends_at <= left:
            index += 1
        best, most = stays[index].phase, -1
        for stay in stays[index:]:
            if stay.begins_at >= right:
                break
            share = min(stay.ends_at, right) - max(stay.begins_at, left)
            if stay.phase == _SEEN_FIRST and share > 0:
                best = stay.phase
                break
            if share > most:
                best, most = stay.phase, share
        pieces.append((_mark(best, is_plain=is_plain), PHASE_STYLES.get(best, "")))
    return pieces


def evidence(event: api_pb2.JobEvent) -> str:
    """Return what an event says of itself, but what is told of it already."""
    detail = "" if event.detail and event.detail in event.told else event.detail
    return "; ".join(text for text in (event.reason, event.error, detail) if text)


def _new_evidence(event: api_pb2.JobEvent, worker: str, before: str) -> str:
    """Return the evidence without what the event before has, and what only names the worker above."""
    known = {f"was offered to {worker}", f"was on {worker}", f"failed on {worker}"}
    known |= set(before.split("; "))
    return "; ".join(part for part in evidence(event).split("; ") if part not in known)


def phase_name(number: api_pb2.JobPhase) -> str:
    """Return what a job's phase is called; its number for a new one."""
    from protocol.api_pb2 import JobPhase

    try:
        return JobPhase.Name(number).lower()
    except ValueError:
        return str(number)


def _heading(attempt: Attempt) -> str:
    told = f"attempt {attempt.attempt}, epoch {attempt.epoch}"
    return f"{told}, {attempt.worker}" if attempt.worker else told


def _without(text: str, worker: str) -> str:
    """Return the text without the worker that stands above it."""
    if not worker:
        return text
    for told, left in ((f" ({worker})", ""), (f" on {worker}", ""), (f" to {worker}", "")):
        text = text.replace(told, left)
    return text


def _mark(phase: str, *, is_plain: bool) -> str:
    mark = MARKS.get(phase, Mark("●", "o"))
    return mark.plain if is_plain else mark.glyph


def _is_plain(console: Console) -> bool:
    return console.options.ascii_only
