"""One URL's webhooks: in the order of the log, each until it is delivered or given up.

A delivery is an answer of 2xx; redirects are not followed. Whoever hangs, refuses or is down holds
up its own URL and nothing else, and no answer ends the server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from random import Random
from typing import Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

import anyio
import httpx2
import structlog
from google.protobuf.message import DecodeError

from dispatcher.core.jobs import Nanoseconds
from dispatcher.event_feed import EventFeed
from dispatcher.notifier.limits import NotifierLimits
from dispatcher.notifier.notice import Notice, NoticeKind, kind_of, make_notice, starts
from dispatcher.store.contract import EventRow, StoredJob
from protocol.errors import StoreError

log = structlog.get_logger()

T = TypeVar("T")

# Refusals that are not for good.
_PASSING = frozenset({408, 425, 429})
_DOUBLINGS_MAX = 30


class Target(Protocol):
    """Where to, and in whose name (`dispatcher.config.Webhook`)."""

    @property
    def url(self) -> str:
        """The receiver's address."""
        ...

    @property
    def key(self) -> str:
        """The API key that signs; its project's jobs are told."""
        ...


class Jobs(Protocol):
    """What is needed of a store (`store.contract.Store`)."""

    async def get_job(self, project: str, job_id: str) -> StoredJob | None: ...

    async def job_events(self, project: str, job_id: str) -> list[EventRow]: ...

    async def get_position(self, name: str) -> int | None: ...

    async def set_position(self, name: str, sequence: int) -> None: ...


class UrlNotifier:
    """Tells one URL."""

    def __init__(
        self,
        target: Target,
        secret: str,
        project: str,
        *,
        feed: EventFeed,
        store: Jobs,
        client: httpx2.AsyncClient,
        limits: NotifierLimits,
        clock: Callable[[], Nanoseconds],
        random: Random,
    ) -> None:
        self._url, self._key, self._secret = target.url, target.key, secret
        self._project = project
        self._feed = feed
        self._store = store
        self._client = client
        self._limits = limits
        self._clock = clock
        self._random = random
        # A query may hold a secret, and is neither logged nor stored.
        self._shown_url = urlunsplit((*urlsplit(target.url)[:3], "", ""))
        digest = hashlib.sha256(target.url.encode()).hexdigest()[:32]
        self._name = f"webhook/{project}/{digest}"
        # the last row that is done with; the last that the store knows of; and since when they differ
        self._position = 0
        self._saved = 0
        self._unsaved_since = 0.0
        # deliveries that failed since one passed, and notices skipped since then
        self._failures = 0
        self._dropped = 0
        # since the start: deliveries that were taken, that failed, and notices that were skipped
        self.deliveries = 0
        self.failed_deliveries = 0
        self.skipped = 0

    @property
    def shown_url(self) -> str:
        """The receiver's address without what may be secret."""
        return self._shown_url

    @property
    def position(self) -> int:
        """The number of the last event that is done with."""
        return self._position

    async def begin(self) -> None:
        """Find the place to go on from; a URL that was never told anything begins now."""
        position = await self._store.get_position(self._name)
        if position is None:
            self._position = await self._feed.last_sequence()
            self._saved = -1
            await self._save()
        else:
            self._position = self._saved = position

    async def run(self) -> None:
        """Tell what is new, until the feed is closed and all is told, or this is cancelled."""
        try:
            with self._feed.following():
                await self._follow()
        finally:
            with anyio.move_on_after(self._limits.stop_seconds, shield=True):
                await self._save()

    async def _follow(self) -> None:
        while True:
            rows = None
            with anyio.move_on_after(self._save_in_seconds()):
                rows = await self._ask(lambda: self._feed.after(self._position))
                if not rows:
                    return
            if rows is None:
                await self._save()
                continue
            first = rows[0].sequence
            if first > self._position + 1:
                # Rows of the log, of all projects and kinds: nobody knows any more how many it were.
                log.error(
                    "notices_gone",
                    url=self._shown_url,
                    after=self._position,
                    until=first - 1,
                )
            for row in rows:
                await self._tell(row)
                self._move_to(row.sequence)
                if self._save_in_seconds() == 0:
                    await self._save()

    # --- the place in the log ---

    def _move_to(self, sequence: int) -> None:
        if self._position == self._saved:
            self._unsaved_since = anyio.current_time()
        self._position = sequence

    def _save_in_seconds(self) -> float:
        """Return how long the position may still wait to be written."""
        if self._position == self._saved:
            return float("inf")
        due = self._unsaved_since + self._limits.position_seconds
        return max(0.0, due - anyio.current_time())

    async def _save(self) -> None:
        position = self._position
        if position == self._saved:
            return
        try:
            await self._store.set_position(self._name, position)
        except StoreError as error:
            # What is told again has the same id; and a store that is broken is noticed by others.
            log.warning("notice_position_unsaved", url=self._shown_url, error=str(error))
            self._unsaved_since = anyio.current_time()
        else:
            self._saved = position

    # --- one row ---

    async def _tell(self, row: EventRow) -> None:
        if row.project != self._project or (kind := kind_of(row)) is None:
            return
        if kind is NoticeKind.STARTED:
            timeline = await self._ask(lambda: self._store.job_events(row.project, row.job_id))
            if not starts(row, timeline):
                return
        stored = await self._ask(lambda: self._store.get_job(row.project, row.job_id))
        try:
            notice = make_notice(kind, row, stored, self._dropped)
        except DecodeError:
            self._skip(kind, row.job_id, tries=0, problem="the job cannot be read")
        else:
            await self._deliver(notice)

    async def _deliver(self, notice: Notice) -> None:
        """Post it until it is taken, or a bound is reached."""
        limits = self._limits
        began_at = anyio.current_time()
        tries = refusals = 0
        while True:
            status, problem = await self._post(notice)
            if 200 <= status < 300:
                self._note_delivery(notice)
                return
            tries += 1
            self._note_failure(notice, problem)
            refusals += 300 <= status < 500 and status not in _PASSING
            pause_seconds = self._pause_seconds(tries)
            spent_seconds = anyio.current_time() - began_at + pause_seconds
            if refusals >= limits.refusals_max or spent_seconds > limits.trying_seconds_max:
                self._skip(notice.kind, notice.job_id, tries, problem)
                return
            await anyio.sleep(pause_seconds)

    async def _post(self, notice: Notice) -> tuple[int, str]:
        """Return the status of the answer (0: there was none), and in words what is wrong with it."""
        status, problem = 0, ""
        headers = notice.headers(self._key, self._secret, self._clock())
        try:
            with anyio.fail_after(self._limits.timeout_seconds):
                async with self._client.stream(
                    "POST", self._url, content=notice.body, headers=headers
                ) as response:
                    status = response.status_code
                    size = 0
                    # Read to its end, the connection can be used again.
                    async for piece in response.aiter_raw():
                        size += len(piece)
                        if size > self._limits.answer_bytes_max:
                            break
        except TimeoutError:
            problem = f"no answer within {self._limits.timeout_seconds:g} s"
        except httpx2.HTTPError as error:
            problem = type(error).__name__
        return status, f"status {status}" if status else problem

    def _pause_seconds(self, tries: int) -> float:
        limits = self._limits
        bound = limits.backoff_seconds_min * 2.0 ** min(tries - 1, _DOUBLINGS_MAX)
        return min(bound, limits.backoff_seconds_max) * self._random.uniform(0.5, 1.0)

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask the store until it answers. Raises StoreError where trying again is no use."""
        while True:
            try:
                return await question()
            except StoreError as error:
                if not error.retryable:
                    raise
            await anyio.sleep(self._limits.backoff_seconds_min)

    # --- what is said of it ---

    def _told(self, kind: NoticeKind, job_id: str) -> dict[str, str]:
        return {"url": self._shown_url, "kind": kind.value, "job_id": job_id}

    def _skip(self, kind: NoticeKind, job_id: str, tries: int, problem: str) -> None:
        self._dropped += 1
        self.skipped += 1
        log.error("notice_skipped", **self._told(kind, job_id), tries=tries, problem=problem)

    def _note_delivery(self, notice: Notice) -> None:
        self.deliveries += 1
        if self._failures:
            log.info("notices_flow_again", url=self._shown_url, failures=self._failures)
        self._failures = self._dropped = 0
        log.debug("notice_delivered", **self._told(notice.kind, notice.job_id))

    def _note_failure(self, notice: Notice, problem: str) -> None:
        self._failures += 1
        self.failed_deliveries += 1
        if self._failures & (self._failures - 1) == 0:  # the 1st, 2nd, 4th ...
            told = self._told(notice.kind, notice.job_id)
            log.warning("notice_failed", **told, failures=self._failures, problem=problem)
