"""The bounds of what we ask of the SFU, and of what we carry to it for others."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class SfuLimits:
    """Every wait and every size, with its default."""

    # --- our own calls ---
    # From a call to the end of its answer, and to a connection alone.
    call_timeout_seconds: float = 5.0
    connect_timeout_seconds: float = 2.0
    # An answer larger than this is none: some 50,000 rooms, or participants of one room.
    answer_bytes_max: int = 64 * MIB
    # Of the token that each call has.
    token_life_seconds: float = 60.0
    # Connections to the SFU for our calls.
    connections_max: int = 64
    # An idle connection is closed after this.
    keep_alive_seconds: float = 30.0

    # --- comparing rooms ---
    # From the end of one comparison to the start of the next.
    reconcile_seconds: float = 10.0
    # The same where a list is wanted at once, because jobs were lost with their worker.
    reconcile_pause_seconds: float = 0.5
    # Rooms whose participants are asked for at the same time.
    reconcile_calls_max: int = 8

    # --- calls of others ---
    # From a call to the end of its answer; a SIP call may ring for 80 s before it is answered.
    passthrough_timeout_seconds: float = 120.0
    # Calls that are under way at once, each on a connection; beyond it callers are refused, and may
    # try again.
    passthrough_calls_max: int = 256
    # The body of one call (LiveKit bounds none), and those of all calls that are under way.
    passthrough_body_bytes_max: int = 32 * MIB
    passthrough_bytes_max: int = 256 * MIB
