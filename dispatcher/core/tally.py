"""What the engine has counted since it was made: plain numbers, for who looks from outside.

They only grow, and nothing is decided by them. Left to others: moves of jobs, which are told when they
are durable (`runtime.Witness`), and what is made of the numbers (`dispatcher.metrics`).
"""

from __future__ import annotations


class Tally:
    """The numbers. Each offer that was made is accepted, terminated or over, or still waits."""

    __slots__ = (
        "cancelled_waiting",
        "offers_accepted",
        "offers_declined",
        "offers_lapsed",
        "offers_made",
        "offers_over",
        "offers_terminated",
    )

    def __init__(self) -> None:
        self.offers_made = 0
        # in time: one that comes after its offer has lapsed is not counted again
        self.offers_accepted = 0
        # the answer said that the job is not to be run at all
        self.offers_terminated = 0
        # ended without an assignment: declined, lapsed, or withdrawn for another reason
        self.offers_over = 0
        self.offers_declined = 0
        self.offers_lapsed = 0
        # jobs that the store cancelled where they were queued, without a move of ours
        self.cancelled_waiting = 0

    @property
    def offers_pending(self) -> int:
        """Offers that wait for their answer."""
        ended = self.offers_accepted + self.offers_terminated + self.offers_over
        return self.offers_made - ended
