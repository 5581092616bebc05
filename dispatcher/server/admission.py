"""Whether a worker is let in at its upgrade, and what is remembered of those who were not.

Whoever may not come in is refused at the upgrade, with an HTTP status: a stock Python worker that
is let in and then closed reconnects hundreds of times a second for ever, one that gets a status
backs off. Who may come in, and then registers badly, is held before it is closed (`tarpit`): only
its own connection waits. Never are later upgrades refused for it, because the next one from that
address, with that key and program, may be a healthy worker with running jobs to claim.

Three memories, all bounded:

- refused upgrades by address. Over the limit the answer is 429. A valid token is always looked at
  first: behind a proxy all workers share one address, and those who may come in are never limited.
- bad starts (a first message that is no registration, or one with a bad value, or none in time) by
  address, API key and client program: how long the next one is held, doubled each time, and whether
  it is worth another line in the log.
- sockets that were let in and have not registered yet, in all and by address.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from dispatcher.core.jobs import Nanoseconds, seconds
from dispatcher.core.recent import Recent
from dispatcher.server.access import Access, Bearer, header
from dispatcher.server.limits import ServerLimits
from protocol.errors import TokenError

USER_AGENT_LENGTH_MAX = 64
# Different reasons for bad starts that are counted by themselves, for one kind of client.
REASONS_MAX = 16

Kind = tuple[str, str, str]  # address, API key, client program


@dataclass(frozen=True, slots=True)
class Refused:
    """An upgrade that is refused: the HTTP status, why, and when to come back (0: not said).

    `count` is how often that was answered before and now; None: it is not worth a line in the log.
    """

    status: int
    reason: str
    retry_after_seconds: int = 0
    count: int | None = 1

    @property
    def is_noteworthy(self) -> bool:
        """Is it the first, second, fourth ...: what a flood repeats does not fill the log."""
        return self.count is not None and is_milestone(self.count)


@dataclass(frozen=True, slots=True)
class BadStart:
    """What a bad first message costs: how long its connection is held, and its number so far.

    `count` is of those of its kind with this reason.
    """

    hold_seconds: float
    count: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """An upgrade that is let in."""

    bearer: Bearer
    kind: Kind

    @property
    def address(self) -> str:
        """Where it comes from."""
        return self.kind[0]


@dataclass(slots=True)
class _Refusals:
    window_ends_at: Nanoseconds
    count: int = 0


@dataclass(slots=True)
class _BadStarts:
    forgotten_at: Nanoseconds = 0
    count: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


class Admission:
    """Decides on upgrades. Time is an argument; nothing here waits."""

    def __init__(self, access: Access, limits: ServerLimits) -> None:
        self._access = access
        self._limits = limits
        self._refusals = Recent[str, _Refusals](limits.remembered_addresses_max)
        self._bad_starts = Recent[Kind, _BadStarts](limits.remembered_addresses_max)
        self._unregistered = 0
        self._unregistered_by_address: dict[str, int] = {}
        # upgrades that were answered 503, by reason
        self._unavailable: dict[str, _Refusals] = {}

    def ask(
        self,
        address: str,
        headers: Iterable[tuple[bytes, bytes]],
        query: bytes,
        now: Nanoseconds,
        *,
        draining: bool,
    ) -> Admitted | Refused:
        """Answer one upgrade. One that is let in must be followed by `note_start_ended`."""
        try:
            bearer = self._access.bearer(headers, query, now)
        except TokenError as error:
            return self._refuse(address, str(error), now)
        if bearer is None:
            return self._refuse(address, "the token is missing", now)
        if not bearer.grants.may_register_worker():
            return self._refuse(address, "the token lacks the grant video.agent", now)
        if draining:
            return self._put_off("this server is draining", now)
        unregistered = self._unregistered_by_address.get(address, 0)
        if (
            self._unregistered >= self._limits.unregistered_sockets_max
            or unregistered >= self._limits.unregistered_sockets_per_address_max
        ):
            return self._put_off("too many connections have not registered yet", now)
        self._unregistered += 1
        self._unregistered_by_address[address] = unregistered + 1
        program = header(headers, b"user-agent")[:USER_AGENT_LENGTH_MAX]
        return Admitted(bearer, (address, bearer.api_key, program))

    def note_start_ended(self, admitted: Admitted) -> None:
        """It registered, or is gone: its socket no longer counts as unregistered."""
        self._unregistered -= 1
        left = self._unregistered_by_address[admitted.address] - 1
        if left:
            self._unregistered_by_address[admitted.address] = left
        else:
            del self._unregistered_by_address[admitted.address]

    def note_bad_start(self, admitted: Admitted, reason: str, now: Nanoseconds) -> BadStart:
        """Its first message was bad, or did not come. Return how long it is to be held."""
        limits = self._limits
        entry = self._bad_starts.get(admitted.kind)
        if entry is None or now >= entry.forgotten_at:
            entry = _BadStarts()
        self._bad_starts.note(admitted.kind, entry)
        hold_seconds = min(
            limits.bad_start_hold_seconds * 2 ** min(entry.count, 20),
            limits.bad_start_hold_seconds_max,
        )
        entry.count += 1
        # Held for so long it is back right after, if it will not learn.
        entry.forgotten_at = now + seconds(hold_seconds + limits.bad_start_hold_seconds_max)
        if reason not in entry.reasons and len(entry.reasons) >= REASONS_MAX:
            reason = ""
        entry.reasons[reason] += 1
        return BadStart(hold_seconds, entry.reasons[reason])

    def _put_off(self, reason: str, now: Nanoseconds) -> Refused:
        entry = self._unavailable.get(reason)
        if entry is None or now >= entry.window_ends_at:
            entry = self._unavailable[reason] = self._new_window(now)
        entry.count += 1
        return Refused(503, reason, retry_after_seconds=1, count=entry.count)

    def _refuse(self, address: str, reason: str, now: Nanoseconds) -> Refused:
        entry = self._refusals.get(address)
        if entry is None or now >= entry.window_ends_at:
            entry = self._new_window(now)
        self._refusals.note(address, entry)
        entry.count += 1
        over = entry.count - self._limits.refused_upgrades_max
        if over <= 0:
            return Refused(401, reason)
        wait = -(-(entry.window_ends_at - now) // seconds(1))
        return Refused(429, "too many refused connections", wait, count=over)

    def _new_window(self, now: Nanoseconds) -> _Refusals:
        return _Refusals(now + seconds(self._limits.refused_upgrades_window_seconds))


def is_milestone(count: int) -> bool:
    """Is it the first, second, fourth, eighth ...?"""
    return count & (count - 1) == 0
