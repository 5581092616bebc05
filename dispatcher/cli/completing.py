"""What a shell offers when Tab is pressed: names that we know, and ids that the server knows.

The server is asked only where it answers at once, as the options on the line or the environment
name it. Whatever goes wrong, nothing is offered, and nothing is said: a person is typing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

import typer

from protocol.errors import CallboardError

if TYPE_CHECKING:
    from worker_sdk.client import DispatchClient

T = TypeVar("T")

# How long a person who types waits.
ANSWER_SECONDS_MAX = 1.0
OFFERED_MAX = 100

Offer = Callable[[typer.Context, str], Iterable[tuple[str, str]]]


def words(*known: str) -> Callable[[str], list[str]]:
    """Return a completion that offers these."""

    def offer(incomplete: str) -> list[str]:
        return [each for each in known if each.startswith(incomplete.lower())]

    return offer


def profiles(incomplete: str) -> list[str]:
    """Offer the load tests that are shipped; where none begins so, a shell offers files."""
    from worker_sdk.loadtest.profile_files import profile_names

    return words(*profile_names())(incomplete)


def job_ids(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the newest jobs."""
    from dispatcher.cli.timeline import phase_name

    async def fetch(client: DispatchClient) -> list[tuple[str, str]]:
        page = await client.list_jobs(page_size=OFFERED_MAX)
        return [
            (each.job.id, f"{phase_name(each.phase)}, {each.job.room.name}") for each in page.jobs
        ]

    return _begun(_asked(context, fetch), incomplete)


def worker_ids(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the workers that are connected."""

    async def fetch(client: DispatchClient) -> list[tuple[str, str]]:
        page = await client.list_workers(page_size=OFFERED_MAX)
        return [(each.id, each.agent_name or "no name") for each in page.workers]

    return _begun(_asked(context, fetch), incomplete)


def agent_names(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the agents that are known."""

    async def fetch(client: DispatchClient) -> list[tuple[str, str]]:
        agents = await client.list_agents()
        return [(each.agent_name or "-", f"{each.workers} workers") for each in agents]

    return _begun(_asked(context, fetch), incomplete)


def room_names(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the newest rooms."""

    async def fetch(client: DispatchClient) -> list[tuple[str, str]]:
        page = await client.list_rooms(page_size=OFFERED_MAX)
        return [(each.name, f"{each.num_participants} participants") for each in page.rooms]

    return _begun(_asked(context, fetch), incomplete)


def rooms_of_jobs(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the rooms of the newest jobs; a dispatch's room need not be there yet, or any more."""

    async def fetch(client: DispatchClient) -> list[tuple[str, str]]:
        page = await client.list_jobs(page_size=OFFERED_MAX)
        return [
            (name, f"{count} jobs")
            for name, count in Counter(each.job.room.name for each in page.jobs).items()
        ]

    return _begun(_asked(context, fetch), incomplete)


def dispatches_of_jobs(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the dispatches of the newest jobs."""

    async def fetch(client: DispatchClient) -> list[tuple[str, str]]:
        page = await client.list_jobs(page_size=OFFERED_MAX)
        found = {each.job.dispatch_id: each.job.room.name for each in page.jobs}
        return [(dispatch_id, room) for dispatch_id, room in found.items() if dispatch_id]

    return _begun(_asked(context, fetch), incomplete)


def rule_names(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the rules."""

    async def fetch(client: DispatchClient) -> list[tuple[str, str]]:
        page = await client.list_rules(page_size=OFFERED_MAX)
        return [(each.name, f"agent {each.agent_name}") for each in page.rules]

    return _begun(_asked(context, fetch), incomplete)


def configuration_names(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the room configurations."""

    async def fetch(client: DispatchClient) -> list[tuple[str, str]]:
        return [(each.name, "") for each in await client.list_room_configurations()]

    return _begun(_asked(context, fetch), incomplete)


def dispatch_ids(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the dispatches of the room that stands on the line."""
    room = context.params.get("room")
    if not room:
        return []

    async def fetch(client: DispatchClient) -> list[tuple[str, str]]:
        return [(each.id, each.agent_name or "-") for each in await client.list_dispatches(room)]

    return _begun(_asked(context, fetch), incomplete)


def _begun(known: Iterable[tuple[str, str]], incomplete: str) -> list[tuple[str, str]]:
    # What has a space or worse in it would have to be quoted, each shell in its own way.
    return [
        (name, told)
        for name, told in known
        if name.startswith(incomplete) and name.isprintable() and not set(name) & set(" '\"$`\\:")
    ]


def _asked(
    context: typer.Context, fetch: Callable[[DispatchClient], Awaitable[list[T]]]
) -> list[T]:
    import anyio

    from dispatcher.cli.connection import credentials
    from worker_sdk.client import DispatchClient

    url, api_key, api_secret, dev = (
        context.params.get(name) for name in ("url", "api_key", "api_secret", "dev")
    )

    async def ask() -> list[T]:
        server = credentials(url, api_key, api_secret, bool(dev))
        found: list[T] = []
        with anyio.move_on_after(ANSWER_SECONDS_MAX):
            async with DispatchClient(
                server.url, server.api_key, server.api_secret, retry_seconds_max=0.0
            ) as client:
                found = await fetch(client)
        return found

    try:
        return anyio.run(ask)
    except (CallboardError, OSError):
        return []
