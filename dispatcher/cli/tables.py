"""How wide the columns of a table are on a terminal, and which of them it has no room for.

An id is there to be copied: it is never cut, and never breaks over two lines, in a column of its own
or in a sentence. Other text is cut, with "…"; in a column that is said to fold it goes on below, but
not in slivers. Where that is too wide, columns that may be spared are left out, the least important
first; what is still too wide then is left to the terminal to wrap, which copies it in one piece.

Left to others: colours and output (`output`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

# Two spaces between columns.
GAP_WIDTH = 2
# Text is neither folded nor cut to less than this: a time of day.
TEXT_WIDTH_MIN = 12
# A word of up to so much is on one line where text folds; the first column, which names the row for
# another command, is not cut to less than the second.
WORD_WIDTH_MAX = 13
NAME_WIDTH_MAX = 30
CUT = "…"

# An id of ours, or of LiveKit's, with what stands before it in the same word.
_ID = r"[A-Z]{2}_[0-9A-Za-z]{10,}"
_WORD_WITH_ID = re.compile(rf"\S*?{_ID}")
_JOINED_IDS = re.compile(rf",(?={_ID})")


def parted(cell: str) -> str:
    """Return the text with a space where one of the ids of a list ends, to be folded there."""
    return _JOINED_IDS.sub(", ", cell)


def shortened(cell: str, width: int) -> str:
    """Return the text in at most `width` places; what is cut ends with "…", and cuts no id."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(cell) <= width:
        return cell
    kept = set_cell_size(cell, max(width - len(CUT), 0)).rstrip()
    for found in _WORD_WITH_ID.finditer(cell):
        if found.start() < len(kept) < found.end():
            kept = cell[: found.start()].rstrip(" ,")
    return kept + CUT


def column_widths(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    spare: Sequence[str] = (),
    folds: Collection[str] = (),
) -> Mapping[str, int]:
    """Return the widths of those columns that are shown, in their order.

    `width` is the terminal's, `spare` the columns that may be left out, the least important first,
    `folds` those whose text goes on below. Cells are one line each, and `parted`.
    """
    from rich.cells import cell_len

    natural: dict[str, int] = {}
    floor: dict[str, int] = {}
    for index, name in enumerate(columns):
        cells = [row[index] for row in rows]
        natural[name] = max(map(cell_len, [name, *cells]))
        word = 0 if index else min(natural[name], NAME_WIDTH_MAX)
        if name in folds:
            ids = [cell_len(each) for cell in cells for each in _WORD_WITH_ID.findall(cell)]
            longest = max((cell_len(each) for cell in cells for each in cell.split()), default=0)
            word = max(word, min(longest, WORD_WIDTH_MAX))
        else:
            ids = [_led_width(cell) for cell in cells]
        # What folds is the text that is read: it has half of the width before others are shown.
        text = max(TEXT_WIDTH_MIN, width // (1 + len(folds))) if name in folds else TEXT_WIDTH_MIN
        floor[name] = max(cell_len(name), min(natural[name], text), word, *ids, 0)
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


def _led_width(cell: str) -> int:
    """Return how wide a cell is when all but the id that it begins with is cut."""
    found = _WORD_WITH_ID.match(cell)
    if found is None:
        return 0
    return found.end() + (len(CUT) if found.end() < len(cell) else 0)


def _total(widths: Mapping[str, int], shown: Collection[str]) -> int:
    return sum(widths[name] for name in shown) + GAP_WIDTH * (len(shown) - 1)
