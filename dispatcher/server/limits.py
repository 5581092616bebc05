"""The bounds of the network shells: every queue, wait and table has a name and a default here.

Left to others: the bounds of single fields and frames (`protocol.limits.WireLimits`, carried here
as `wire`), and where the values come from (`dispatcher.config`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol.limits import WireLimits

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Bounds of the sockets. One peer that reaches one is refused or cut off, nobody else."""

    wire: WireLimits = field(default_factory=WireLimits)

    # --- upgrades ---
    # Upgrades that one address may have refused in one window; after that it gets 429.
    refused_upgrades_max: int = 20
    refused_upgrades_window_seconds: float = 10.0
    # A connection whose first message was bad is held so long before it is closed, because a stock
    # Python worker is back within milliseconds; doubled each time.
    bad_start_hold_seconds: float = 1.0
    bad_start_hold_seconds_max: float = 30.0
    # Connections that are held at once; over it the one that was held longest is closed.
    held_sockets_max: int = 4096
    # Addresses that are remembered for either reason; the one seen longest ago is forgotten.
    remembered_addresses_max: int = 10_000
    # Sockets that have been let in and have not registered yet.
    unregistered_sockets_max: int = 4096
    unregistered_sockets_per_address_max: int = 2048

    # --- connected workers ---
    # What waits to be read by one worker. A worker that lets more pile up is cut off.
    outbound_bytes_max: int = 8 * MIB
    outbound_frames_max: int = 20_000
    # Frames of one connection that cannot be read, after which it is closed.
    unreadable_frames_max: int = 100
    # How long a closing handshake may take before the connection is cut.
    close_timeout_seconds: float = 2.0

    # What is read of one worker in one turn of the event loop, before others have theirs.
    read_turn_bytes_max: int = 8 * KIB

    # How long claims, losses and registrations are taken in during one turn of the event loop, and
    # upgrades as long again; how much one worker may say while its own wait, before it is heard at
    # once.
    heavy_turn_seconds: float = 0.002
    events_behind_max: int = 64

    # --- HTTP ---
    # The head of a request, and how long it may take to come in, or to begin at all.
    head_bytes_max: int = 128 * KIB
    head_timeout_seconds: float = 10.0
    # An idle connection of an API caller is closed after this.
    keep_alive_seconds: int = 30
    # Connections that the kernel holds for us while we are busy, and how many of them are taken in
    # during one turn of the event loop.
    backlog_connections: int = 4096
    accepts_in_turn_max: int = 64
    # How long a body may take to come in.
    body_timeout_seconds: float = 30.0
    # A client that reads nothing of its answer for so long, while more is to be sent, is cut off.
    unread_timeout_seconds: float = 30.0
    # Dispatches in one answer of ListDispatch, which has no pages.
    list_dispatches_max: int = 1000

    # Workers of which ExplainJob says why they do not get a job; of more it says how many.
    explained_workers_max: int = 100

    # --- rooms ---
    # Room events that are known by their ids, so that one that is sent again is told. A webhook is
    # valid for five minutes: this is enough for 300 of them a second.
    room_event_ids_max: int = 100_000

    # --- event streams ---
    # Open streams of one project.
    event_streams_max: int = 100
    # A stream in which nothing happens is sent a comment this often.
    event_keepalive_seconds: float = 15.0
    # Rows of the event log that are read at once, and kept at hand for who follows.
    event_page_rows: int = 500
    # How often they are read, at most, while jobs move.
    event_pause_seconds: float = 0.02

    # --- stopping ---
    # How long open connections may take to close when the server stops.
    stop_timeout_seconds: int = 5
