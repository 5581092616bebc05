"""What a person sees of a run: one line that moves on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
import time

from dispatcher.history.report import finding_cells
from tests.faults.promises import Chance
from tests.faults.run import Outcome, Scene

__all__ = ["Screen", "report"]

LINE_INTERVAL_SECONDS = 10.0
PROBLEMS_SHOWN = 40


class Screen:
    """Shows a scene each time it is called."""

    def __init__(self) -> None:
        self._moves = sys.stdout.isatty()
        self._last_line_at = -LINE_INTERVAL_SECONDS
        self._last_act = ""

    def __call__(self, scene: Scene) -> None:
        calls, inflicted = scene.calls, scene.inflicted
        minutes, seconds = divmod(int(scene.elapsed_seconds), 60)
        text = (
            f"{minutes:d}:{seconds:02d} {scene.act}: {calls.dispatched:,} dispatched, "
            f"{len(calls.acknowledged):,} acknowledged, {scene.running:,} running, "
            f"{len(scene.tally.ended):,} ended, {scene.tally.restarts:,} run again; "
            f"{inflicted.total} faults, {inflicted.at_work} at work"
        )
        if scene.fleet.complaints:
            text += f"; {len(scene.fleet.complaints)} processes ended badly"
        now = time.monotonic()
        if self._moves:
            width = shutil.get_terminal_size().columns
            sys.stdout.write(f"\r\x1b[K{text[: width - 1]}")
        elif now - self._last_line_at >= LINE_INTERVAL_SECONDS or scene.act != self._last_act:
            self._last_line_at, self._last_act = now, scene.act
            sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        """Leave the line that moves."""
        if self._moves:
            sys.stdout.write("\n")


def report(outcome: Outcome) -> str:
    """The end of a run: a line for each kind of fault, then the verdict and what is wrong."""
    lines = [
        f"{count:6,}  {kind.value}"
        for kind, count in sorted(outcome.inflicted.by_kind.items(), key=lambda item: item[0].name)
    ]
    lines.append(
        f"{outcome.inflicted.total:6,}  faults; {outcome.inflicted.sockets:,} sockets struck"
    )
    for finding in outcome.judgement.verdict.history.findings:
        cells = finding_cells(finding)
        lines.append(f"{cells[2]:>6}  violations: {cells[0]}, of {cells[1]}: {finding.promise}")
    chances = outcome.judgement.promises.chances
    lines += [f"{chances[chance]:6,}  times: {chance.value}" for chance in Chance]
    lines.append(str(outcome.judgement))
    if outcome.unfinished:
        lines.append(f"{outcome.unfinished} jobs had not ended in the end")
    problems = outcome.judgement.problems
    lines += [f"  {problem}" for problem in problems[:PROBLEMS_SHOWN]]
    if len(problems) > PROBLEMS_SHOWN:
        lines.append(f"  and {len(problems) - PROBLEMS_SHOWN} more")
    return "\n".join(lines)
