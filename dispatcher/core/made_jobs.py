"""What is remembered of a subject: which jobs orders made for it, and whether they are its own.

For each order there is the id of a job, which stays also when the job has ended, so that nobody is
called twice. A mark before the id, which outlives a restart with it, says what is special:

- REVOKED: it was called off with its rule; until it has ended there is no other, then the mark goes.
- SHARED: it was made for another subject with the same uniqueness key, and serves this one as well.
- SHARED_OFF: the same, but it was called off: when it has ended, this one is called in its turn.
- UNSERVED: it ended without a worker; when its rule changes, the subject is looked at anew.

Left to others: when a job gets a mark (`ordering`, `revoked_jobs`).
"""

from __future__ import annotations

from collections.abc import Mapping

from dispatcher.core.live_jobs import OrderKey
from dispatcher.core.room_states import Place
from dispatcher.core.rooms import Rooms

REVOKED = "-"
SHARED = "+"
SHARED_OFF = SHARED + REVOKED
UNSERVED = "!"
_MARKS = REVOKED + SHARED + UNSERVED


def id_of(text: str) -> str:
    """Return the job's id, without a mark."""
    return text.lstrip(_MARKS)


def all_ids(made: Mapping[str, str]) -> list[str]:
    """Return the ids of all jobs that were made for a subject, or serve it."""
    return [id_of(text) for text in made.values()]


def own_ids(made: Mapping[str, str]) -> list[str]:
    """Return the ids of a subject's own jobs, which end with it."""
    return [id_of(text) for text in made.values() if text[:1] not in (SHARED, UNSERVED)]


def remark(rooms: Rooms, place: Place, order: str, before: str, after: str) -> bool:
    """Change what stands for an order at a place from `before` to `after`; empty: nothing.

    Returns False, and does nothing, if nobody is there or something else stands there.
    """
    found = rooms.at(place)
    if found is None:
        return False
    room, member = found
    for subject in (None, member) if member is not None else (None,):
        made = room.jobs if subject is None else subject.jobs
        if made.get(order) == before:
            if after:
                made[order] = after
            else:
                del made[order]
            rooms.touch(room, subject)
            return True
    return False


def forget_unserved(rooms: Rooms, key: OrderKey) -> None:
    """Forget an order's jobs that ended without a worker, with all whom they were to serve."""
    project, order = key
    for room in rooms.of_project(project):
        for member, made in room.subjects():
            if made.get(order, "").startswith(UNSERVED):
                del made[order]
                rooms.touch(room, member)
