"""The engine's bounds and times: every one has a name and a default here.

Left to others: where the values come from (`dispatcher.config`), the limits of what a peer may
send (`protocol.limits`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dispatcher.core.jobs import MILLISECOND, SECOND, Nanoseconds


@dataclass(frozen=True, slots=True)
class AgentPolicy:
    """What an operator sets for one agent name. None: not set, the worker's or the default rules."""

    # most jobs at once on one worker of this agent (stock workers declare none)
    capacity: int | None = None
    # how long a worker of this agent may be away before its jobs go to others
    grace: Nanoseconds | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """The engine's settings. Times are in nanoseconds."""

    # An offer that is not answered within this goes to another worker.
    offer_timeout: Nanoseconds = 10 * SECOND
    # A job that waits for longer than this ends: FAILED, no capacity.
    queue_time: Nanoseconds = 300 * SECOND
    # How long a worker that declares nothing may be away. A stock worker that lost its socket
    # for 3 s is back after 6, and its jobs run on meanwhile.
    grace: Nanoseconds = 20 * SECOND
    # No worker may declare a longer one.
    grace_max: Nanoseconds = 3600 * SECOND
    # A worker that has just registered may be about to claim its jobs: it is offered nothing
    # until its first status (stock workers send it right after the claim), or for this long.
    settle_time: Nanoseconds = 500 * MILLISECOND
    # A worker that declined is left alone: from min, doubled for each refusal in a row, to max.
    decline_backoff_min: Nanoseconds = 250 * MILLISECOND
    decline_backoff_max: Nanoseconds = 4 * SECOND
    # A worker that let an offer lapse is left alone for as long as it takes to lapse, at least.
    silence_backoff_min: Nanoseconds = 10 * SECOND
    silence_backoff_max: Nanoseconds = 60 * SECOND
    # An assignment that is not durable so long after its acceptance is not sent: the Python SDK
    # waits for 7.5 s, and then drops it without a word.
    assignment_time: Nanoseconds = 6 * SECOND
    # Who accepts after its offer has lapsed gets the job, if it still waits and can be assigned
    # within this (the Python SDK waits for 7.5 s for what it accepted).
    late_answer_time: Nanoseconds = 5 * SECOND
    # Likewise who accepts on a new connection what was offered on one that was cut; of so many
    # offers it is remembered.
    cut_offers_max: int = 10_000
    # Tries of one job, first one included, before it is given up.
    attempts_max: int = 5
    # When a worker is lost with several jobs, the one that started last counts this as a try; the
    # others may have been brought down by it, and have so many tries before they are given up, too.
    losses_max: int = 20
    # Wait before a failed job is tried again: doubled each time, with half of it at random.
    retry_backoff_min: Nanoseconds = 1 * SECOND
    retry_backoff_max: Nanoseconds = 30 * SECOND
    # Workers at or above this load come last. A preference, not a gate (LiveKit's own value).
    target_load: float = 0.7
    # Load that one more job is taken to cost a worker which has not shown what its jobs cost.
    load_per_job: float = 0.1
    # Unanswered offers to one worker at once: what a silent one can sit on.
    offers_in_flight_max: int = 32
    # Jobs asked of the store by one claim, and due jobs looked at in one turn.
    claim_max: int = 64
    due_max: int = 256
    # A job that was told to stop occupies its worker until it says that it ended, at most so long
    # (a stock worker gives an entrypoint 15 s).
    stop_timeout: Nanoseconds = 30 * SECOND
    # Two live connections claim one job: so long must the older one be silent to lose it.
    takeover_silence: Nanoseconds = 2 * SECOND
    # An agent that left its room, and whose worker is connected, has so long to come back, or its
    # worker to say what became of the job.
    parting_time: Nanoseconds = 10 * SECOND
    # Worker processes of which it is remembered that they were taken out of service.
    out_of_service_max: int = 1_000
    # A server that is so late for a deadline was stopped itself (a paused machine): nobody is silent,
    # or away, because of it.
    pause_min: Nanoseconds = 5 * SECOND
    # How long workers may take to come in after that, and how long it is waited between two looks
    # whether somebody has room for jobs that are to be handed over.
    resume_time: Nanoseconds = 2 * SECOND
    hand_over_retry: Nanoseconds = 5 * SECOND
    # A worker whose status has come (every 2.5 s from stock workers) and does so no more is offered
    # nothing after the shorter time, and hangs after the longer.
    status_stale_time: Nanoseconds = 10 * SECOND
    status_timeout: Nanoseconds = 30 * SECOND
    # A worker that counts its jobs and says for so long that it has none has lost those it had.
    uncounted_time: Nanoseconds = 30 * SECOND
    # A job that was assigned is looked at when nobody said for so long that it started, and ended
    # when for so long there was neither a word of it nor evidence.
    start_timeout: Nanoseconds = 60 * SECOND
    silence_time: Nanoseconds = 24 * 3600 * SECOND
    # Are workers without an agent name called for every room or participant, as LiveKit does, unless
    # the room named its agents?
    automatic_dispatch: bool = True
    # They are called for so long after the last of them left; then it takes one to come.
    unnamed_memory: Nanoseconds = 600 * SECOND
    # by agent name
    agents: Mapping[str, AgentPolicy] = field(default_factory=dict)

    def agent(self, agent_name: str) -> AgentPolicy:
        """Return what is set for this agent."""
        return self.agents.get(agent_name, _NOTHING_SET)


_NOTHING_SET = AgentPolicy()
