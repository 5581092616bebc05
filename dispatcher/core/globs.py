"""Globs over names: `*` any text, `?` one character, `[abc]`, `[a-z]`, `[!a-z]` one of a set.

A glob is translated once. It is matched in time linear in the name: each part between two stars is
looked for once, from the left, and never given back (atomic groups); parts have a fixed length, so
the leftmost place is as good as any. A backslash is a character like any other; `[*]` is a star.
"""

from __future__ import annotations

import re
from functools import lru_cache

from dispatcher.core.rules import NotUnderstood

_SPECIAL = re.compile(r"[*?\[]")
# Globs that are remembered; those of all rules together, in most projects.
_REMEMBERED = 32_768


class Glob:
    """A translated glob. `exact` is the only name that it matches, None where there are more.

    Whatever it matches begins with `prefix` and ends with `suffix`.
    """

    __slots__ = ("_matches", "exact", "pattern", "prefix", "suffix")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        tokens = _tokens(pattern)
        self.prefix = _literals(tokens)
        self.suffix = _literals(tokens[::-1])[::-1]
        whole = len(self.prefix) == len(tokens)
        self.exact = self.prefix if whole else None
        self._matches = re.compile(_expression(tokens), re.DOTALL).match

    def __repr__(self) -> str:
        return f"Glob({self.pattern!r})"

    @property
    def is_everything(self) -> bool:
        """Does it match every name?"""
        return bool(self.pattern) and not self.pattern.strip("*")

    def matches(self, name: str) -> bool:
        """Does it match the whole name?"""
        if self.exact is not None:
            return name == self.exact
        return name.startswith(self.prefix) and self._matches(name) is not None


@lru_cache(maxsize=_REMEMBERED)
def glob(pattern: str) -> Glob:
    """Return the glob of a pattern. Raises NotUnderstood."""
    return Glob(pattern)


# A token is a literal character, or a regular expression in a tuple of one; () is a star.
_Token = str | tuple[str, ...]
_STAR: _Token = ()


def _tokens(pattern: str) -> list[_Token]:
    if not _SPECIAL.search(pattern):
        return list(pattern)
    tokens: list[_Token] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            if not tokens or tokens[-1] != _STAR:
                tokens.append(_STAR)
        elif character == "?":
            tokens.append((".",))
        elif character == "[":
            end = _end_of_set(pattern, at)
            tokens.append(_set(pattern[at:end]))
            at = end + 1
        else:
            tokens.append(character)
    return tokens


def _end_of_set(pattern: str, at: int) -> int:
    """Return where the `]` is that ends a set; the first place of a set may hold one itself."""
    first = at + 1 if pattern[at : at + 1] in ("!", "^") else at
    end = pattern.find("]", first + 1)
    if end < 0:
        raise NotUnderstood(f"is not a glob: '[' at character {at} has no ']'; a '[' is '[[]'")
    return end


def _set(inside: str) -> _Token:
    negated = inside[0] in ("!", "^")
    members = inside[1:] if negated else inside
    if len(members) == 1 and not negated:
        return members
    parts: list[str] = []
    at = 0
    while at < len(members):
        if members[at + 1 : at + 2] == "-" and at + 2 < len(members):
            low, high = members[at], members[at + 2]
            if low > high:
                raise NotUnderstood(f"is not a glob: the range {low}-{high} is the wrong way round")
            parts.append(f"{re.escape(low)}-{re.escape(high)}")
            at += 3
        else:
            parts.append(re.escape(members[at]))
            at += 1
    return (f"[{'^' if negated else ''}{''.join(parts)}]",)


def _literals(tokens: list[_Token]) -> str:
    """Return the literal characters that the tokens begin with."""
    characters: list[str] = []
    for token in tokens:
        if not isinstance(token, str):
            break
        characters.append(token)
    return "".join(characters)


def _expression(tokens: list[_Token]) -> str:
    parts = [""]
    for token in tokens:
        if token == _STAR:
            parts.append("")
        else:
            parts[-1] += re.escape(token) if isinstance(token, str) else token[0]
    if len(parts) == 1:
        return parts[0] + r"\Z"
    between = "".join(f"(?>.*?{part})" for part in parts[1:-1])
    last = rf".*{parts[-1]}\Z" if parts[-1] else ""
    return parts[0] + between + last
