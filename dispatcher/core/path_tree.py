"""The paths into metadata that rules ask for, as a tree that is walked together with a document.

Looking costs no more than the smaller of the two: a document of one key is looked up at once in a
tree of ten thousand, a large document is not read where no rule asks for anything.
"""

from __future__ import annotations

from dispatcher.core.documents import Path, Step


class PathTree:
    """Paths, each with a count of the places in an index that stand for it."""

    def __init__(self) -> None:
        self._root = _Branch(())

    def __bool__(self) -> bool:
        return bool(self._root.below)

    def count(self, path: Path, change: int) -> None:
        """Count one place more (1) or less (-1); a path without places is forgotten."""
        way: list[tuple[_Branch, Step]] = []
        branch = self._root
        for step in path:
            way.append((branch, step))
            branch = branch.below.setdefault(step, _Branch((*branch.path, step)))
        branch.places += change
        for parent, step in reversed(way):
            if parent.below[step].places or parent.below[step].below:
                break
            del parent.below[step]

    def values(self, root: object) -> list[tuple[Path, object]]:
        """Return the scalars that a document has at these paths."""
        found: list[tuple[Path, object]] = []
        _collect(self._root, root, found)
        return found


class _Branch:
    """A step of a path. `places` counts those that stand right here."""

    __slots__ = ("below", "path", "places")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.below: dict[Step, _Branch] = {}
        self.places = 0


def _collect(branch: _Branch, value: object, found: list[tuple[Path, object]]) -> None:
    """Go on wherever both the tree and the document do; as deep as the longest path."""
    below = branch.below
    if isinstance(value, dict):
        if len(value) < len(below):
            for step, inner in value.items():
                if step in below:
                    _collect(below[step], inner, found)
        else:
            for name, further in below.items():
                if name in value:
                    _collect(further, value[name], found)
    elif isinstance(value, list):
        if len(value) < len(below):
            for index, inner in enumerate(value):
                if index in below:
                    _collect(below[index], inner, found)
        else:
            for place, further in below.items():
                if isinstance(place, int) and place < len(value):
                    _collect(further, value[place], found)
    elif branch.places:
        found.append((branch.path, value))
