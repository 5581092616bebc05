"""Profiles from YAML, flags and messages.

A file is one mapping of fields; flags win over it, it over the defaults. Every error is a ConfigError in
one line: source, line, field, what is wrong; a name that no field has is answered with the nearest one
that there is. The profiles that are shipped are such files, in `profiles/`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from protocol.errors import ConfigError
from worker_sdk.loadtest.limits import parse_limit
from worker_sdk.loadtest.profile import FIELDS, Arrivals, Field, Form, Profile, Shape

__all__ = ["load_profile", "profile_from_json", "profile_names", "shipped_text"]

FILE_BYTES_MAX = 1024 * 1024

_PROFILES = Path(__file__).parent / "profiles"
_KNOWN = {field.name: field for field in FIELDS}
_NULL = "tag:yaml.org,2002:null"
_SHOWN_CHARACTERS_MAX = 60


def profile_names() -> list[str]:
    """The names of the profiles that are shipped."""
    return sorted(path.stem for path in _PROFILES.glob("*.yaml"))


def shipped_text(name: str) -> str:
    """The file of a profile that is shipped."""
    return (_PROFILES / f"{name}.yaml").read_text(encoding="utf-8")


def load_profile(chosen: str, flags: Mapping[str, str | Sequence[str]]) -> Profile:
    """Read the profile `chosen`, the name of a shipped one or a file, and put `flags` over it.

    `flags` are texts by field, as they were typed. Raises ConfigError.
    """
    values = _read_file(chosen)
    for name, typed in flags.items():
        field = _KNOWN[name]
        texts = [typed] if isinstance(typed, str) else list(typed)
        values[name] = _value(field, texts, field.flag, is_list=field.form is Form.TEXTS)
    profile = profile_from_json(values)
    _check_whole(profile)
    return profile


def profile_from_json(values: Mapping[str, Any]) -> Profile:
    """The profile of values that were checked before."""
    made = dict(values)
    if "shape" in made:
        made["shape"] = Shape(made["shape"])
    if "arrivals" in made:
        made["arrivals"] = Arrivals(made["arrivals"])
    if "fail_if" in made:
        made["fail_if"] = tuple(made["fail_if"])
    return Profile(**made)


# ---- files ----


def _read_file(chosen: str) -> dict[str, Any]:
    if chosen in profile_names():
        return _read(shipped_text(chosen).encode(), f"profile {chosen}")
    path = Path(chosen)
    if not path.exists() and path.suffix not in (".yaml", ".yml") and path.name == chosen:
        raise ConfigError(
            f"--profile: there is no profile {_cut(chosen)!r}; shipped are"
            f" {', '.join(profile_names())}, and a file is taken too"
        )
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigError(f"{path}: is larger than {FILE_BYTES_MAX} bytes")
    return _read(raw, str(path))


def _read(raw: bytes, source: str) -> dict[str, Any]:
    try:
        document = yaml.compose(raw.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError:
        raise ConfigError(f"{source}: is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}, line {mark.line + 1}" if mark is not None else source
        problem = _cut(" ".join((error.problem or "cannot be read").split()))
        raise ConfigError(f"{place}: not valid YAML: {problem}") from None
    except (yaml.YAMLError, RecursionError):
        raise ConfigError(f"{source}: not valid YAML") from None
    if document is None or (isinstance(document, yaml.ScalarNode) and document.tag == _NULL):
        return {}
    if not isinstance(document, yaml.MappingNode):
        raise ConfigError(
            f"{source}, line {document.start_mark.line + 1}: must be a mapping of fields"
        )
    values: dict[str, Any] = {}
    for key, node in document.value:
        place = f"{source}, line {key.start_mark.line + 1}"
        name = str(key.value)
        if name not in _KNOWN:
            near = difflib.get_close_matches(name, list(_KNOWN), n=1, cutoff=0.6)
            hint = f"; did you mean {near[0]!r}?" if near else f": {', '.join(_KNOWN)}"
            raise ConfigError(f"{place}: unknown field {_cut(name)!r}{hint}")
        if name in values:
            raise ConfigError(f"{place}: {name}: is set twice")
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not all(isinstance(each, yaml.ScalarNode) and each.tag != _NULL for each in nodes):
            raise ConfigError(f"{place}: {name}: must be {_wanted(_KNOWN[name])}")
        texts = [str(each.value) for each in nodes]
        is_list = isinstance(node, yaml.SequenceNode)
        values[name] = _value(_KNOWN[name], texts, f"{place}: {name}", is_list=is_list)
    return values


# ---- values ----


def _value(field: Field, texts: Sequence[str], subject: str, *, is_list: bool) -> object:
    """The value of a field. Raises ConfigError that begins with `subject`."""
    if field.form is Form.TEXTS:
        for text in texts:
            parse_limit(text, subject)
        return tuple(texts)
    if is_list:
        raise ConfigError(f"{subject}: must be {_wanted(field)}, not a list")
    text = texts[0]
    wrong = ConfigError(f"{subject}: must be {_wanted(field)}, not {_cut(text)!r}")
    match field.form:
        case Form.TEXT:
            return text
        case Form.SWITCH:
            if text.lower() not in ("true", "false"):
                raise wrong
            return text.lower() == "true"
        case Form.CHOICE:
            if text.lower() not in field.choices:
                raise wrong
            return text.lower()
        case Form.WHOLE | Form.NUMBER:
            try:
                number = int(text) if field.form is Form.WHOLE else float(text)
            except ValueError:
                raise wrong from None
            if not field.least <= number <= field.most:
                raise wrong
            return number
    raise AssertionError(field.form)


def _wanted(field: Field) -> str:
    match field.form:
        case Form.CHOICE:
            return f"one of {', '.join(field.choices)}"
        case Form.WHOLE | Form.NUMBER:
            return f"a {field.form} from {field.least:,.10g} to {field.most:,.10g}".replace(",", "")
        case Form.SWITCH:
            return "true or false"
        case Form.TEXTS:
            return "a limit such as p99_ms>50, or a list of them"
        case Form.TEXT:
            return "a text"


def _check_whole(profile: Profile) -> None:
    """Refuse what does not go together. Raises ConfigError."""
    if not profile.all_workers:
        raise ConfigError("--workers: there must be one worker at least, of any kind")
    if profile.shape is Shape.RAMP and profile.rate > profile.rate_max:
        raise ConfigError(
            f"--rate: a ramp cannot begin at {profile.rate:g}, above rate_max {profile.rate_max:g}"
        )
    if not profile.agent_name:
        raise ConfigError("--agent-name: must not be empty: jobs are called for by name")


def _cut(text: str) -> str:
    if len(text) <= _SHOWN_CHARACTERS_MAX:
        return text
    return text[:_SHOWN_CHARACTERS_MAX] + "..."
