"""`callboard room-config`: what rooms are created with, by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dispatcher.cli.connection import (
    DevOption,
    JsonOption,
    KeyOption,
    SecretOption,
    UrlOption,
    ask,
)
from dispatcher.cli.failures import CommandFailed, sentence
from dispatcher.cli.output import as_json, print_json, print_table
from protocol.errors import ConfigError, TwirpCode, TwirpError

if TYPE_CHECKING:
    from protocol import wire_pb2
    from worker_sdk.client import DispatchClient

app = typer.Typer(
    help="Room configurations: agents, timeouts and metadata that a room begins with."
)

STDIN = "-"


@app.command("list")
def list_(
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """List room configurations by name, those of the server's own file among them."""

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
    file: Annotated[
        list[str],
        typer.Option("--file", "-f", metavar="FILE", help="YAML; - is stdin. May be repeated."),
    ],
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Create or change room configurations from files; what is there just so is left alone.

    A file has `NAME: {agents: [{agent_name: NAME}], empty_timeout: SECONDS, ...}`, as the server's
    own under room_configurations. All files are checked before the first configuration is sent.
    """
    configurations = _read_files(file)
    done: list[tuple[str, str]] = []

    async def call(client: DispatchClient) -> CommandFailed | None:
        before = {each.name: each for each in await client.list_room_configurations()}
        for source, wanted in configurations:
            try:
                done.append((wanted.name, await _apply(client, before.get(wanted.name), wanted)))
            except TwirpError as error:
                return CommandFailed(f"{source}: {wanted.name}: {sentence(error)}")
        return None

    failure = ask(call, url, api_key, api_secret, dev)
    if json:
        outcomes = [{"name": name, "outcome": what} for name, what in done]
        print_json({"configurations": outcomes})
    elif done:
        print_table(["configuration", "outcome"], done, "no room configurations")
    if failure is not None:
        raise failure


@app.command("delete")
def delete(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The room configuration.")],
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Delete a room configuration; rooms that were created with it stay as they are."""

    async def call(client: DispatchClient) -> wire_pb2.RoomConfiguration:
        try:
            return await client.delete_room_configuration(name)
        except TwirpError as error:
            if error.code in (TwirpCode.NOT_FOUND, TwirpCode.FAILED_PRECONDITION):
                raise CommandFailed(error.msg) from None
            raise

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

    found: dict[str, tuple[str, wire_pb2.RoomConfiguration]] = {}
    for name in files:
        source = "stdin" if name == STDIN else name
        if name == STDIN:
            raw = sys.stdin.buffer.read(FILE_BYTES_MAX + 1)
            configurations = parse_configurations(raw, source, LIMITS)
        else:
            configurations = load_configurations(Path(name), LIMITS)
        for each, configuration in configurations.items():
            if each in found:
                raise ConfigError(
                    f"{source}: there is a room configuration {each!r} in {found[each][0]} too"
                )
            found[each] = source, configuration
    return list(found.values())


def _seconds(number: int) -> str:
    return f"{number} s" if number else "-"
