"""`callboard token create`: a token for a client, a worker or a participant."""

from __future__ import annotations

import re
import time
from typing import Annotated

import typer

from dispatcher.cli.connection import DevOption, JsonOption, KeyOption, SecretOption, access
from dispatcher.cli.help_texts import examples
from dispatcher.cli.output import print_json
from protocol.errors import ConfigError

app = typer.Typer(no_args_is_help=False, help="Make access tokens.")

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


@app.command(
    "create",
    epilog=examples(
        ("callboard token create --join -r lobby -i ann", "a participant"),
        ("callboard token create --agent", "a worker"),
        ("callboard token create --dispatch-admin --ttl 10m", "who looks at jobs and workers"),
    ),
)
def create(
    join: Annotated[
        bool, typer.Option("--join", help="May join --room as --identity.", show_default=False)
    ] = False,
    room: Annotated[
        str, typer.Option("--room", "-r", metavar="NAME", help="The room that it opens.")
    ] = "",
    identity: Annotated[
        str, typer.Option("--identity", "-i", metavar="ID", help="Who bears it.")
    ] = "",
    name: Annotated[
        str, typer.Option("--name", "-n", metavar="TEXT", help="The bearer's name for people.")
    ] = "",
    metadata: Annotated[
        str, typer.Option("--metadata", metavar="TEXT", help="The participant's metadata.")
    ] = "",
    attribute: Annotated[
        list[str] | None,
        typer.Option("--attribute", metavar="KEY=VALUE", help="An attribute; may be repeated."),
    ] = None,
    agent: Annotated[
        bool, typer.Option("--agent", help="May connect as a worker.", show_default=False)
    ] = False,
    room_admin: Annotated[
        bool,
        typer.Option(
            "--room-admin", "--admin", help="May dispatch agents to --room.", show_default=False
        ),
    ] = False,
    room_create: Annotated[
        bool,
        typer.Option("--room-create", "--create", help="May create rooms.", show_default=False),
    ] = False,
    room_list: Annotated[
        bool, typer.Option("--room-list", "--list", help="May list rooms.", show_default=False)
    ] = False,
    dispatch_admin: Annotated[
        bool,
        typer.Option(
            "--dispatch-admin",
            help="May read jobs and workers of the whole project.",
            show_default=False,
        ),
    ] = False,
    ttl: Annotated[
        str,
        typer.Option(
            "--ttl", "--valid-for", metavar="TIME", help="How long it is valid: 90s, 30m, 6h, 7d."
        ),
    ] = "6h",
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Write a token, signed with the API key and its secret."""
    from protocol.tokens import mint_api_token

    # The address is not needed: nothing is called.
    found = access("unused", api_key, api_secret, dev)
    if join and not (room and identity):
        raise ConfigError("--join needs --room and --identity")
    if room_admin and not room:
        raise ConfigError("--room-admin needs --room, the room that it opens")
    if not (join or agent or room_admin or room_create or room_list or dispatch_admin):
        raise ConfigError(
            "a token needs something that it allows: --join, --agent, --room-admin,"
            " --room-create, --room-list or --dispatch-admin"
        )
    life_seconds = parse_span(ttl)
    now_ns = time.time_ns()
    token = mint_api_token(
        found.api_key,
        found.api_secret,
        now_ns=now_ns,
        identity=identity,
        name=name,
        room=room,
        room_join=join,
        room_admin=room_admin,
        room_create=room_create,
        room_list=room_list,
        agent=agent,
        dispatch_admin=dispatch_admin,
        metadata=metadata,
        attributes=parse_pairs("--attribute", attribute or []),
        life_seconds=life_seconds,
    )
    if json:
        expires_at_seconds = now_ns // 1_000_000_000 + int(life_seconds)
        print_json({"token": token, "identity": identity, "room": room, "exp": expires_at_seconds})
    else:
        typer.echo(token)


def parse_span(text: str) -> float:
    """Return the seconds of "90s", "30m", "1h30m", "7d" or plain seconds. Raises ConfigError."""
    parts = _SPAN.findall(text.strip().lower())
    if not parts or "".join(number + unit for number, unit in parts) != text.strip().lower():
        raise ConfigError(f"--ttl: must be a time such as 90s, 30m, 6h or 7d, not {text!r}")
    seconds = sum(float(number) * _UNIT_SECONDS[unit or "s"] for number, unit in parts)
    if not 1 <= seconds <= 10 * 365 * 86_400:
        raise ConfigError(f"--ttl: must be from 1 second to 10 years, not {text!r}")
    return seconds


def parse_pairs(flag: str, pairs: list[str]) -> dict[str, str]:
    """Return the mapping of "KEY=VALUE" texts. Raises ConfigError."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"{flag}: must be KEY=VALUE, not {pair!r}")
        found[key] = value
    return found
