"""Reading one value: from text to its type, or one line that says where it is wrong and how.

All three sources are read alike. A value is a YAML node: of the file as it stands there, of a flag
or an environment variable as a scalar (or, where the option holds a mapping, as YAML). Scalars are
read from their text, so that a secret of digits stays the text that it was. A secret is never
quoted in an error.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urlsplit

import yaml

from protocol.errors import ConfigError

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_ROOM_SCHEMES = frozenset({"ws", "wss", "http", "https"})
_RECEIVER_SCHEMES = frozenset({"http", "https"})
_SHOWN_CHARACTERS_MAX = 60
_PUNCTUATION = re.compile(r"'([,:?\[\]{}-]|<[a-z ]+>)'")
_QUOTED = re.compile(r"([\"']).*?\1")


@dataclass(frozen=True, slots=True)
class Value:
    """A value before it is read: its node, its name, and where it stands."""

    node: yaml.Node
    # what a person called it: "policy.grace_seconds"; "" where the source names it ("--port")
    name: str
    # the file, the flag or the environment variable
    source: str
    in_file: bool = False

    @property
    def place(self) -> str:
        """Where the value stands, for a person."""
        if self.in_file:
            return f"{self.source}, line {self.node.start_mark.line + 1}"
        return self.source

    def child(self, node: yaml.Node, key: str) -> Value:
        """Return a value inside this one."""
        name = f"{self.name}.{key}" if self.name else key
        return Value(node, name, self.source, self.in_file)

    def fail(self, wanted: str, *, show: bool = True) -> NoReturn:
        """Raise ConfigError: the value must be what `wanted` says."""
        subject = f" {self.name}" if self.name else ""
        shown = ""
        if show and isinstance(self.node, yaml.ScalarNode):
            text = self.node.value
            if len(text) > _SHOWN_CHARACTERS_MAX:
                text = text[:_SHOWN_CHARACTERS_MAX] + "..."
            shown = f", not {text!r}"
        raise ConfigError(f"{self.place}:{subject} must be {wanted}{shown}")


def scalar(text: str, source: str) -> Value:
    """Return the value of a flag or an environment variable."""
    return Value(yaml.ScalarNode("tag:yaml.org,2002:str", text), "", source)


def compose(text: str, source: str, *, in_file: bool) -> yaml.Node | None:
    """Parse YAML text to nodes. Raises ConfigError, which quotes nothing of the text."""
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{source}, line {mark.line + 1}" if in_file and mark is not None else source
        problem = _without_content(error.problem or "")
        raise ConfigError(f"{place}: not valid YAML: {problem or 'cannot be read'}") from None
    except yaml.YAMLError:
        raise ConfigError(f"{source}: not valid YAML") from None


def _without_content(problem: str) -> str:
    """Return what a YAML parser found wrong, without what it quotes of the text: secrets may be in it.

    What it expected is kept: punctuation, and its own names for parts of a text.
    """
    problem = _PUNCTUATION.sub(r"\1", problem)
    problem = _QUOTED.sub(" ", problem).split("'")[0].split('"')[0]
    return " ".join(problem.split())


def is_unset(value: Value) -> bool:
    """Is this an empty value, which leaves the option to a weaker source?"""
    return isinstance(value.node, yaml.ScalarNode) and (
        value.node.tag == "tag:yaml.org,2002:null" or (not value.in_file and not value.node.value)
    )


def entries(value: Value, wanted: str, *, show: bool = True) -> Iterator[tuple[str, Value]]:
    """Yield the entries of a mapping. Refuses what is none, and a key that comes twice."""
    if not isinstance(value.node, yaml.MappingNode):
        value.fail(wanted, show=show)
    seen: set[str] = set()
    for key_node, node in value.node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            value.child(key_node, "").fail(wanted, show=show)
        key = key_node.value
        inner = value.child(node, key)
        if key in seen:
            at = Value(key_node, "", value.source, value.in_file).place
            raise ConfigError(f"{at}: {inner.name} is set twice")
        seen.add(key)
        yield key, inner


def items(value: Value, wanted: str) -> Iterator[Value]:
    """Yield the items of a list. Refuses what is none."""
    if not isinstance(value.node, yaml.SequenceNode):
        value.fail(wanted)
    for number, node in enumerate(value.node.value):
        yield Value(node, f"{value.name}[{number}]", value.source, value.in_file)


def unknown(value: Value, key_name: str, known: Iterable[str]) -> ConfigError:
    """Return the error for a name that nothing has, with the nearest one that there is."""
    near = difflib.get_close_matches(key_name, list(known), n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return ConfigError(f"{value.place}: unknown option {key_name!r}{hint}")


# ---- scalars ----


def text_of(value: Value, wanted: str = "a text") -> str:
    """Read a text that is not empty."""
    if not isinstance(value.node, yaml.ScalarNode) or not value.node.value.strip():
        value.fail(wanted)
    return str(value.node.value).strip()


def secret_of(value: Value) -> str:
    """Read a secret: any text that is not empty. Never shown."""
    if not isinstance(value.node, yaml.ScalarNode) or not value.node.value:
        value.fail("a secret, which is a text", show=False)
    return str(value.node.value)


def switch_of(value: Value) -> bool:
    """Read true or false."""
    text = text_of(value, "true or false").lower()
    if text not in _TRUE | _FALSE:
        value.fail("true or false")
    return text in _TRUE


def integer_of(value: Value, least: int, most: int) -> int:
    """Read a whole number within its bounds; digits may be grouped by `_`."""
    wanted = f"a whole number from {least} to {most}"
    try:
        number = int(text_of(value, wanted))
    except ValueError:
        value.fail(wanted)
    if not least <= number <= most:
        value.fail(wanted)
    return number


def number_of(value: Value, least: float, most: float, unit: str = "") -> float:
    """Read a number within its bounds."""
    wanted = f"a number{' of ' + unit if unit else ''} from {least:g} to {most:g}"
    try:
        number = float(text_of(value, wanted))
    except ValueError:
        value.fail(wanted)
    if not math.isfinite(number) or not least <= number <= most:
        value.fail(wanted)
    return number


def choice_of(value: Value, choices: Iterable[str]) -> str:
    """Read one of a few words."""
    words = list(choices)
    wanted = f"one of {', '.join(words)}"
    text = text_of(value, wanted).lower()
    if text not in words:
        value.fail(wanted)
    return text


def url_of(value: Value) -> str:
    """Read the address of an SFU: ws, wss, http or https, with a host, without user and password."""
    return _url(value, _ROOM_SCHEMES, "an address such as ws://127.0.0.1:7880").rstrip("/")


def receiver_url_of(value: Value) -> str:
    """Read the address of a receiver of webhooks, as it is: http or https, and as `url_of`."""
    return _url(value, _RECEIVER_SCHEMES, "an address such as https://calls.example.org/hook")


def _url(value: Value, schemes: frozenset[str], wanted: str) -> str:
    text = text_of(value, wanted)
    try:
        parts = urlsplit(text)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
        parts = urlsplit("")
    if parts.username is not None or parts.password is not None:
        value.fail(f"{wanted}, without user and password", show=False)
    if not usable:
        value.fail(wanted)
    return text
