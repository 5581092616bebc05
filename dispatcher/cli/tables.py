"""How wide the columns of a table are on a terminal, and which of them it has no room for.

An id is there to be copied: it never breaks over two lines, in a column of its own or in a sentence.
Other text folds, but not into slivers. Where that is too wide, columns that may be spared are left
out, the least important first; what is still too wide then is left to the terminal to wrap, which
copies it in one piece.

Left to others: colours and output (`output`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

# Two spaces between columns.
GAP_WIDTH = 2
# Text is not folded to less than this: a time of day.
FOLDED_WIDTH_MIN = 12
# A word of up to so much is on one line; in the first column, which names the row for another
# command, of more.
WORD_WIDTH_MAX = 13
NAME_WIDTH_MAX = 30

# An id of ours, or of LiveKit's, with what stands before it in the same word.
_ID = r"[A-Z]{2}_[0-9A-Za-z]{10,}"
_WORD_WITH_ID = re.compile(rf"\S*?{_ID}")
_JOINED_IDS = re.compile(rf",(?={_ID})")


def parted(cell: str) -> str:
    """Return the text with a space where one of the ids of a list ends, to be folded there."""
    return _JOINED_IDS.sub(", ", cell)


def column_widths(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    spare: Sequence[str] = (),
) -> Mapping[str, int]:
    """Return the widths of those columns that are shown, in their order.

    `width` is the terminal's, `spare` the columns that may be left out, the least important first.
    Cells are one line each, and `parted`.
    """
    from rich.cells import cell_len

    natural: dict[str, int] = {}
    floor: dict[str, int] = {}
    for index, name in enumerate(columns):
        cells = [row[index] for row in rows]
        natural[name] = max(map(cell_len, [name, *cells]))
        ids = [cell_len(word) for cell in cells for word in _WORD_WITH_ID.findall(cell)]
        longest = max((cell_len(word) for cell in cells for word in cell.split()), default=0)
        word = min(longest, WORD_WIDTH_MAX if index else NAME_WIDTH_MAX)
        floor[name] = max(cell_len(name), min(natural[name], FOLDED_WIDTH_MIN), word, *ids)
    shown = {name for name in columns if name not in spare}
    for name in reversed(spare):
        if _total(floor, shown | {name}) <= width:
            shown.add(name)
    widths = {name: floor[name] for name in columns if name in shown}
    left = width - _total(floor, shown)
    # who needs least first, so that short ones are whole
    for count, name in enumerate(sorted(widths, key=lambda name: natural[name] - floor[name])):
        more = min(natural[name] - floor[name], max(left, 0) // (len(widths) - count))
        widths[name] += more
        left -= more
    return widths


def _total(widths: Mapping[str, int], shown: Collection[str]) -> int:
    return sum(widths[name] for name in shown) + GAP_WIDTH * (len(shown) - 1)
