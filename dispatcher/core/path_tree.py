"""The paths into metadata that rules ask for, as a tree that is walked together with a document.

Looking costs no more than the smaller of the two: a document of one key is looked up at once in a
tree of ten thousand, a large document is not read where no rule asks for anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from dispatcher.core.documents import Path, Step, child, is_scalar


class PathTree:
    """Paths, each with a count of the places in an index that stand for it."""

    def __init__(self) -> None:
        self._root = _Branch()

    def __bool__(self) -> bool:
        return bool(self._root.below)

    def count(self, path: Path, change: int) -> None:
        """Count one place more (1) or less (-1); a path without places is forgotten."""
        way: list[tuple[_Branch, Step]] = []
        branch = self._root
        for step in path:
            way.append((branch, step))
            branch = branch.below.setdefault(step, _Branch())
        branch.places += change
        for parent, step in reversed(way):
            if parent.below[step].places or parent.below[step].below:
                break
            del parent.below[step]

    def values(self, root: object) -> Iterator[tuple[Path, object]]:
        """Yield the scalars that a document has at these paths."""
        waiting: list[tuple[Path, _Branch, object]] = [((), self._root, root)]
        while waiting:
            path, branch, value = waiting.pop()
            if branch.places and is_scalar(value):
                yield path, value
            waiting.extend(
                ((*path, step), branch.below[step], child(value, step))
                for step in _steps(value, branch)
            )


class _Branch:
    """A step of a path. `places` counts those that stand right here."""

    __slots__ = ("below", "places")

    def __init__(self) -> None:
        self.below: dict[Step, _Branch] = {}
        self.places = 0


def _steps(value: object, branch: _Branch) -> list[Step]:
    """Return the steps that lead on both in the document and in the tree."""
    below = branch.below
    if isinstance(value, dict):
        if len(value) < len(below):
            return [step for step in value if step in below]
        return [step for step in below if step in value]
    if isinstance(value, list):
        if len(value) < len(below):
            return [step for step in range(len(value)) if step in below]
        return [step for step in below if isinstance(step, int) and step < len(value)]
    return []
