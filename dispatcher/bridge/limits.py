"""The bounds of the bridge."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BridgeLimits:
    """Every wait and every number, with its default."""

    # From an offer to its answer: LiveKit's caller gives up after 3 s, and drops what comes later.
    answer_seconds: float = 2.0
    # Of that, to read the dispatch's restart policy, which an offer does not tell.
    policy_seconds: float = 0.5
    # Offers of one socket that are being committed; beyond it they are declined at once.
    offers_max: int = 1_000
    # Sockets for each name, job type and deployment. One that is cut has another beside it: LiveKit
    # offers it the same job at once.
    sockets_each: int = 2
    # Names, job types and deployments that are registered, at most.
    names_max: int = 1_000
    # Between two statuses of a socket, as LiveKit's own workers send it.
    status_seconds: float = 2.5
    # How often it is looked what is served now, and which jobs have ended.
    look_seconds: float = 0.5
    # From the end of one sweep over rooms and dispatches to the start of the next.
    sweep_seconds: float = 10.0
    # Calls of a sweep that are under way at once.
    sweep_calls_max: int = 8
    # A room of which the SFU told nothing, because its node is away, is asked for again after this;
    # doubled each time.
    silent_seconds_min: float = 10.0
    silent_seconds_max: float = 600.0
    # After a connection was lost and came back, rooms may take so long to be back as well.
    outage_seconds: float = 30.0
    # Of a socket: from its start to LiveKit's answer to the registration, its end, its pings.
    open_timeout_seconds: float = 5.0
    register_timeout_seconds: float = 5.0
    close_timeout_seconds: float = 1.0
    ping_interval_seconds: float = 5.0
    ping_timeout_seconds: float = 5.0
    # First and longest pause before a socket is opened again; doubles, with half of it at random.
    retry_seconds_min: float = 0.2
    retry_seconds_max: float = 3.0
