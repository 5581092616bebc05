"""Jobs that were called off with their rule, and that a rule of that name may make anew.

Until such a job has ended there is no other. It has the mark REVOKED (`made_jobs`), so that it is known
after a restart.

Left to others: calling them off (`ordering`, `calling_off`), and making them anew (`ordering`).
"""

from __future__ import annotations

from collections.abc import Container

from dispatcher.core.events import OrderedJob
from dispatcher.core.live_jobs import OrderKey
from dispatcher.core.made_jobs import REVOKED, remark
from dispatcher.core.room_states import Place
from dispatcher.core.rooms import Rooms


class RevokedJobs:
    """The jobs that were called off with their rule and have not ended, and whose they are."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._places: dict[str, Place] = {}

    def __len__(self) -> int:
        return len(self._places)

    def add(self, key: OrderKey, job_ids: Container[str]) -> None:
        """These jobs of an order are called off with it."""
        project, order = key
        for room in self._rooms.of_project(project):
            for member, made in room.subjects():
                if made.get(order) in job_ids:
                    self._places[made[order]] = room.key, member.subject if member else None
                    made[order] = REVOKED + made[order]
                    self._rooms.touch(room, member)

    def ended(self, job: OrderedJob) -> Place | None:
        """A job has ended; returns for whom there may be another now, if it was called off."""
        place = self._places.pop(job.id, None)
        if place is None or not remark(self._rooms, place, job.order, REVOKED + job.id, ""):
            return None
        return place

    def recover(self, live: Container[str]) -> list[str]:
        """Find the marks of before a restart; returns those jobs that have not ended."""
        for room in self._rooms.rooms.values():
            for member, made in room.subjects():
                for order, text in list(made.items()):
                    job_id = text.removeprefix(REVOKED)
                    if job_id == text:
                        continue
                    if job_id in live:
                        self._places[job_id] = room.key, member.subject if member else None
                    else:
                        del made[order]
                        self._rooms.touch(room, member)
        return list(self._places)
