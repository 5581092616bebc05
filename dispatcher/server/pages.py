"""Pages of a list: newest first, bounded, and continued by a token.

A page token is the place of the last row shown, as text. Clients should not look into it.
"""

from __future__ import annotations

from protocol.errors import InvalidField
from protocol.limits import WireLimits, check_text


def page_size(asked: int, limits: WireLimits) -> int:
    """Return how many rows a page has: what was asked for (0: the default), within the limit."""
    return min(asked or limits.page_size_default, limits.page_size_max)


def place_after(token: str, limits: WireLimits) -> str:
    """Return the place that a page token names, empty for the first page. Raises WireError."""
    check_text("page_token", token, limits.page_token_bytes_max)
    return token


def number_after(token: str, limits: WireLimits) -> int:
    """Return the number that a page token names, 0 for the first page. Raises WireError."""
    place = place_after(token, limits)
    if not place:
        return 0
    if not (place.isascii() and place.isdecimal()) or len(place) > 18 or int(place) == 0:
        raise InvalidField("page_token", "is not one that this server gave")
    return int(place)
