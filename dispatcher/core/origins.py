"""What made a job, read from the job itself: a rule, a dispatch, the SFU through the bridge.

Left to others: the words of `Job.order`, which those write who make jobs (`drafting`, `bridged`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dispatcher.core.bridged import BRIDGE_ORDER
from dispatcher.core.drafting import AUTOMATIC_ORDER, RULE_ORDER


class Maker(StrEnum):
    """What makes jobs. The value is the API's."""

    RULE = "rule"
    AUTOMATIC = "automatic"  # the built-in rule that calls unnamed workers
    BRIDGE = "bridge"  # the SFU asked for it
    DISPATCH = "dispatch"
    WORKER = "worker"  # a worker asked for it itself (simulate_job)


@dataclass(frozen=True, slots=True)
class Origin:
    """What made a job; `name` is the rule's, or the id of the dispatch (the SFU's, of a call)."""

    maker: Maker
    name: str = ""

    @property
    def rule(self) -> str:
        """The rule's name, empty where none made it."""
        return self.name if self.maker is Maker.RULE else ""

    def told(self) -> str:
        """Say it in a few words."""
        match self.maker:
            case Maker.RULE:
                return f"rule {self.name!r}"
            case Maker.AUTOMATIC:
                return "the automatic dispatch to unnamed workers"
            case Maker.BRIDGE:
                return f"the SFU's dispatch {self.name}, through the bridge"
            case Maker.DISPATCH:
                return f"dispatch {self.name}"
            case Maker.WORKER:
                return "a worker, for itself"


def origin_of(order: str, dispatch_id: str) -> Origin:
    """Return what made the job of this order (`Job.order`) and dispatch."""
    if order.startswith(RULE_ORDER):
        return Origin(Maker.RULE, order.removeprefix(RULE_ORDER))
    if order.startswith(BRIDGE_ORDER):
        return Origin(Maker.BRIDGE, order.removeprefix(BRIDGE_ORDER))
    if order.startswith(AUTOMATIC_ORDER):
        return Origin(Maker.AUTOMATIC)
    if dispatch_id:
        return Origin(Maker.DISPATCH, dispatch_id)
    return Origin(Maker.WORKER)
