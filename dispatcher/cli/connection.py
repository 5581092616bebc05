"""How a client command finds its server: options, LiveKit's variables, or `--dev`.

Nothing is guessed beyond that: a command that would call the wrong server says what is missing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from protocol.errors import ConfigError

if TYPE_CHECKING:
    from worker_sdk.client import DispatchClient
    from worker_sdk.credentials import Credentials

T = TypeVar("T")

# A person waits: a server that is being restarted is worth a moment, one that is down is not.
# A call takes the server 10 s at most: its answer is waited for.
CALL_TIMEOUT_SECONDS = 15.0
RETRY_SECONDS_MAX = 2.0

# Rows that a list asks for at once.
PAGE_ROWS = 500

SERVER_PANEL = "The server"
DEV_URL = "ws://127.0.0.1:7880"

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="The server's address, ws:// or http://; LIVEKIT_URL.",
        show_default=False,
        rich_help_panel=SERVER_PANEL,
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        metavar="KEY",
        help="The API key; LIVEKIT_API_KEY.",
        show_default=False,
        rich_help_panel=SERVER_PANEL,
    ),
]
SecretOption = Annotated[
    str | None,
    typer.Option(
        "--api-secret",
        metavar="SECRET",
        help="The key's secret; LIVEKIT_API_SECRET.",
        show_default=False,
        rich_help_panel=SERVER_PANEL,
    ),
]
DevOption = Annotated[
    bool,
    typer.Option(
        "--dev",
        help="A server that was started with --dev; on this machine, unless --url or LIVEKIT_URL"
        " says where.",
        show_default=False,
        rich_help_panel=SERVER_PANEL,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="JSON instead of a table.", show_default=False)
]

AllOption = Annotated[
    bool,
    typer.Option("--all", help="All there are, whatever --limit says.", show_default=False),
]


@dataclass(frozen=True, slots=True)
class Access:
    """Address, API key and secret, as they were given."""

    url: str
    api_key: str
    api_secret: str = field(repr=False)


def access(url: str | None, api_key: str | None, api_secret: str | None, dev: bool) -> Access:
    """Return address, key and secret: options, else what --dev means, else the environment.

    Of --dev's, the address alone yields to the environment: such a server may have another port,
    and its key is always the same. Raises ConfigError that names all that is missing.
    """
    of_dev = ("", "", "")
    if dev:
        from protocol.tokens import DEV_KEY, DEV_SECRET

        of_dev = (os.environ.get("LIVEKIT_URL", "") or DEV_URL, DEV_KEY, DEV_SECRET)
    names = (
        ("--url", "LIVEKIT_URL"),
        ("--api-key", "LIVEKIT_API_KEY"),
        ("--api-secret", "LIVEKIT_API_SECRET"),
    )
    chosen: list[str] = []
    missing: list[str] = []
    for (flag, variable), given, meant in zip(
        names, (url, api_key, api_secret), of_dev, strict=True
    ):
        value = given or meant or os.environ.get(variable, "")
        if not value:
            missing.append(f"{flag} ({variable})")
        chosen.append(value)
    if missing:
        raise ConfigError(f"missing {', '.join(missing)}; --dev is for a server run with --dev")
    return Access(*chosen)


async def some_pages(
    fetch: Callable[[int, str], Awaitable[tuple[Iterable[T], str]]], limit: int | None
) -> tuple[list[T], bool]:
    """Return at most `limit` rows (None: all), and whether there are more.

    `fetch` takes a page's size and token, and tells the next one.
    """
    rows: list[T] = []
    token = ""
    limit = sys.maxsize if limit is None else limit
    while len(rows) < limit:
        page, token = await fetch(min(PAGE_ROWS, limit - len(rows)), token)
        rows.extend(page)
        if not token:
            break
    return rows[:limit], bool(token) or len(rows) > limit


def credentials(
    url: str | None, api_key: str | None, api_secret: str | None, dev: bool
) -> Credentials:
    """Return where the server is and how one speaks to it. Raises ConfigError."""
    from worker_sdk.credentials import Credentials

    found = access(url, api_key, api_secret, dev)
    try:
        return Credentials.resolve(found.url, found.api_key, found.api_secret)
    except ConfigError:
        raise ConfigError(
            f"--url: must be an address such as {DEV_URL} or https://calls.example.org,"
            f" not {found.url!r}"
        ) from None


def client_of(server: Credentials) -> DispatchClient:
    """Return a client for a person: it waits a moment for a server, not longer."""
    from worker_sdk.client import DispatchClient

    return DispatchClient(
        server.url,
        server.api_key,
        server.api_secret,
        call_timeout_seconds=CALL_TIMEOUT_SECONDS,
        retry_seconds_max=RETRY_SECONDS_MAX,
    )


def ask(
    call: Callable[[DispatchClient], Awaitable[T]],
    url: str | None,
    api_key: str | None,
    api_secret: str | None,
    dev: bool,
) -> T:
    """Make one call to the server and return its answer; it waits a moment for a server."""
    import anyio

    found = credentials(url, api_key, api_secret, dev)

    async def run() -> T:
        async with client_of(found) as client:
            return await call(client)

    return anyio.run(run)


def number_named(flag: str, known: Mapping[str, int], name: str) -> int:
    """Return the number of what a person named. Raises ConfigError that names all known ones."""
    if name.lower() not in known:
        raise ConfigError(f"{flag}: must be one of {', '.join(known)}, not {name!r}")
    return known[name.lower()]


def phases_named(flag: str, phases: Iterable[tuple[str, int]], names: list[str]) -> list[Any]:
    """Return the numbers of phases that a person named. Raises ConfigError for an unknown one.

    `phases` are the names and numbers of a protobuf enum, whose own type is only known to mypy.
    """
    known = {name.lower(): number for name, number in phases if number}
    return [number_named(flag, known, name) for name in names]
