"""The settings of one worker: what code, environment and flags say of each option, checked.

A value comes from the code (`Worker(capacity=4)`), the environment (`CALLBOARD_WORKER_CAPACITY=8`)
or a flag (`--capacity 8`); the later overrides the earlier, so that who deploys a worker overrides
who wrote it. A wrong value is one line that names where it was said. Where the server is and with
which key have LiveKit's own variables, which count, as with LiveKit's SDK, where the code says nothing.

Left to others: which options there are (`options`), the command line itself (`command_line`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from protocol.errors import ConfigError, WireError
from worker_sdk.credentials import Credentials
from worker_sdk.drain import DRAIN_SECONDS_MAX_DEFAULT, DrainPolicy
from worker_sdk.executor_choice import ExecutorKind
from worker_sdk.job import JobType
from worker_sdk.load import CpuLoad, GreatestLoad, JobsLoad, LoadMeasure
from worker_sdk.logs import LogFormat, LogLevel
from worker_sdk.options import (
    CAPACITY_DEFAULT,
    GRACE_SECONDS_DEFAULT,
    OPTIONS,
    SERVER_PANEL,
    Option,
)
from worker_sdk.shutdown import SHUTDOWN_SECONDS_MAX_DEFAULT

__all__ = ["Settings", "check_code", "resolve"]


def _default_load() -> LoadMeasure:
    return GreatestLoad(JobsLoad(), CpuLoad())


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of one worker, checked. The fields are the rows of `OPTIONS`, in their order."""

    url: str = ""
    api_key: str = ""
    api_secret: str = field(default="", repr=False)
    agent_name: str = ""
    capacity: int = CAPACITY_DEFAULT
    types: tuple[JobType, ...] = (JobType.ROOM,)
    deployment: str = ""
    namespace: str = ""
    grace_seconds: float = GRACE_SECONDS_DEFAULT
    load: LoadMeasure = field(default_factory=_default_load)
    executor: ExecutorKind | None = None
    warm: int | None = None
    jobs_per_process: int | None = None
    memory_bytes_max: int | None = None
    job_seconds_max: float | None = None
    ping_seconds_max: float | None = None
    stop_seconds_max: float | None = None
    prewarm_seconds_max: float | None = None
    process_wait_seconds_max: float | None = None
    shutdown_seconds_max: float = SHUTDOWN_SECONDS_MAX_DEFAULT
    drain_policy: DrainPolicy = DrainPolicy.WAIT
    drain_seconds_max: float = DRAIN_SECONDS_MAX_DEFAULT
    health_port: int | None = None
    health_host: str = "0.0.0.0"  # probes come from other machines
    instance_id: str = ""
    record_path: Path | None = None
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.AUTO

    def credentials(self) -> Credentials:
        """Where the server is. Raises ConfigError that names what is missing."""
        for option in OPTIONS:
            if option.panel == SERVER_PANEL and not getattr(self, option.name):
                raise ConfigError(
                    f"{option.name} is missing: set {option.env}, or pass {option.flag}"
                    f" or Worker({option.name}=...)"
                )
        return Credentials(self.url, self.api_key, self.api_secret)


def resolve(
    code: Mapping[str, object],
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[str, str] | None = None,
    fallbacks: Mapping[str, object] | None = None,
) -> Settings:
    """The settings of a worker: code, over it the environment, over it the flags.

    LiveKit's own variables come below the code.

    `flags` and `fallbacks` are by option name; a fallback counts where nothing else is said. None
    and empty text say nothing, but in a flag. Raises ConfigError in one line.
    """
    found: dict[str, Any] = {}
    for option in OPTIONS:
        said = code.get(option.name)
        if said is not None and said != "":
            found[option.name] = _checked(option, said, f"Worker({option.name}=...)")
        texts = (
            (environment.get(option.env) or None, option.env),
            ((flags or {}).get(option.name), option.flag),
        )
        for text, source in texts:
            is_default = source == option.env and option.code_comes_first and option.name in found
            if text is not None and not is_default:
                found[option.name] = _checked(option, _read(option, text, source), source)
        if option.name not in found and option.name in (fallbacks or {}):
            found[option.name] = (fallbacks or {})[option.name]
    return Settings(**found)


def check_code(code: Mapping[str, object]) -> None:
    """Refuse what the code alone gets wrong: ConfigError, where the program says it."""
    for option in OPTIONS:
        said = code.get(option.name)
        if said is not None and said != "":
            _checked(option, said, f"Worker({option.name}=...)")


def _read(option: Option, text: str, source: str) -> Any:  # noqa: ANN401
    try:
        return option.read(text)
    except ValueError as error:
        raise _wrong(option, source, error) from None


def _checked(option: Option, value: object, source: str) -> Any:  # noqa: ANN401
    try:
        return option.check(value)
    except (ValueError, TypeError, WireError, ConfigError) as error:
        raise _wrong(option, source, error) from None


def _wrong(option: Option, source: str, error: Exception) -> ConfigError:
    # A check that is shared with the wire names its field; the source does that here.
    text = str(error).removeprefix(f"{option.name} ").removeprefix(f"{option.name}: ")
    return ConfigError(f"{source}: {text}")
