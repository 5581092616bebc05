"""What a server is configured with: one frozen tree, made once at start.

Left to others: where the values come from (`sources`), what each one is called (`options`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from dispatcher.bridge.limits import BridgeLimits
from dispatcher.core.jobs import SECOND
from dispatcher.core.policy import Policy
from dispatcher.core.room_states import RoomLimits
from dispatcher.metrics.settings import MetricsSettings
from dispatcher.notifier.limits import NotifierLimits
from dispatcher.room_configurations import RoomConfigurationLimits
from dispatcher.rule_checks import RuleLimits
from dispatcher.runtime import RuntimeLimits
from dispatcher.server.limits import ServerLimits
from dispatcher.sfu.limits import SfuLimits
from dispatcher.store.contract import Retention
from protocol import wire_pb2

DAY_SECONDS = 86_400

# The project of keys that the file does not group: all keys serve one project, as in LiveKit.
DEFAULT_PROJECT = "default"


class LogLevel(StrEnum):
    """The least important event that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a logged event looks."""

    AUTO = "auto"  # for people on a terminal, JSON lines otherwise
    HUMAN = "human"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What belongs to one API key: the secret that signs its tokens, and whom it serves."""

    secret: str = field(repr=False)
    project: str = DEFAULT_PROJECT


@dataclass(frozen=True, slots=True)
class Webhook:
    """Somebody who is told when jobs start and end: those of the project of `key`, which signs."""

    url: str = field(repr=False)  # its query may hold a secret
    key: str


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting of one server. Each field is explained by its row in `options`."""

    # by API key; never empty
    keys: Mapping[str, ApiKey]
    dev: bool = False
    bind: str = "127.0.0.1"
    port: int = 7880
    data_dir: Path = Path("callboard-data")
    # The SFU's address, "" without one; its key and secret, "" where ours open it too.
    room_url: str = ""
    room_key: str = ""
    room_secret: str = field(default="", repr=False)
    # Are we a worker of the SFU's? Then it dispatches, and its jobs are ours. Its worker sockets
    # are at these addresses, one for each of its nodes; empty: room_url.
    bridge: bool = False
    bridge_urls: tuple[str, ...] = ()
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.AUTO
    webhooks: tuple[Webhook, ...] = ()
    notifier: NotifierLimits = NotifierLimits()  # noqa: RUF009 - frozen
    policy: Policy = Policy()  # noqa: RUF009 - frozen
    limits: ServerLimits = ServerLimits()  # noqa: RUF009 - frozen
    runtime: RuntimeLimits = RuntimeLimits()  # noqa: RUF009 - frozen
    rules: RuleLimits = RuleLimits()  # noqa: RUF009 - frozen
    rooms: RoomLimits = RoomLimits()  # noqa: RUF009 - frozen
    # Those of the file, by name; for all projects, not to be changed.
    room_configurations: Mapping[str, wire_pb2.RoomConfiguration] = field(default_factory=dict)
    room_configuration_limits: RoomConfigurationLimits = (
        RoomConfigurationLimits()  # noqa: RUF009 - frozen
    )
    metrics: MetricsSettings = MetricsSettings()  # noqa: RUF009 - frozen
    sfu: SfuLimits = SfuLimits()  # noqa: RUF009 - frozen
    bridging: BridgeLimits = BridgeLimits()  # noqa: RUF009 - frozen
    retention: Retention = Retention(  # noqa: RUF009 - frozen
        ended_jobs_age=7 * DAY_SECONDS * SECOND,
        ended_jobs_max=100_000,
        events_age=7 * DAY_SECONDS * SECOND,
        events_max=1_000_000,
    )

    @property
    def room_project(self) -> str:
        """The project that the SFU's rooms belong to, where it does not say so by its key.

        That of `room_key` if it is one of ours, else the project of the keys that are not grouped,
        else that of the first key.
        """
        projects = {name: key.project for name, key in self.keys.items()}
        if self.room_key in projects:
            return projects[self.room_key]
        if self.room_key and DEFAULT_PROJECT in projects.values():
            return DEFAULT_PROJECT
        return next(iter(projects.values()))
