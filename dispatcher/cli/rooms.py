"""`callboard room`: which rooms there are, who is in them, and events told by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, cast

import typer

from dispatcher.cli import completing
from dispatcher.cli.blocks import GAP, Fields, Table, View
from dispatcher.cli.connection import (
    AllOption,
    DevOption,
    JsonOption,
    KeyOption,
    SecretOption,
    UrlOption,
    ask,
    number_named,
    some_pages,
)
from dispatcher.cli.failures import missing_is
from dispatcher.cli.help_texts import examples
from dispatcher.cli.naming import RoomOption
from dispatcher.cli.output import ago, as_json, clock, hint_at_more, print_json
from dispatcher.cli.token import parse_pairs
from dispatcher.cli.watching import (
    INTERVAL_SECONDS,
    IntervalOption,
    Manner,
    Shown,
    WatchOption,
    present,
)
from dispatcher.core.room_events import DisconnectReason, ParticipantKind, RoomEventKind
from protocol.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from protocol import api_pb2, wire_pb2
    from worker_sdk.client import DispatchClient, ReportedRoomEvent

app = typer.Typer(help="List and show rooms; tell what happened in one.")

_EVENTS = ", ".join(kind.value for kind in RoomEventKind)
_KINDS = {kind.name.lower(): kind for kind in ParticipantKind}
_REASONS = {reason.name.lower(): reason for reason in DisconnectReason}

# What of a participant each event has a place for.
_WHO = ("--identity", "--participant-sid")
PLACES: Mapping[str, tuple[str, ...]] = {
    "room_started": (),
    "room_finished": (),
    "participant_joined": (*_WHO, "--kind", "--attribute"),
    "participant_left": (*_WHO, "--kind", "--attribute", "--reason"),
    "track_published": (*_WHO, "--track-sid"),
    "track_unpublished": (*_WHO, "--track-sid"),
}
_OF_ROOM = (RoomEventKind.ROOM_STARTED.value, RoomEventKind.ROOM_FINISHED.value)

PARTICIPANT_PANEL = "The participant"


NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The room.", autocompletion=completing.room_names)
]


@app.command("list")
def list_(
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many.")
    ] = 100,
    all_: AllOption = False,
    watch: WatchOption = False,
    interval: IntervalOption = INTERVAL_SECONDS,
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """List the rooms that are there, newest first."""

    async def call(client: DispatchClient) -> tuple[list[api_pb2.RoomRecord], bool]:
        async def fetch(size: int, token: str) -> tuple[Iterable[api_pb2.RoomRecord], str]:
            page = await client.list_rooms(page_size=size, page_token=token)
            return page.rooms, page.next_page_token

        return await some_pages(fetch, None if all_ else limit)

    shown = Shown(
        call,
        lambda found: _list_view(*found),
        lambda found: {"rooms": [as_json(room) for room in found[0]]},
    )
    present(shown, Manner(json, interval if watch else None), url, api_key, api_secret, dev)


@app.command("show")
def show(
    name: NameArgument,
    watch: WatchOption = False,
    interval: IntervalOption = INTERVAL_SECONDS,
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Show a room, who is in it, and the jobs that it called for."""

    async def call(client: DispatchClient) -> api_pb2.RoomRecord:
        with missing_is(f"there is no room {name!r} now"):
            return await client.get_room(name)

    shown = Shown(call, _show_view, as_json)
    present(shown, Manner(json, interval if watch else None), url, api_key, api_secret, dev)


def _list_view(rooms: Sequence[api_pb2.RoomRecord], is_cut: bool) -> View:
    rows = [
        [
            room.name,
            room.sid or "-",
            str(room.num_participants),
            ago(room.started_at),
            ",".join(room.job_ids) or "-",
        ]
        for room in rooms
    ]
    columns = ["name", "sid", "participants", "started", "jobs"]
    return View(
        [Table(columns, rows, "no rooms", spare=["sid", "started"])],
        hint_at_more(len(rooms), is_cut),
    )


def _show_view(room: api_pb2.RoomRecord) -> View:
    fields = {
        "name": room.name,
        "sid": room.sid or "-",
        "started": f"{clock(room.started_at)} ({ago(room.started_at)})",
        "metadata": room.metadata or "-",
        "jobs": ", ".join(room.job_ids) or "-",
    }
    rows = [
        [
            who.identity or "-",
            who.sid or "-",
            who.kind.lower(),
            "yes" if who.is_publisher else "no",
            ago(who.joined_at),
            ",".join(f"{key}={value}" for key, value in sorted(who.attributes.items())) or "-",
            ",".join(who.job_ids) or "-",
        ]
        for who in room.participants
    ]
    columns = ["identity", "sid", "kind", "publishes", "joined", "attributes", "jobs"]
    spare = ["sid", "publishes", "attributes", "joined"]
    return View([Fields(fields), GAP, Table(columns, rows, "nobody is in it", spare=spare)])


@app.command(
    "event",
    epilog=examples(
        ("callboard room event room_started -r call-7", "as an SFU would tell it"),
        (
            "callboard room event participant_joined -r call-7 -i ann --attribute tier=vip",
            "who came",
        ),
        ("callboard room event room_finished -r call-7", "its jobs end"),
    ),
)
def event(
    event: Annotated[
        str,
        typer.Argument(
            metavar="EVENT",
            help=f"One of {_EVENTS}.",
            show_default=False,
            autocompletion=completing.words(*PLACES),
        ),
    ],
    room: RoomOption,
    sid: Annotated[
        str,
        typer.Option("--sid", metavar="SID", help="The room's; tells one session from the next."),
    ] = "",
    metadata: Annotated[
        str,
        typer.Option(
            "--metadata",
            metavar="JSON",
            help="Of the participant; in a room's own event, of the room.",
        ),
    ] = "",
    event_id: Annotated[
        str, typer.Option("--id", metavar="ID", help="The same id again is the same event.")
    ] = "",
    identity: Annotated[
        str, typer.Option("--identity", "-i", metavar="NAME", rich_help_panel=PARTICIPANT_PANEL)
    ] = "",
    participant_sid: Annotated[
        str,
        typer.Option(
            "--participant-sid",
            metavar="SID",
            help="Tells one connection from the next.",
            rich_help_panel=PARTICIPANT_PANEL,
        ),
    ] = "",
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            metavar="KIND",
            help=f"One of {', '.join(_KINDS)}.",
            autocompletion=completing.words(*_KINDS),
            rich_help_panel=PARTICIPANT_PANEL,
        ),
    ] = "",
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            "--attribute",
            metavar="KEY=VALUE",
            help="May be repeated.",
            rich_help_panel=PARTICIPANT_PANEL,
        ),
    ] = None,
    track_sid: Annotated[
        str,
        typer.Option(
            "--track-sid",
            metavar="SID",
            help="Of the track of a track_... event.",
            rich_help_panel=PARTICIPANT_PANEL,
        ),
    ] = "",
    reason: Annotated[
        str,
        typer.Option(
            "--reason",
            metavar="REASON",
            help="Why it left, as LiveKit names it: client_initiated, duplicate_identity ...",
            autocompletion=completing.words(*_REASONS),
            rich_help_panel=PARTICIPANT_PANEL,
        ),
    ] = "",
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Tell what happened in a room, as LiveKit's webhooks would.

    When this returns, what follows from it is on the server's disk.
    """
    from protocol import api_pb2

    attributes = parse_pairs("--attribute", attribute or [])
    _check_fit(
        event,
        {
            "--identity": identity,
            "--participant-sid": participant_sid,
            "--kind": kind,
            "--attribute": attributes,
            "--track-sid": track_sid,
            "--reason": reason,
        },
    )
    told = api_pb2.RoomEvent(event=event, id=event_id, track_sid=track_sid)
    told.room.name, told.room.sid = room, sid
    if event in _OF_ROOM:
        told.room.metadata = metadata
    else:
        who = told.participant
        who.sid, who.identity, who.metadata = participant_sid, identity, metadata
        who.attributes.update(attributes)
        if kind:
            who.kind = cast("wire_pb2.ParticipantInfo.Kind", number_named("--kind", _KINDS, kind))
        if reason:
            who.disconnect_reason = cast(
                "wire_pb2.DisconnectReason", number_named("--reason", _REASONS, reason)
            )

    async def call(client: DispatchClient) -> ReportedRoomEvent:
        return await client.report_room_event(told)

    reported = ask(call, url, api_key, api_secret, dev)
    told.id = reported.id
    if json:
        print_json(as_json(told))
    elif event_id and reported.told_before:
        typer.echo(f"{told.id} was told before")
    else:
        typer.echo(f"{told.id} taken")


def _check_fit(event: str, given: dict[str, object]) -> None:
    """Refuse an unknown event, an option that it has no place for, and a missing participant."""
    if event not in PLACES:
        raise ConfigError(f"EVENT: must be one of {_EVENTS}, not {event!r}")
    for flag, value in given.items():
        if value and flag not in PLACES[event]:
            raise ConfigError(f"{flag}: {event} has no place for it")
    if event == RoomEventKind.PARTICIPANT_JOINED.value and not given["--identity"]:
        raise ConfigError(f"missing --identity: {event} is about a participant")
    if event not in _OF_ROOM and not (given["--identity"] or given["--participant-sid"]):
        raise ConfigError(
            f"missing --identity or --participant-sid: {event} is about a participant"
        )
