"""The commands by name, as typer sees them."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer

from dispatcher.cli import dispatches, jobs, room_configs, rooms, rules, token, workers
from dispatcher.cli.demo.command import demo
from dispatcher.cli.events import events
from dispatcher.cli.history import check_history
from dispatcher.cli.loadtest import loadtest
from dispatcher.cli.serve import serve

app = typer.Typer(
    help="Callboard dispatches LiveKit agents: no job is lost, none runs twice.",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(metadata.version("callboard"))
        raise typer.Exit


@app.callback()
def callboard(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Callboard dispatches LiveKit agents: no job is lost, none runs twice."""


app.command("serve")(serve)
app.command("demo")(demo)
app.add_typer(dispatches.app, name="dispatch")
app.add_typer(jobs.app, name="job")
app.add_typer(workers.app, name="worker")
app.add_typer(rooms.app, name="room")
app.add_typer(room_configs.app, name="room-config")
app.add_typer(rules.app, name="rule")
app.add_typer(token.app, name="token")
app.command("events")(events)
app.command("check-history")(check_history)
app.command("loadtest")(loadtest)
