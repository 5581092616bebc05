"""How calls come: what the processes of callers are told, and when, for each shape.

Times are of CLOCK_MONOTONIC, in nanoseconds. Everything is told a moment ahead, so that each process is
ready when its first call is due.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from worker_sdk.loadtest.profile import Profile, Shape

if TYPE_CHECKING:
    from worker_sdk.loadtest.processes import CrowdProcess

__all__ = ["Calling", "Step", "burst_moments", "ramp_rates", "share"]

_NS = 1_000_000_000
# Between the word and the first call.
AHEAD_SECONDS = 0.3
# Bursts are made ready beforehand; requests that a process makes a second, and a second for connections.
REQUESTS_PER_SECOND = 20_000
CONNECT_SECONDS = 1.0
# A step of a ramp is judged so long after its end, when its jobs are assigned and reported.
JUDGE_AFTER_SECONDS = 1.5
# The next step is told so long before the last one ends.
STEP_AHEAD_SECONDS = 0.3


@dataclass(slots=True)
class Step:
    """One rate of a ramp. `broken` is empty where it held, None while it is not judged."""

    rate: float
    # seconds from the begin of the measuring
    from_second: float
    until_second: float
    broken: str | None = None


def share(whole: int, index: int, parts: int) -> int:
    """What one of several gets of a whole number."""
    return whole * (index + 1) // parts - whole * index // parts


def burst_moments(profile: Profile) -> list[float]:
    """When bursts come, in seconds from the begin; one is warm-up where there is time for it."""
    moments = [-profile.warm_up_seconds] if profile.warm_up_seconds >= 1.0 else []
    at = 0.0
    while at < profile.duration_seconds:
        moments.append(at)
        at += profile.burst_every_seconds
    return moments


def ramp_rates(profile: Profile) -> list[float]:
    """The rates of all steps of a ramp, if none breaks."""
    rates: list[float] = []
    rate = profile.rate
    steps_max = max(1, int(profile.duration_seconds / profile.ramp_step_seconds))
    while len(rates) < steps_max and rate <= profile.rate_max:
        rates.append(rate)
        rate *= profile.ramp_factor
    return rates


class Calling:
    """Has calls made from `begin_ns` on (and before, for the warm-up) until the shape is over."""

    def __init__(
        self, profile: Profile, callers: Sequence[CrowdProcess], judge: Callable[[Step], str]
    ) -> None:
        self._profile = profile
        self._callers = callers
        # Says why a step of a ramp is broken, or nothing.
        self._judge = judge
        self.steps: list[Step] = []
        self.begin_ns = 0
        # How long calls were made, from the begin on.
        self.seconds = 0.0

    def choose_begin(self) -> int:
        """The soonest begin for which everything can be made ready."""
        ahead_seconds = AHEAD_SECONDS
        if self._profile.shape is Shape.BURST:
            ahead_seconds += self._seconds_for_burst()
        ahead_seconds += self._profile.warm_up_seconds
        self.begin_ns = time.monotonic_ns() + round(ahead_seconds * _NS)
        return self.begin_ns

    async def run(self) -> None:
        """Have all calls made."""
        match self._profile.shape:
            case Shape.RATE:
                await self._rate()
            case Shape.BURST:
                await self._bursts()
            case Shape.CLOSED:
                await self._loops()
            case Shape.RAMP:
                await self._ramp()

    def stop(self) -> None:
        """No calls any more."""
        if self.begin_ns:
            now = max(0.0, self._now_second())
            self.seconds = min(now, self.seconds) if self.seconds else now
        self._tell_all({"do": "stop"})

    # ---- shapes ----

    async def _rate(self) -> None:
        profile = self._profile
        self.seconds = profile.duration_seconds
        self._call(-profile.warm_up_seconds, profile.duration_seconds, profile.rate)
        await self._until(profile.duration_seconds)

    async def _bursts(self) -> None:
        profile = self._profile
        self.seconds = profile.duration_seconds
        for second in burst_moments(profile):
            await self._until(second - self._seconds_for_burst())
            for index, process in enumerate(self._callers):
                calls = share(profile.burst_jobs, index, len(self._callers))
                process.tell({"do": "burst", "at_ns": self._at(second), "calls": calls})
        await self._until(profile.duration_seconds)

    async def _loops(self) -> None:
        profile = self._profile
        self.seconds = profile.duration_seconds
        for index, process in enumerate(self._callers):
            process.tell(
                {
                    "do": "loops",
                    "from_ns": self._at(-profile.warm_up_seconds),
                    "until_ns": self._at(profile.duration_seconds),
                    "callers": share(profile.callers, index, len(self._callers)),
                }
            )
        await self._until(profile.duration_seconds)

    async def _ramp(self) -> None:
        profile = self._profile
        length = profile.ramp_step_seconds
        if profile.warm_up_seconds:
            self._call(-profile.warm_up_seconds, 0.0, profile.rate)
        for index, rate in enumerate(ramp_rates(profile)):
            step = Step(rate, index * length, (index + 1) * length)
            await self._until(step.from_second - STEP_AHEAD_SECONDS)
            self._call(step.from_second, step.until_second, rate)
            self.steps.append(step)
            self.seconds = step.until_second
            if index:
                await self._until(self.steps[-2].until_second + JUDGE_AFTER_SECONDS)
                if self._is_broken(self.steps[-2]):
                    # The step that has begun beyond it was never to be.
                    self.steps.pop()
                    self.seconds = self.steps[-1].until_second
                    return
        await self._until(self.steps[-1].until_second + JUDGE_AFTER_SECONDS)
        self._is_broken(self.steps[-1])

    def _is_broken(self, step: Step) -> bool:
        step.broken = self._judge(step)
        return bool(step.broken)

    # ---- the processes ----

    def _call(self, from_second: float, until_second: float, rate: float) -> None:
        segment = [self._at(from_second), self._at(until_second), rate]
        self._tell_all({"do": "calls", "segments": [segment]})

    def _tell_all(self, message: dict[str, Any]) -> None:
        for process in self._callers:
            process.tell(message)

    def _seconds_for_burst(self) -> float:
        calls = share(self._profile.burst_jobs, 0, len(self._callers)) + 1
        return CONNECT_SECONDS + calls / REQUESTS_PER_SECOND

    # ---- time ----

    def _at(self, second: float) -> int:
        return self.begin_ns + round(second * _NS)

    def _now_second(self) -> float:
        return (time.monotonic_ns() - self.begin_ns) / _NS

    async def _until(self, second: float) -> None:
        # A sleep may be over a moment early.
        while (left_seconds := second - self._now_second()) > 0.0:  # noqa: ASYNC110
            await anyio.sleep(left_seconds)
