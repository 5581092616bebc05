"""Rules in YAML files: one rule, a list of rules, or several documents of either.

Every error is a ConfigError in one line: file, line, field, what is wrong. A name that no field has is
answered with the nearest one that there is. Values in metadata are read as JSON has them: where YAML
alone would make a number or a truth of what may be a text (`no`, `010`, `12:30`), quotes are asked
for.

Left to others: which fields there are (`rule_fields`), what a rule may be beyond its form
(`rule_checks`, whose errors are given a line here), and sending it to a server (`cli.rules`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dispatcher.core.jobs import SECOND, JobType, RestartPolicy
from dispatcher.core.room_events import ParticipantKind
from dispatcher.core.rules import JsonScalar, Match, Rule
from dispatcher.rule_checks import DEFAULT_RULE_LIMITS, RuleLimits, check_rule, duration
from dispatcher.rule_fields import FIELDS, Field, Form
from protocol.errors import ConfigError, InvalidField, LimitExceeded

FILE_BYTES_MAX = 16 * 1024 * 1024

_SHOWN_CHARACTERS_MAX = 60
_JSON_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_NUMBER_LENGTH_MAX = 30
_NULL, _BOOL, _INT, _FLOAT = (
    f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float")
)


def load_rules(path: Path, limits: RuleLimits = DEFAULT_RULE_LIMITS) -> list[Rule]:
    """Read a file of rules. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    return read_rules(raw, str(path), limits)


def read_rules(raw: bytes, source: str, limits: RuleLimits = DEFAULT_RULE_LIMITS) -> list[Rule]:
    """Read rules from the bytes of a file; `source` is its name in errors. Raises ConfigError."""
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigError(f"{source}: is larger than {FILE_BYTES_MAX} bytes")
    rules: list[Rule] = []
    lines: dict[str, int] = {}
    for node in _rule_nodes(raw, source):
        reader = _Reader(source, limits)
        rule = reader.rule(node)
        line = node.start_mark.line + 1
        if rule.name in lines:
            raise ConfigError(
                f"{source}, line {line}: name: there is a rule {rule.name!r} in line"
                f" {lines[rule.name]} already"
            )
        lines[rule.name] = line
        rules.append(rule)
    if not rules:
        raise ConfigError(f"{source}: has no rule in it")
    return rules


def rule_text(rule: Rule) -> str:
    """Return a rule as its file would be, without what is at its default.

    Its version is in it: applied again after somebody else's change, it is refused.
    """
    match = {
        "room": rule.match.room,
        "room_metadata": dict(rule.match.room_metadata),
        "identity": list(rule.match.identities),
        "kind": [kind.name for kind in sorted(rule.match.kinds)],
        "attributes": dict(rule.match.attributes),
        "metadata": dict(rule.match.metadata),
    }
    fields = {
        "name": rule.name,
        "version": rule.version,
        "type": rule.job_type.name.lower(),
        "match": {name: value for name, value in match.items() if value},
        "agent_name": rule.agent_name,
        "deployment": rule.deployment,
        "namespace": rule.namespace,
        "metadata": rule.metadata,
        "attributes": dict(rule.attributes),
        "priority": rule.priority,
        "queue_deadline_seconds": rule.queue_time / SECOND,
        "uniqueness_key": rule.uniqueness_key,
        "concurrency_limit": rule.concurrency_limit,
        "delay_seconds": rule.delay / SECOND,
        "restart_policy": rule.restart_policy.name.lower() if rule.restart_policy else "",
    }
    kept: dict[str, Any] = {name: value for name, value in fields.items() if value}
    if not rule.enabled:
        kept["enabled"] = False
    text: str = yaml.dump(kept, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


class _Dumper(yaml.SafeDumper):
    """Writes texts so that they are read as they were."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Of a text with another line break than "\n" the other styles make a space.
    plain = text.replace("\n", "").isprintable()
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _represent_text)


def _rule_nodes(raw: bytes, source: str) -> Iterator[yaml.Node]:
    """Yield the node of each rule."""
    try:
        for document in yaml.compose_all(raw.decode("utf-8-sig"), Loader=yaml.SafeLoader):
            if _is_scalar(document) and document.tag == _NULL:
                continue
            yield from document.value if isinstance(document, yaml.SequenceNode) else [document]
    except UnicodeDecodeError:
        raise ConfigError(f"{source}: is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}, line {mark.line + 1}" if mark is not None else source
        problem = _cut(" ".join((error.problem or "cannot be read").split()))
        raise ConfigError(f"{place}: not valid YAML: {problem}") from None
    except yaml.YAMLError:
        raise ConfigError(f"{source}: not valid YAML") from None
    except RecursionError:
        raise ConfigError(f"{source}: is nested too deeply") from None


@dataclass(slots=True)
class _Reader:
    """Reads one rule, and remembers in which line each field stands."""

    source: str
    limits: RuleLimits
    lines: dict[str, int] = field(default_factory=dict)

    def rule(self, node: yaml.Node) -> Rule:
        self.lines[""] = node.start_mark.line + 1
        found = self._fields(node, "", FIELDS)
        match: dict[str, Any] = found.get("match", {})
        try:
            rule = Rule(
                name=found["name"],
                job_type=JobType[found.get("type", "room").upper()],
                agent_name=found["agent_name"],
                match=Match(
                    room=match.get("room", ""),
                    room_metadata=match.get("room_metadata", {}),
                    identities=match.get("identity", ()),
                    kinds=frozenset(ParticipantKind[name] for name in match.get("kind", ())),
                    attributes=match.get("attributes", {}),
                    metadata=match.get("metadata", {}),
                ),
                deployment=found.get("deployment", ""),
                namespace=found.get("namespace", ""),
                metadata=found.get("metadata", ""),
                attributes=found.get("attributes", {}),
                priority=found.get("priority", 0),
                queue_time=duration(
                    "queue_deadline_seconds",
                    found.get("queue_deadline_seconds", 0.0),
                    self.limits.queue_deadline_seconds_max,
                ),
                uniqueness_key=found.get("uniqueness_key", ""),
                concurrency_limit=found.get("concurrency_limit", 0),
                delay=duration(
                    "delay_seconds", found.get("delay_seconds", 0.0), self.limits.delay_seconds_max
                ),
                restart_policy=RestartPolicy[found.get("restart_policy", "on_failure").upper()],
                enabled=found.get("enabled", True),
                version=found.get("version", 0),
            )
            check_rule(rule, self.limits)
        except (InvalidField, LimitExceeded) as error:
            reason = str(error).removeprefix(error.field).strip()
            raise self._refused(error.field, reason) from None
        return rule

    # ---- fields ----

    def _fields(self, node: yaml.Node, prefix: str, fields: Iterable[Field]) -> dict[str, Any]:
        known = {each.name: each for each in fields}
        found: dict[str, Any] = {}
        for name, key, value in self._entries(node, prefix, "a mapping of fields"):
            if name not in known:
                near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
                hint = f"; did you mean {near[0]!r}?" if near else f": {', '.join(known)}"
                raise self._wrong(key, "", f"unknown field {_cut(prefix + name)!r}{hint}")
            if known[name].is_required and _is_scalar(value) and value.tag == _NULL:
                raise self._wrong(value, prefix + name, "is missing")
            found[name] = self._value(value, prefix + name, known[name])
        for each in known.values():
            if each.is_required and each.name not in found:
                raise self._wrong(node, prefix + each.name, "is missing")
        return found

    def _value(self, node: yaml.Node, name: str, what: Field) -> object:
        match what.form:
            case Form.TEXT:
                return self._text(node, name)
            case Form.WHOLE:
                return self._whole(node, name, what.least)
            case Form.SECONDS:
                return self._seconds(node, name)
            case Form.SWITCH:
                return self._switch(node, name)
            case Form.CHOICE:
                return self._choice(node, name, what.choices)
            case Form.TEXTS:
                return tuple(self._texts(node, name, what.choices))
            case Form.TEXT_BY_NAME:
                return {
                    key: self._text(value, f"{name}.{key}")
                    for key, _, value in self._entries(node, f"{name}.", "a mapping of texts")
                }
            case Form.VALUE_BY_PATH:
                return {
                    key: self._json(value, f"{name}.{key}")
                    for key, _, value in self._entries(node, f"{name}.", "a mapping of values")
                }
            case Form.FIELDS:
                return self._fields(node, f"{name}.", what.fields)

    def _entries(
        self, node: yaml.Node, prefix: str, wanted: str
    ) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """Yield name, the name's node and the value's node of a mapping's entries."""
        if not isinstance(node, yaml.MappingNode):
            raise self._wrong(node, prefix.rstrip("."), f"must be {wanted}{_shown(node)}")
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._wrong(key, prefix.rstrip("."), f"must be {wanted}")
            name = str(key.value)
            if name in seen:
                raise self._wrong(key, prefix + name, "is set twice")
            seen.add(name)
            self.lines[prefix + name] = key.start_mark.line + 1
            yield name, key, value

    # ---- values ----

    def _text(self, node: yaml.Node, name: str, wanted: str = "a text") -> str:
        if not _is_scalar(node) or node.tag == _NULL:
            raise self._wrong(node, name, f"must be {wanted}{_shown(node)}")
        return str(node.value)

    def _texts(self, node: yaml.Node, name: str, choices: tuple[str, ...]) -> Iterator[str]:
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for each in nodes:
            if choices:
                yield self._choice(each, name, choices)
            else:
                yield self._text(each, name, "a text or a list of texts")

    def _choice(self, node: yaml.Node, name: str, choices: tuple[str, ...]) -> str:
        wanted = f"one of {', '.join(choices)}"
        text = self._text(node, name, wanted)
        for choice in choices:
            if choice.lower() == text.lower():
                return choice
        spelled = {each.lower(): each for each in choices}
        near = difflib.get_close_matches(text.lower(), spelled, n=1)
        hint = f"; did you mean {spelled[near[0]]!r}?" if near else ""
        raise self._wrong(node, name, f"must be {wanted}{_shown(node)}{hint}")

    def _plain(self, node: yaml.Node, name: str, wanted: str) -> str:
        """Return the text of a value that stands without quotes: in them it is a text."""
        text = self._text(node, name, wanted)
        if isinstance(node, yaml.ScalarNode) and node.style is not None:
            raise self._wrong(node, name, f"must be {wanted}{_shown(node)} in quotes")
        return text

    def _whole(self, node: yaml.Node, name: str, least: float) -> int:
        text = self._plain(node, name, "a whole number")
        try:
            number = int(text)
        except ValueError:
            raise self._wrong(node, name, f"must be a whole number{_shown(node)}") from None
        if number < least:
            raise self._wrong(node, name, f"must be {least:.0f} or more{_shown(node)}")
        return number

    def _seconds(self, node: yaml.Node, name: str) -> float:
        text = self._plain(node, name, "a number of seconds")
        try:
            return float(text)
        except ValueError:
            raise self._wrong(node, name, f"must be a number of seconds{_shown(node)}") from None

    def _switch(self, node: yaml.Node, name: str) -> bool:
        text = self._plain(node, name, "true or false").lower()
        if text not in ("true", "false"):
            raise self._wrong(node, name, f"must be true or false{_shown(node)}")
        return text == "true"

    def _json(self, node: yaml.Node, name: str) -> JsonScalar:
        """Read a value as JSON has it; what YAML alone would make of a text is refused."""
        if not isinstance(node, yaml.ScalarNode):
            raise self._wrong(node, name, "must be a text, a number, true, false or null")
        text, tag = str(node.value), node.tag
        if tag == _NULL and not text:
            raise self._wrong(node, name, "has no value; the JSON null is written null")
        if tag == _NULL:
            return None
        if tag == _BOOL and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if (
            tag in (_INT, _FLOAT)
            and _JSON_NUMBER.fullmatch(text)
            and len(text) < _NUMBER_LENGTH_MAX
        ):
            return int(text) if tag == _INT else float(text)
        if tag in (_BOOL, _INT, _FLOAT):
            raise self._wrong(node, name, f"must be quoted if it is a text{_shown(node)}")
        return text

    # ---- errors ----

    def _refused(self, name: str, reason: str) -> ConfigError:
        """Return the error of a field that has been read, with the line where it stands."""
        line = self.lines.get(name)
        within = name
        while line is None:
            within = within.rpartition(".")[0]
            line = self.lines.get(within)
        return ConfigError(f"{self.source}, line {line}: {_cut(name)}: {reason}")

    def _wrong(self, node: yaml.Node, name: str, reason: str) -> ConfigError:
        """Return the error of a field where it is read."""
        subject = f"{_cut(name)}: " if name else ""
        return ConfigError(f"{self.source}, line {node.start_mark.line + 1}: {subject}{reason}")


def _is_scalar(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode)


def _shown(node: yaml.Node) -> str:
    return f", not {_cut(str(node.value))!r}" if _is_scalar(node) else ""


def _cut(text: str) -> str:
    if len(text) <= _SHOWN_CHARACTERS_MAX:
        return text
    return text[:_SHOWN_CHARACTERS_MAX] + "..."
