"""`callboard dispatch`: standing orders, one agent name in one room."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

import typer

from dispatcher.cli import completing
from dispatcher.cli.blocks import print_fields, print_table
from dispatcher.cli.connection import (
    DevOption,
    JsonOption,
    KeyOption,
    SecretOption,
    UrlOption,
    ask,
)
from dispatcher.cli.failures import missing_is
from dispatcher.cli.help_texts import examples
from dispatcher.cli.naming import RoomOption
from dispatcher.cli.output import ago, as_json, print_json
from dispatcher.cli.token import parse_pairs
from protocol.errors import ConfigError

if TYPE_CHECKING:
    from protocol import wire_pb2
    from worker_sdk.client import DispatchClient

app = typer.Typer(help="Create, list and delete dispatches: an agent for a room.")

RoomArgument = Annotated[
    str, typer.Argument(metavar="ROOM", help="The room.", autocompletion=completing.rooms_of_jobs)
]


class RestartChoice(StrEnum):
    """What becomes of a job that fails, or whose worker is lost."""

    ON_FAILURE = "on-failure"
    NEVER = "never"


@app.command(
    "create",
    epilog=examples(
        ("callboard dispatch create -r lobby -a greeter", "an agent for a room"),
        (
            "callboard dispatch create -r r -a a --request-id order-7",
            "once, however often it is run",
        ),
    ),
)
def create(
    room: RoomOption,
    agent_name: Annotated[
        str,
        typer.Option(
            "--agent-name",
            "-a",
            metavar="NAME",
            help="The agent that is to come.",
            autocompletion=completing.agent_names,
        ),
    ],
    metadata: Annotated[
        str, typer.Option("--metadata", metavar="TEXT", help="Passed to the job as it is.")
    ] = "",
    attribute: Annotated[
        list[str] | None,
        typer.Option("--attribute", metavar="KEY=VALUE", help="Of the job; may be repeated."),
    ] = None,
    deployment: Annotated[
        str, typer.Option("--deployment", metavar="NAME", help="Only workers of this deployment.")
    ] = "",
    restart: Annotated[
        RestartChoice,
        typer.Option(
            "--restart",
            metavar="on-failure|never",
            help="When the job fails or its worker is lost.",
        ),
    ] = RestartChoice.ON_FAILURE,
    request_id: Annotated[
        str | None,
        typer.Option(
            "--request-id",
            metavar="ID",
            help="The same id for the same room, agent and deployment makes nothing new: it returns"
            " what is there, whatever else differs.",
        ),
    ] = None,
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Ask for an agent in a room.

    When this returns, the dispatch is on the server's disk.
    """
    from protocol import wire_pb2

    policies = {
        RestartChoice.ON_FAILURE: wire_pb2.JRP_ON_FAILURE,
        RestartChoice.NEVER: wire_pb2.JRP_NEVER,
    }
    attributes = parse_pairs("--attribute", attribute or [])

    async def call(client: DispatchClient) -> wire_pb2.AgentDispatch:
        return await client.create_dispatch(
            room,
            agent_name,
            metadata=metadata,
            attributes=attributes,
            deployment=deployment,
            restart_policy=policies[restart],
            request_id=request_id,
        )

    made = ask(call, url, api_key, api_secret, dev)
    if json:
        print_json(as_json(made))
    else:
        _show(made)


@app.command("list")
def list_(
    room: RoomArgument,
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """List a room's dispatches.

    With the bridge the SFU's too, which a token or CreateRoom made. For the jobs of all rooms: `callboard job list`.
    """
    _check_named("ROOM", room)

    async def call(client: DispatchClient) -> tuple[list[wire_pb2.AgentDispatch], set[str] | None]:
        dispatches = await client.list_dispatches(room)
        return dispatches, await _served(client) if dispatches and not json else None

    found, served = ask(call, url, api_key, api_secret, dev)
    if json:
        print_json({"agent_dispatches": [as_json(dispatch) for dispatch in found]})
        return
    rows = [
        [
            dispatch.id,
            dispatch.agent_name or "-",
            dispatch.deployment or "-",
            _jobs_or_why_none(dispatch, served),
            ago(dispatch.state.created_at),
        ]
        for dispatch in found
    ]
    columns = ["id", "agent", "deployment", "jobs", "created"]
    print_table(columns, rows, f"no dispatches in {room}", spare=["created", "deployment"])


@app.command("delete")
def delete(
    room: RoomArgument,
    dispatch_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="The dispatch, AD_...", autocompletion=completing.dispatch_ids
        ),
    ],
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Delete a dispatch and end its jobs."""
    _check_named("ROOM", room)
    _check_named("ID", dispatch_id)

    async def call(client: DispatchClient) -> wire_pb2.AgentDispatch:
        with missing_is(f"there is no dispatch {dispatch_id} in {room}"):
            return await client.delete_dispatch(dispatch_id, room)

    gone = ask(call, url, api_key, api_secret, dev)
    if json:
        print_json(as_json(gone))
    else:
        typer.echo(f"{gone.id} deleted")


def _check_named(argument: str, value: str) -> None:
    if not value:
        raise ConfigError(f"{argument}: must not be empty")


def _show(dispatch: wire_pb2.AgentDispatch) -> None:
    print_fields(
        {
            "id": dispatch.id,
            "agent": dispatch.agent_name or "-",
            "room": dispatch.room,
            "deployment": dispatch.deployment or "-",
            "jobs": _jobs(dispatch),
        }
    )


async def _served(client: DispatchClient) -> set[str] | None:
    """Return the agents that are known; None: this is LiveKit's own server, which does not tell."""
    from worker_sdk.errors import UnexpectedAnswer

    try:
        return {agent.agent_name for agent in await client.list_agents()}
    except UnexpectedAnswer as answer:
        if answer.status != HTTPStatus.NOT_FOUND:
            raise
        return None


def _jobs_or_why_none(dispatch: wire_pb2.AgentDispatch, served: Collection[str] | None) -> str:
    """Return a dispatch's jobs; where nobody has taken any and the name is new to us, that."""
    from protocol.wire_pb2 import JS_PENDING

    is_taken = any(job.state.status != JS_PENDING for job in dispatch.state.jobs)
    if is_taken or served is None or dispatch.agent_name in served:
        return _jobs(dispatch)
    jobs = f"{_jobs(dispatch)} " if dispatch.state.jobs else ""
    return f"{jobs}(nobody ever served this agent)"


def _jobs(dispatch: wire_pb2.AgentDispatch) -> str:
    from protocol.wire_pb2 import JobStatus

    return (
        ", ".join(
            f"{job.id} {JobStatus.Name(job.state.status).removeprefix('JS_').lower()}"
            for job in dispatch.state.jobs
        )
        or "-"
    )
