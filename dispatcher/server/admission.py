"""Whether a worker is let in at its upgrade, and what is remembered of those who were not.

All refusals happen at the upgrade, with an HTTP status: a stock Python worker that is let in and
then closed reconnects hundreds of times a second for ever, one that gets a status backs off.

Three memories, all bounded:

- refused upgrades by address. Over the limit the answer is 429. A valid token is always looked at
  first: behind a proxy all workers share one address, and those who may come in are never limited.
- bad starts (a first message that is no registration, none in time) by address, API key and client
  program. Such a client is kept out for a moment, doubled each time; one good registration of the
  same kind forgives it, and so does time. So a broken client harms at most others of its own kind at its address.
- sockets that were let in and have not registered yet, in all and by address.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from dispatcher.core.jobs import Nanoseconds, seconds
from dispatcher.server.access import Access, Bearer, header
from dispatcher.server.limits import ServerLimits
from protocol.errors import TokenError

USER_AGENT_LENGTH_MAX = 64

K = TypeVar("K")
V = TypeVar("V")
Kind = tuple[str, str, str]  # address, API key, client program


@dataclass(frozen=True, slots=True)
class Refused:
    """An upgrade that is refused: the HTTP status, why, and when to come back (0: not said).

    `noteworthy` is False for what a flood repeats.
    """

    status: int
    reason: str
    retry_after_seconds: int = 0
    noteworthy: bool = True


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
    count: int = 0
    kept_out_until: Nanoseconds = 0


class Admission:
    """Decides on upgrades. Time is an argument; nothing here waits."""

    def __init__(self, access: Access, limits: ServerLimits) -> None:
        self._access = access
        self._limits = limits
        self._refusals: OrderedDict[str, _Refusals] = OrderedDict()
        self._bad_starts: OrderedDict[Kind, _BadStarts] = OrderedDict()
        self._unregistered = 0
        self._unregistered_by_address: dict[str, int] = {}

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
            return Refused(503, "this server is draining", retry_after_seconds=1, noteworthy=False)
        kind = (address, bearer.api_key, header(headers, b"user-agent")[:USER_AGENT_LENGTH_MAX])
        wait = self._kept_out_for(kind, now)
        if wait > 0:
            return Refused(
                429, "the last connection did not register properly", -(-wait // seconds(1)), False
            )
        unregistered = self._unregistered_by_address.get(address, 0)
        if (
            self._unregistered >= self._limits.unregistered_sockets_max
            or unregistered >= self._limits.unregistered_sockets_per_address_max
        ):
            return Refused(503, "too many connections have not registered yet", 1)
        self._unregistered += 1
        self._unregistered_by_address[address] = unregistered + 1
        return Admitted(bearer, kind)

    def note_start_ended(self, admitted: Admitted) -> None:
        """It registered, or is gone: its socket no longer counts as unregistered."""
        self._unregistered -= 1
        left = self._unregistered_by_address[admitted.address] - 1
        if left:
            self._unregistered_by_address[admitted.address] = left
        else:
            del self._unregistered_by_address[admitted.address]

    def note_good_start(self, admitted: Admitted) -> None:
        """It registered: whoever of its kind behaved badly before is forgiven."""
        self._bad_starts.pop(admitted.kind, None)

    def note_bad_start(self, admitted: Admitted, now: Nanoseconds) -> None:
        """Its first message was bad, or did not come: its kind is kept out for a while."""
        entry = _recall(self._bad_starts, admitted.kind, self._limits.remembered_addresses_max)
        longest = seconds(self._limits.bad_start_penalty_seconds_max)
        if entry is None or now > entry.kept_out_until + longest:
            entry = self._bad_starts[admitted.kind] = _BadStarts()
        penalty_seconds = min(
            self._limits.bad_start_penalty_seconds * 2 ** min(entry.count, 20),
            self._limits.bad_start_penalty_seconds_max,
        )
        entry.count += 1
        entry.kept_out_until = now + seconds(penalty_seconds)

    def _kept_out_for(self, kind: Kind, now: Nanoseconds) -> Nanoseconds:
        entry = self._bad_starts.get(kind)
        return 0 if entry is None else entry.kept_out_until - now

    def _refuse(self, address: str, reason: str, now: Nanoseconds) -> Refused:
        entry = _recall(self._refusals, address, self._limits.remembered_addresses_max)
        if entry is None or now >= entry.window_ends_at:
            window = seconds(self._limits.refused_upgrades_window_seconds)
            entry = self._refusals[address] = _Refusals(now + window)
        entry.count += 1
        over = entry.count - self._limits.refused_upgrades_max
        if over <= 0:
            return Refused(401, reason)
        wait = -(-(entry.window_ends_at - now) // seconds(1))
        return Refused(429, "too many refused connections", wait, noteworthy=over == 1)


def _recall(entries: OrderedDict[K, V], key: K, entries_max: int) -> V | None:
    """Return what is remembered, as the last to be forgotten; make room for it if it is new."""
    entry = entries.get(key)
    if entry is not None:
        entries.move_to_end(key)
    elif len(entries) >= entries_max:
        entries.popitem(last=False)
    return entry
