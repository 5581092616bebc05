"""`callboard room-config`: what rooms are created with, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dispatcher.cli import completing
from dispatcher.cli.applying import Applied, FilesOption, apply_all, read_files, show_applied
from dispatcher.cli.blocks import print_table
from dispatcher.cli.connection import (
    DevOption,
    JsonOption,
    KeyOption,
    SecretOption,
    UrlOption,
    ask,
)
from dispatcher.cli.failures import CommandFailed, missing_is
from dispatcher.cli.output import as_json, print_json

if TYPE_CHECKING:
    from protocol import wire_pb2
    from worker_sdk.client import DispatchClient

app = typer.Typer(help="List, apply and delete what rooms begin with.")


@app.command("list")
def list_(
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """List room configurations by name.

    Those of the server's own file are among them.
    """

    async def call(client: DispatchClient) -> list[wire_pb2.RoomConfiguration]:
        return await client.list_room_configurations()

    found = ask(call, url, api_key, api_secret, dev)
    if json:
        print_json({"configurations": [as_json(each) for each in found]})
        return
    rows = [
        [
            each.name,
            ",".join(agent.agent_name or "(unnamed)" for agent in each.agents) or "-",
            _seconds(each.empty_timeout),
            _seconds(each.departure_timeout),
            str(each.max_participants or "-"),
            each.metadata or "-",
        ]
        for each in found
    ]
    columns = ["name", "agents", "empty", "departure", "participants", "metadata"]
    print_table(columns, rows, "no room configurations")


@app.command("apply")
def apply(
    file: FilesOption,
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Create or change room configurations from files.

    What is there already, just so, is left alone.

    A file has `NAME: {agents: [{agent_name: NAME}], empty_timeout: SECONDS, ...}`, as the server's
    own under room_configurations. All files are checked before the first configuration is sent.
    """
    configurations = _read_files(file)

    async def call(client: DispatchClient) -> tuple[list[Applied], CommandFailed | None]:
        before = {each.name: each for each in await client.list_room_configurations()}

        async def apply_one(wanted: wire_pb2.RoomConfiguration) -> Applied:
            return Applied(wanted.name, await _apply(client, before.get(wanted.name), wanted))

        return await apply_all(configurations, apply_one)

    done, failure = ask(call, url, api_key, api_secret, dev)
    show_applied("configuration", "configurations", done, failure, json)


@app.command("delete")
def delete(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="The room configuration.",
            autocompletion=completing.configuration_names,
        ),
    ],
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Delete a room configuration.

    Rooms that were created with it stay as they are.
    """

    async def call(client: DispatchClient) -> wire_pb2.RoomConfiguration:
        with missing_is(f"there is no room configuration {name!r}"):
            return await client.delete_room_configuration(name)

    gone = ask(call, url, api_key, api_secret, dev)
    if json:
        print_json(as_json(gone))
    else:
        typer.echo(f"{gone.name} deleted")


async def _apply(
    client: DispatchClient,
    before: wire_pb2.RoomConfiguration | None,
    wanted: wire_pb2.RoomConfiguration,
) -> str:
    if before == wanted:
        return "unchanged"
    if before is not None:
        await client.update_room_configuration(wanted)
        return "changed"
    await client.create_room_configuration(wanted)
    return "created"


def _read_files(files: list[str]) -> list[tuple[str, wire_pb2.RoomConfiguration]]:
    """Read the configurations of all files, each with its file. Raises ConfigError."""
    from dispatcher.config.room_configuration_files import (
        FILE_BYTES_MAX,
        load_configurations,
        parse_configurations,
    )
    from dispatcher.room_configurations import DEFAULT_CONFIGURATION_LIMITS as LIMITS

    return read_files(
        files,
        "room configuration",
        FILE_BYTES_MAX,
        lambda raw, source: parse_configurations(raw, source, LIMITS).values(),
        lambda path: load_configurations(path, LIMITS).values(),
    )


def _seconds(number: int) -> str:
    return f"{number} s" if number else "-"
