"""`callboard demo`: plays the run on a screen that moves, or in a few plain lines."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dispatcher.cli.demo.scenario import Run
    from dispatcher.cli.demo.scene import Scene
    from dispatcher.cli.demo.verdict import Verdict

REFRESH_SECONDS = 0.1
# A terminal that is closed; not everywhere is there such a signal.
HANG_UP = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
_NAMES_SHOWN_MAX = 8


def demo(
    svg: Annotated[
        Path | None,
        typer.Option(
            "--svg", metavar="FILE", help="Write the screen at its most telling moment as an SVG."
        ),
    ] = None,
    sabotage: Annotated[
        list[str] | None,
        typer.Option("--sabotage", hidden=True, help="Break something on purpose."),
    ] = None,
    patience: Annotated[
        float,
        typer.Option("--patience", hidden=True, help="Let it take so many times as long."),
    ] = 1.0,
) -> None:
    """Show the main job on this machine, in half a minute.

    It needs neither an account nor an SFU. Starts a server and several workers, applies a rule, tells what happens in 24 rooms, kills a
    worker and the server with SIGKILL on the way, and judges whether every room got its agent, and
    got it once. Exit code 0 only if so.
    """
    import anyio

    from dispatcher.cli.demo.cast import Cast
    from dispatcher.cli.demo.scenario import Run, Sabotage, new_scene

    scene = new_scene()
    stage = _Stage(scene, svg)
    with Cast() as cast:
        run = Run(cast, scene, stage.tell, frozenset(map(Sabotage, sabotage or ())), patience)
        try:
            verdict = anyio.run(stage.show, run)
        except typer.Abort:
            cast.remove_folder()
            raise
    if verdict.is_good:
        cast.remove_folder()
    else:
        _explain(verdict, cast.folder)
    typer.secho(str(verdict), fg="green" if verdict.is_good else "red", bold=True)
    raise typer.Exit(0 if verdict.is_good else 1)


class _Stage:
    """Shows a run while it is played."""

    def __init__(self, scene: Scene, svg: Path | None) -> None:
        self._scene = scene
        self._svg = svg
        self._is_on_terminal = sys.stdout.isatty()
        # the screen at its most telling moment so far
        self._frame: RenderableType | None = None

    def tell(self, headline: str) -> None:
        """Say it in a line, where there is no screen."""
        if not self._is_on_terminal:
            print(f"{self._scene.elapsed_seconds:5.1f} s  {headline}", flush=True)

    async def show(self, run: Run) -> Verdict:
        """Play the run, painting it on the way."""
        import anyio
        from rich.console import Console
        from rich.live import Live

        from dispatcher.cli.demo.screen import picture, save_svg

        verdicts: list[Verdict] = []
        signals = [signal.SIGINT, signal.SIGTERM, *HANG_UP]
        console = Console()
        live = Live(picture(self._scene), console=console, auto_refresh=False)
        async with anyio.create_task_group() as tasks:

            async def play() -> None:
                verdicts.append(await run.play())
                tasks.cancel_scope.cancel()

            async def end_when_told() -> None:
                with anyio.open_signal_receiver(*signals) as received:
                    async for _ in received:
                        tasks.cancel_scope.cancel()

            tasks.start_soon(end_when_told)
            tasks.start_soon(play)
            if self._is_on_terminal:
                live.start()
            try:
                while True:
                    self._keep_telling_frame()
                    if self._is_on_terminal:
                        live.update(picture(self._scene), refresh=True)
                    await anyio.sleep(REFRESH_SECONDS)
            finally:
                if self._is_on_terminal:
                    live.update(picture(self._scene), refresh=True)
                    live.stop()
        if not verdicts:
            raise typer.Abort
        if self._svg is not None and self._frame is not None:
            save_svg(self._frame, self._svg)
        return verdicts[0]

    def _keep_telling_frame(self) -> None:
        """The server is down, a worker is dead, and jobs run, wait and have ended."""
        from dispatcher.cli.demo.scene import ServerState
        from dispatcher.cli.demo.screen import picture

        if self._scene.server is ServerState.KILLED:
            self._frame = picture(self._scene)


def _explain(verdict: Verdict, folder: Path) -> None:
    for what, names in (("lost", verdict.lost), ("doubled", verdict.doubled)):
        if names:
            more = (
                f" and {len(names) - _NAMES_SHOWN_MAX} more"
                if len(names) > _NAMES_SHOWN_MAX
                else ""
            )
            shown = ", ".join(names[:_NAMES_SHOWN_MAX])
            typer.echo(f"{what}: {shown}{more}", err=True)
    if verdict.rooms < verdict.rooms_wanted:
        typer.echo(f"{verdict.rooms_wanted - verdict.rooms} rooms were not acknowledged", err=True)
    typer.echo(f"logs and records are in {folder}", err=True)
