"""What a receiver is told of one row of the event log: LiveKit's WebhookEvent as JSON.

`agent_job_started` when a worker has taken the job (each time that one does: a retry starts anew),
`agent_job_ended` when it has ended for good. A row is told with the job's state as of that row, and
under an id that is the row's, so that a receiver knows what it has been told before.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from google.protobuf import json_format

from dispatcher.core.jobs import SECOND, Job, JobState, JobStateReason, Lane, Nanoseconds
from dispatcher.core.lifecycle import JobTrigger
from dispatcher.server.wire_jobs import fill_job_for_worker
from dispatcher.store.contract import EventRow, StoredJob
from protocol import wire_pb2
from protocol.tokens import mint

CONTENT_TYPE = "application/webhook+json"
TOKEN_LIFE_SECONDS = 300.0


class NoticeKind(StrEnum):
    """WebhookEvent's `event`."""

    STARTED = "agent_job_started"
    ENDED = "agent_job_ended"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell."""

    id: str
    kind: NoticeKind
    job_id: str
    body: bytes

    def headers(self, api_key: str, secret: str, now: Nanoseconds) -> dict[str, str]:
        """Return the headers of a delivery: a token of the body's hash, as LiveKit signs it."""
        digest = base64.b64encode(hashlib.sha256(self.body).digest()).decode()
        token = mint(api_key, secret, {"sha256": digest}, now, TOKEN_LIFE_SECONDS)
        return {"Authorization": token, "Content-Type": CONTENT_TYPE, "User-Agent": "callboard"}


def kind_of(row: EventRow) -> NoticeKind | None:
    """Return what the row may be told as; None for what nobody is told.

    A claim tells that the job started only where nothing before it did (`starts`).
    """
    if row.phase.is_ended:
        return NoticeKind.ENDED
    if row.trigger in (JobTrigger.OFFER_ACCEPTED, JobTrigger.CLAIMED):
        return NoticeKind.STARTED
    return None


def starts(row: EventRow, timeline: Iterable[EventRow]) -> bool:
    """Is this the first row which says that a worker has the job, at this epoch?

    A worker that was offered a job when the server was killed may have it without an assignment in
    the log; and each reconnection is a claim.
    """
    return not any(
        earlier.sequence < row.sequence
        and earlier.epoch == row.epoch
        and kind_of(earlier) is NoticeKind.STARTED
        for earlier in timeline
    )


def make_notice(
    kind: NoticeKind, row: EventRow, stored: StoredJob | None, dropped: int = 0
) -> Notice:
    """Make what is told of the row. `stored` None: the job was pruned, and its ids are what is left.

    `dropped` is how many notices before this one the receiver will never get.
    """
    event = wire_pb2.WebhookEvent(
        event=kind.value,
        id=f"EV_{row.job_id.removeprefix('AJ_')}_{row.sequence}",
        created_at=row.at // SECOND,
        num_dropped=dropped,
    )
    if stored is None:
        fill_job_for_worker(event.job, _what_is_left(row), _state_at(row, JobState(row.phase)))
    else:
        fill_job_for_worker(event.job, stored.job, _state_at(row, stored.state))
        event.room.CopyFrom(event.job.room)
    body = json_format.MessageToJson(event, indent=None).encode()
    return Notice(event.id, kind, row.job_id, body)


def _what_is_left(row: EventRow) -> Job:
    config = wire_pb2.Job(id=row.job_id, dispatch_id=row.dispatch_id).SerializeToString()
    return Job(row.job_id, row.dispatch_id, Lane(row.project, ""), "", config, created_at=0)


def _state_at(row: EventRow, state: JobState) -> JobState:
    """Return the state that the row wrote, from the job's newest one."""
    if state.phase.is_ended and row.phase.is_ended and state.updated_at:
        return state
    same_holder = state.epoch == row.epoch
    return replace(
        state,
        phase=row.phase,
        epoch=row.epoch,
        attempt=row.attempt,
        worker_id=row.worker_id,
        participant_identity=state.participant_identity if same_holder else "",
        reason=JobStateReason[row.reason] if row.reason else JobStateReason.UNSPECIFIED,
        error=row.error,
        # When it was taken: a worker may say only later that it runs, or never.
        started_at=0 if row.phase.is_ended else row.at,
        ended_at=row.at if row.phase.is_ended else 0,
        updated_at=row.at,
    )
