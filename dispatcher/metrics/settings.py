"""Who may read metrics, and how many series there are at most."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class MetricsAccess(StrEnum):
    """Who may read /metrics and /scaling without a token."""

    LOCAL = "local"  # programs on this machine
    TOKEN = "token"  # noqa: S105 - a word; nobody
    OPEN = "open"  # whoever reaches the port


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Each field is explained by its row in `config.options`."""

    access: MetricsAccess = MetricsAccess.LOCAL
    # what opens both, as a bearer token or as the password of basic auth; "": nothing does
    token: str = field(default="", repr=False)
    # Agents (with namespace and deployment) that have series of their own; the others share one.
    agents_max: int = 100
    # An agent of which nothing is left is shown with zeros for so long, so that alerts see them.
    agent_memory_seconds: float = 3600.0
    # How long a reader waits for the store to tell how long jobs have waited. A store that hangs is
    # no reason to tell nothing.
    store_timeout_seconds: float = 0.5
