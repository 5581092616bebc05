"""The commands by name, as typer sees them, in the order and the panels of `--help`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from typer.main import get_command

from dispatcher.cli import dispatches, jobs, room_configs, rooms, rules, token, workers
from dispatcher.cli.demo.command import demo
from dispatcher.cli.events import events
from dispatcher.cli.help_texts import examples
from dispatcher.cli.history import check_history
from dispatcher.cli.loadtest import loadtest
from dispatcher.cli.serve import serve

HELP = "Callboard dispatches LiveKit agents: no job is lost, none runs twice."
HELP_OPTIONS = ["-h", "--help"]

app = typer.Typer(
    help=HELP,
    epilog=examples(
        ("callboard serve --dev", "a server to try"),
        ("callboard job why AJ_...", "why a job waits, worker by worker"),
        ("callboard --install-completion", "Tab completes, also ids"),
    ),
    context_settings={"help_option_names": HELP_OPTIONS},
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(metadata.version("callboard"))
        raise typer.Exit


@app.callback(help=HELP)
def callboard(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Hold what stands before a command."""


NOW, TO_BE, RUN, BESIDE = "What happens", "What is to happen", "Run and try", "Beside it"

app.add_typer(jobs.app, name="job", rich_help_panel=NOW)
app.add_typer(workers.app, name="worker", rich_help_panel=NOW)
app.add_typer(rooms.app, name="room", rich_help_panel=NOW)
app.command("events", rich_help_panel=NOW)(events)
app.add_typer(dispatches.app, name="dispatch", rich_help_panel=TO_BE)
app.add_typer(rules.app, name="rule", rich_help_panel=TO_BE)
app.add_typer(room_configs.app, name="room-config", rich_help_panel=TO_BE)
app.command("serve", rich_help_panel=RUN)(serve)
app.command("demo", rich_help_panel=RUN)(demo)
app.command("loadtest", rich_help_panel=RUN)(loadtest)
app.add_typer(token.app, name="token", rich_help_panel=BESIDE)
app.command("check-history", rich_help_panel=BESIDE)(check_history)

ORDER = (
    "job", "worker", "room", "events", "dispatch", "rule", "room-config", "serve", "demo", "loadtest",
    "token", "check-history",
)  # fmt: skip


def command() -> Any:  # noqa: ANN401 (typer's own copy of click has no public types)
    """Return the whole command line, to be called with arguments."""
    whole: Any = get_command(app)
    # typer has all commands before all groups
    whole.commands = {name: whole.commands[name] for name in ORDER}
    for _, each in commands_of(whole, "callboard"):
        # Where the source's lines end is no place to end one on the terminal.
        each.help = "\n\n".join(" ".join(part.split()) for part in each.help.split("\n\n"))
        context = typer.Context(each, help_option_names=HELP_OPTIONS)
        for parameter in [*each.params, each.get_help_option(context)]:
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""  # and not <bool>: a flag takes no value
    return whole


def commands_of(of: Any, name: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 (as above)
    """Yield a command and all below it, each with its whole name."""
    yield name, of
    for each in getattr(of, "commands", {}).values():
        yield from commands_of(each, f"{name} {each.name}")
