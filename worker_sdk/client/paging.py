"""All rows of a list that the server gives page by page.

Nothing is asked for before it is wanted, and one page at most is held. A row that is there from the
first page to the last comes once; one that is made or changed meanwhile may come or not.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

from worker_sdk.errors import UnexpectedAnswer

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Page", "Rows"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows, and the token of the page that follows; empty: this is the last."""

    rows: Iterable[T]
    next_page_token: str


class FetchPage(Protocol[T]):
    """A call that fetches the page of a token, the first for an empty one."""

    async def __call__(self, page_token: str, /) -> Page[T]:
        """Fetch it."""
        ...


class Rows(Generic[T]):
    """Iterates over the rows of all pages; a page that could not be fetched is asked for again."""

    def __init__(self, fetch: FetchPage[T]) -> None:
        self._fetch = fetch
        self._page: deque[T] = deque()
        # of the page to fetch next; None: there is none
        self._token: str | None = ""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        # A page may be empty and not be the last.
        while not self._page:
            if self._token is None:
                raise StopAsyncIteration
            page = await self._fetch(self._token)
            if page.next_page_token and page.next_page_token == self._token:
                raise UnexpectedAnswer("the server", 200, "a page leads to itself")
            self._page.extend(page.rows)
            self._token = page.next_page_token or None
        return self._page.popleft()
