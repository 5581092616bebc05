"""Gathering the options: flags win over the environment, the environment over the file.

Each source gives values by option key; a stronger source replaces a weaker one's value whole, also
where it is a mapping. Whatever is wrong ends in one ConfigError: an unknown name (with the nearest
known one), a value out of bounds (with its place), a server without keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dispatcher.config import values
from dispatcher.config.options import (
    BY_KEY,
    CONFIG_ENV,
    CONFIG_FLAG,
    ENV_PREFIX,
    OPTIONS,
    Kind,
    Option,
)
from dispatcher.config.room_configuration_files import check_configurations, read_configurations
from dispatcher.config.tree import (
    DEFAULT_PROJECT,
    ApiKey,
    Config,
    LogFormat,
    LogLevel,
    Webhook,
)
from dispatcher.config.values import Value
from dispatcher.core.jobs import SECOND, seconds
from dispatcher.core.policy import AgentPolicy, Policy
from dispatcher.metrics.settings import MetricsAccess, MetricsSettings
from dispatcher.server.limits import ServerLimits
from protocol.errors import ConfigError
from protocol.tokens import DEV_KEY, DEV_SECRET

FILE_BYTES_MAX = 4 * 1024 * 1024

_BY_FLAG = {option.flag: option for option in OPTIONS if option.flag}
_BY_ENV = {option.env: option for option in OPTIONS}
_MAPPINGS = frozenset(
    {
        Kind.KEYS,
        Kind.PROJECTS,
        Kind.AGENTS,
        Kind.WEBHOOKS,
        Kind.URLS,
        Kind.ROOM_CONFIGURATIONS,
    }
)
_SECTIONS = frozenset(option.section for option in OPTIONS if option.section)
_WEBHOOK_WANTED = "{url: URL, key: KEY}"
_KEYS_WANTED = "'KEY: SECRET', with a space after the colon"

# Variables that belong to a worker (worker_sdk.records), not to a server.
_WORKER_ENV = frozenset({"CALLBOARD_RECORD_PATH"})
_WORKER_ENV_PREFIX = "CALLBOARD_WORKER_"
# Kubernetes tells every pod about a service named callboard in variables of this form.
_SERVICE_LINK = re.compile(r"CALLBOARD_(SERVICE_(HOST|PORT.*)|PORT_\d+_(TCP|UDP|SCTP).*)")
_SERVICE_LINK_PORT = re.compile(r"(tcp|udp|sctp)://")


def load_config(
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    file: Path | None = None,
) -> Config:
    """Return the configuration. `flags` are by name ("--port"); `file` is what --config names.

    Without `file`, CALLBOARD_CONFIG names it; without either there is none. Raises ConfigError.
    """
    if file is None and environ.get(CONFIG_ENV):
        file = Path(environ[CONFIG_ENV])
    found: dict[str, Value] = {}
    if file is not None:
        found.update(_from_file(file))
    found.update(_from_environment(environ))
    found.update(_from_flags(flags))
    return _build({key: _read(BY_KEY[key], value) for key, value in found.items()})


# ---- the three sources ----


def _from_file(path: Path) -> dict[str, Value]:
    try:
        raw = path.read_bytes()[: FILE_BYTES_MAX + 1]
        text = raw.decode()
    except OSError as error:
        raise ConfigError(
            f"{CONFIG_FLAG} {path}: {(error.strerror or 'no file').lower()}"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigError(f"{path}: is larger than {FILE_BYTES_MAX} bytes")
    root = values.compose(text, str(path), in_file=True)
    if root is None:
        return {}
    found: dict[str, Value] = {}
    top = [option.key for option in OPTIONS if not option.section]
    whole = Value(root, "", str(path), in_file=True)
    for key, value in values.entries(whole, "a mapping of options"):
        if key in _SECTIONS:
            found.update(_section(key, value))
        elif key in top:
            found[key] = value
        else:
            raise values.unknown(value, key, [*top, *_SECTIONS])
    return {key: value for key, value in found.items() if not values.is_unset(value)}


def _section(section: str, value: Value) -> dict[str, Value]:
    if values.is_unset(value):
        return {}
    known = {option.key for option in OPTIONS if option.section == section}
    found = {}
    for _, inner in values.entries(value, "a mapping of options"):
        if inner.name not in known:
            raise values.unknown(inner, inner.name, known)
        found[inner.name] = inner
    return found


def _from_environment(environ: Mapping[str, str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    if environ.get("LIVEKIT_KEYS"):  # as livekit-server reads them
        found["keys"] = _from_text(BY_KEY["keys"], environ["LIVEKIT_KEYS"], "LIVEKIT_KEYS")
    for name in sorted(environ):
        text = environ[name]
        if not name.startswith(ENV_PREFIX) or name == CONFIG_ENV or not text:
            continue
        if name in _WORKER_ENV or name.startswith(_WORKER_ENV_PREFIX):
            continue
        if _SERVICE_LINK.fullmatch(name):
            continue
        if name == BY_KEY["port"].env and _SERVICE_LINK_PORT.match(text):
            continue
        option = _BY_ENV.get(name)
        if option is None:
            raise values.unknown(values.scalar("", "environment"), name, _BY_ENV)
        found[option.key] = _from_text(option, text, name)
    return found


def _from_flags(flags: Mapping[str, str]) -> dict[str, Value]:
    return {
        _BY_FLAG[flag].key: _from_text(_BY_FLAG[flag], text, flag) for flag, text in flags.items()
    }


def _from_text(option: Option, text: str, source: str) -> Value:
    if option.kind not in _MAPPINGS:
        return values.scalar(text, source)
    node = values.compose(text, source, in_file=False)
    if node is None:
        return values.scalar("", source)
    return Value(node, "", source)


# ---- reading ----


def _read(option: Option, value: Value) -> object:
    match option.kind:
        case Kind.TEXT:
            return values.text_of(value)
        case Kind.SECRET:
            return values.secret_of(value)
        case Kind.SWITCH:
            return values.switch_of(value)
        case Kind.INTEGER:
            return values.integer_of(value, int(option.least), int(option.most))
        case Kind.NUMBER:
            return values.number_of(value, option.least, option.most)
        case Kind.SECONDS:
            return values.number_of(value, option.least, option.most, "seconds")
        case Kind.DURATION:
            return seconds(values.number_of(value, option.least, option.most, "seconds"))
        case Kind.PATH:
            return Path(values.text_of(value, "a folder")).expanduser()
        case Kind.URL:
            return values.url_of(value)
        case Kind.URLS:
            urls = [values.url_of(item) for item in values.items(value, "a list of addresses")]
            return tuple(dict.fromkeys(urls))
        case Kind.CHOICE:
            return values.choice_of(value, option.choices)
        case Kind.KEYS:
            return _keys(value, DEFAULT_PROJECT)
        case Kind.PROJECTS:
            return _projects(value)
        case Kind.AGENTS:
            return {name: _agent(inner) for name, inner in values.entries(value, "a mapping")}
        case Kind.WEBHOOKS:
            return _webhooks(value)
        case Kind.ROOM_CONFIGURATIONS:
            return read_configurations(value)


def _keys(value: Value, project: str) -> dict[str, ApiKey]:
    keys: dict[str, ApiKey] = {}
    for key, inner in values.entries(value, _KEYS_WANTED, show=False):
        if not key.strip():
            value.fail(_KEYS_WANTED, show=False)
        keys[key] = ApiKey(values.secret_of(inner), project)
    return keys


def _projects(value: Value) -> dict[str, ApiKey]:
    keys: dict[str, ApiKey] = {}
    for project, inner in values.entries(value, "a mapping of projects", show=False):
        if not project.strip():
            value.fail("a mapping of projects, each with a name", show=False)
        for name, group in values.entries(inner, "{keys: {KEY: SECRET}}", show=False):
            if name != "keys":
                raise values.unknown(group, group.name, [f"{inner.name}.keys"])
            for key, api_key in _keys(group, project).items():
                if key in keys:
                    raise ConfigError(
                        f"{group.place}: key {key} is in two projects, {keys[key].project} and {project}"
                    )
                keys[key] = api_key
    return keys


def _agent(value: Value) -> AgentPolicy:
    policy = AgentPolicy()
    for name, inner in values.entries(value, "{capacity: N, grace_seconds: S}"):
        if values.is_unset(inner):
            continue
        match name:
            case "capacity":
                most = int(BY_KEY["limits.capacity_max"].most)
                policy = replace(policy, capacity=values.integer_of(inner, 1, most))
            case "grace_seconds":
                bounds = BY_KEY["policy.grace_seconds"]
                number = values.number_of(inner, bounds.least, bounds.most, "seconds")
                policy = replace(policy, grace=seconds(number))
            case _:
                prefix = value.name
                known = [f"{prefix}.capacity", f"{prefix}.grace_seconds"]
                raise values.unknown(inner, inner.name, known)
    return policy


def _webhooks(value: Value) -> tuple[Webhook, ...]:
    webhooks: list[Webhook] = []
    for item in values.items(value, f"a list of {_WEBHOOK_WANTED}"):
        found: dict[str, str] = {}
        for name, inner in values.entries(item, _WEBHOOK_WANTED):
            match name:
                case "url":
                    found[name] = values.receiver_url_of(inner)
                case "key":
                    found[name] = values.text_of(inner, "an API key")
                case _:
                    known = [f"{item.name}.url", f"{item.name}.key"]
                    raise values.unknown(inner, inner.name, known)
        if len(found) < 2:
            item.fail(f"{_WEBHOOK_WANTED}, both of them")
        webhook = Webhook(**found)
        if webhook in webhooks:
            raise ConfigError(f"{item.place}: {item.name} is there twice")
        webhooks.append(webhook)
    return tuple(webhooks)


def _check_webhooks(webhooks: tuple[Webhook, ...], keys: Mapping[str, ApiKey]) -> None:
    told: set[tuple[str, str]] = set()
    for webhook in webhooks:
        if webhook.key not in keys:
            raise ConfigError(f"webhooks: {webhook.key} is not an API key of this server")
        project = keys[webhook.key].project
        if (webhook.url, project) in told:
            raise ConfigError(f"webhooks: project {project} has one address twice")
        told.add((webhook.url, project))


# ---- the tree ----


def _build(found: Mapping[str, Any]) -> Config:
    default = Config(keys={})
    dev: bool = found.get("dev", default.dev)
    keys: dict[str, ApiKey] = dict(found.get("projects", {}))
    for key, api_key in found.get("keys", {}).items():
        if key in keys:
            raise ConfigError(f"key {key} is both in keys and in project {keys[key].project}")
        keys[key] = api_key
    if not keys:
        if not dev:
            raise ConfigError(
                "no API key: give --keys 'KEY: SECRET', CALLBOARD_KEYS or keys: in the file;"
                " --dev serves with devkey and secret"
            )
        keys = {DEV_KEY: ApiKey(DEV_SECRET)}
    room_url, room_key = found.get("room_url", ""), found.get("room_key", "")
    room_secret = found.get("room_secret", "")
    if bool(room_key) != bool(room_secret):
        missing = "room_secret" if room_key else "room_key"
        raise ConfigError(f"{missing} is missing: room_key and room_secret belong together")
    if room_key and not room_url:
        raise ConfigError("room_key is set without room_url, the address that it is for")
    bridge: bool = found.get("bridge", default.bridge)
    if bridge and not room_url:
        raise ConfigError("bridge is set without room_url, the LiveKit server to register with")
    webhooks: tuple[Webhook, ...] = found.get("webhooks", ())
    _check_webhooks(webhooks, keys)
    policy = replace(default.policy, **_fields("policy", found), agents=found.get("agents", {}))
    _check_order(policy)
    limits = _limits(default.limits, _fields("limits", found), policy)
    configurations = found.get("room_configurations", {})
    configuration_limits = replace(
        default.room_configuration_limits, **_fields("room_configuration_limits", found)
    )
    check_configurations(configurations, "room_configurations", configuration_limits, limits.wire)
    return Config(
        keys=keys,
        dev=dev,
        bind=found.get("bind", default.bind),
        port=found.get("port", default.port),
        data_dir=found.get("data_dir", default.data_dir),
        room_url=room_url,
        room_key=room_key,
        room_secret=room_secret,
        bridge=bridge,
        bridge_urls=found.get("bridge_urls", ()),
        log_level=LogLevel(found.get("log_level", LogLevel.DEBUG if dev else default.log_level)),
        log_format=LogFormat(found.get("log_format", LogFormat.HUMAN if dev else LogFormat.AUTO)),
        webhooks=webhooks,
        notifier=replace(default.notifier, **_fields("notifier", found)),
        policy=policy,
        limits=limits,
        runtime=replace(default.runtime, **_fields("runtime", found)),
        rules=replace(default.rules, **_fields("rules", found)),
        rooms=replace(default.rooms, **_fields("rooms", found)),
        room_configurations=configurations,
        room_configuration_limits=configuration_limits,
        metrics=_metrics(found),
        sfu=replace(default.sfu, **_fields("sfu", found)),
        bridging=replace(default.bridging, **_fields("bridging", found)),
        retention=replace(default.retention, **_fields("retention", found)),
    )


def _fields(section: str, found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        option.field: found[option.key]
        for option in OPTIONS
        if option.section == section and option.key in found
    }


def _metrics(found: Mapping[str, Any]) -> MetricsSettings:
    fields = _fields("metrics", found)
    if "access" in fields:
        fields["access"] = MetricsAccess(fields["access"])
    return MetricsSettings(**fields)


def _limits(default: ServerLimits, found: Mapping[str, Any], policy: Policy) -> ServerLimits:
    of_wire = {name: value for name, value in found.items() if hasattr(default.wire, name)}
    of_server = {name: value for name, value in found.items() if name not in of_wire}
    # What the engine and the wire must agree on is one option; these are the wire's names.
    of_wire["offer_timeout_seconds"] = policy.offer_timeout / SECOND
    of_wire["grace_seconds_max"] = policy.grace_max / SECOND
    of_wire["claim_silence_seconds"] = policy.takeover_silence / SECOND
    return replace(default, wire=replace(default.wire, **of_wire), **of_server)


def _check_order(policy: Policy) -> None:
    for name in ("retry_backoff", "decline_backoff", "silence_backoff"):
        if getattr(policy, f"{name}_min") > getattr(policy, f"{name}_max"):
            raise ConfigError(
                f"policy.{name}_seconds_min is greater than policy.{name}_seconds_max"
            )
    if policy.grace > policy.grace_max:
        raise ConfigError("policy.grace_seconds is greater than policy.grace_seconds_max")
