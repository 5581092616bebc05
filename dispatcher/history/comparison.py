"""What a store keeps, held against its log and against itself, in SQL: each page of one moment.

Who deletes by pruning notes in `counter`, in the same transaction, which numbers had been given out:
a row of a higher number was never pruned, so one that is missing has vanished. Below that, ended
jobs are pruned in the order of their ends: a later one does not go before an earlier one. What
neither tells may have been pruned, and is counted as not judged.

Pages are transactions of their own, so that a server's log of recent writes can be cut meanwhile; the
server may move jobs between them. Left to others: the file (`folder`), what is read of the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from google.protobuf.message import DecodeError

from dispatcher.core.jobs import SECOND, RestartPolicy
from dispatcher.core.lifecycle import ENDED, JobPhase
from dispatcher.history.evidence import Comparison, Contradiction, Numbers
from protocol import wire_pb2

CONTRADICTIONS_MAX = 100
EVENTS_A_PAGE = 10_000
# of rows with what callers sent, which may be large
CONFIGS_A_PAGE = 500
# Ends that the log has so far apart were not in one commit, and their order is that of the clock.
_APART = 30 * SECOND

EVENT_PRUNED = "its last event was pruned"
JOB_PRUNED = "it is not in the store, and may have been pruned"

_PRUNED = "ifnull((SELECT value FROM counter WHERE name = '{}'), 0)"
_PRUNED_EVENTS = _PRUNED.format("event")
NUMBERS = (
    "SELECT ifnull(min(sequence), 0), ifnull(max(sequence), 0),"  # noqa: S608 - our own names
    f" max(ifnull((SELECT max(last_event) FROM job_state), 0), {_PRUNED_EVENTS}), {_PRUNED_EVENTS}"
    " FROM event"
)
# each job, what is kept of it in four tables, and how far the log goes back
JOBS = (
    "SELECT j.number, j.id, j.project, j.agent_name, j.room, j.deployment, j.restart_policy,"  # noqa: S608
    " j.config, j.dispatch, s.ended, s.participant_identity, s.last_event, e.job_id, e.dispatch_id,"
    " e.project, s.phase, s.epoch, s.attempt, s.worker_id, s.reason, s.error, e.phase, e.epoch,"
    " e.attempt, e.worker_id, e.reason, e.error, d.id, d.project, d.agent_name, d.room, d.deployment,"
    " d.restart_policy, d.config,"
    f" ifnull((SELECT min(sequence) FROM event), 0), {_PRUNED_EVENTS}"
    " FROM job j LEFT JOIN job_state s ON s.job = j.number"
    " LEFT JOIN event e ON e.sequence = s.last_event"
    " LEFT JOIN dispatch d ON d.number = j.dispatch"
    " WHERE j.number > ? ORDER BY j.number LIMIT ?"
)
DISPATCHES = (
    "SELECT number, id, agent_name, room, deployment, restart_policy, config FROM dispatch"
    " WHERE number > ? ORDER BY number LIMIT ?"
)
STATES_WITHOUT_JOB = (
    "SELECT s.job, s.phase, ifnull(e.job_id, '') FROM job_state s LEFT JOIN event e"
    " ON e.sequence = s.last_event LEFT JOIN job j ON j.number = s.job WHERE j.number IS NULL LIMIT ?"
)
_ENDED = ", ".join(f"'{phase.value}'" for phase in sorted(ENDED))
# ends of jobs that are not kept; and the first end, of those that are, that pruning would take
ENDS_WITHOUT_JOB = (
    "WITH oldest AS MATERIALIZED (SELECT s.last_event AS sequence, ifnull(e.at, s.ended_at) AS at"  # noqa: S608
    " FROM job_state s LEFT JOIN event e ON e.sequence = s.last_event WHERE s.ended = 1"
    " ORDER BY s.ended_at, s.job LIMIT 1)"
    " SELECT e.sequence, e.job_id, e.phase, e.at, ifnull((SELECT sequence FROM oldest), 0),"
    f" ifnull((SELECT at FROM oldest), 0), {_PRUNED_EVENTS}"
    " FROM event e LEFT JOIN job j ON j.id = e.job_id"
    f" WHERE e.sequence > ? AND e.sequence <= ? AND e.phase IN ({_ENDED}) AND j.number IS NULL"
)
# of rows that were never pruned: how many there are, the highest number, and after which they begin
UNPRUNED = {
    table: (
        f"SELECT count(t.number), ifnull(max(t.number), 0), p.number FROM (SELECT"  # noqa: S608
        f" {_PRUNED.format(table)} AS number) p LEFT JOIN {table} t ON t.number > p.number"
    )
    for table in ("job", "dispatch")
}

# phases in which a worker has it, and its participant an identity
_AT_WORK = frozenset({JobPhase.ASSIGNED, JobPhase.RUNNING})

Sent = TypeVar("Sent", wire_pb2.Job, wire_pb2.AgentDispatch)
Rows = Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]]


class _Told(NamedTuple):
    """What a state and its event both say. `reason` is the number of a JobStateReason."""

    phase: str | None
    epoch: int
    attempt: int
    worker_id: str
    reason: int
    error: str

    def __str__(self) -> str:
        return f"{self.phase} at epoch {self.epoch}"


class _Job(NamedTuple):
    """A row of JOBS."""

    number: int
    id: str
    project: str
    agent_name: str
    room: str
    deployment: str
    restart_policy: int
    config: bytes
    dispatch: int | None
    is_ended: int
    identity: str
    last_event: int
    event_job: str | None
    event_dispatch: str
    event_project: str
    state: _Told
    event: _Told
    dispatch_id: str | None
    asked_project: str
    asked_agent: str
    asked_room: str
    asked_deployment: str
    asked_policy: int
    asked_config: bytes
    log_from: int
    pruned: int


_STATE = _Job._fields.index("state")


def _job_of(row: tuple[Any, ...]) -> _Job:
    told = len(_Told._fields)
    state, event = _STATE + told, _STATE + 2 * told
    both = _Told(*row[_STATE:state]), _Told(*row[state:event])
    return _Job._make((*row[:_STATE], *both, *row[event:]))


def numbers(rows: Rows) -> Numbers:
    """Return from where to where the log goes, and what else knows of its numbers."""
    return Numbers(*rows(NUMBERS, ())[0])


def compare(rows: Rows) -> Comparison:
    """Compare all that is kept. `rows` answers one statement, in a transaction of its own."""
    return _Comparing(rows).all()


class _Comparing:
    """One comparison."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._compared = 0
        self._found: list[Contradiction] = []
        self._unjudged: Counter[str] = Counter()

    def all(self) -> Comparison:
        """Compare each table."""
        self._jobs()
        self._dispatches()
        self._ends()
        for number, phase, job_id in self._rows(STATES_WITHOUT_JOB, (CONTRADICTIONS_MAX,)):
            what = f"the store has the state of job number {number}, {phase}, and no such job"
            self._blame(job_id, what)
        for table, sql in UNPRUNED.items():
            there, last, pruned = self._rows(sql, ())[0]
            if last - pruned > there:
                self._blame("", _missing(table, there, last, pruned))
        return Comparison(self._compared, tuple(self._found), dict(self._unjudged))

    def _blame(self, job_id: str, what: str) -> None:
        if len(self._found) < CONTRADICTIONS_MAX:
            self._found.append(Contradiction(job_id, what))

    def _jobs(self) -> None:
        """Each job, with its state, its last event and its dispatch."""
        place = 0
        while page := self._rows(JOBS, (place, CONFIGS_A_PAGE)):
            place = page[-1][0]
            for job in map(_job_of, page):
                if what := _in_the_log(job) or _asked(job):
                    self._blame(job.id, what)
                elif job.event_job is None:
                    self._unjudged[EVENT_PRUNED] += 1
                    continue
                self._compared += 1

    def _dispatches(self) -> None:
        """Each dispatch, with what was sent to make it."""
        place = 0
        while page := self._rows(DISPATCHES, (place, CONFIGS_A_PAGE)):
            place = page[-1][0]
            for _, *kept, policy, config in page:
                sent = _parsed(wire_pb2.AgentDispatch, config)
                if sent is None:
                    self._blame("", f"the config of dispatch {kept[0]} cannot be read")
                elif kept != (said := [sent.id, sent.agent_name, sent.room, sent.deployment]):
                    self._blame("", f"dispatch {kept[0]} is for {kept[1:]}, and its config {said}")
                elif policy != sent.restart_policy:
                    asked, has = _policy(sent.restart_policy), _policy(policy)
                    what = f"dispatch {kept[0]} has restart policy {has}, and its config {asked}"
                    self._blame("", what)

    def _ends(self) -> None:
        """Each end in the log, with its job."""
        place, last = 0, numbers(self._rows).last
        while place < last:
            for row in self._rows(ENDS_WITHOUT_JOB, (place, place + EVENTS_A_PAGE)):
                sequence, job_id, phase, at, oldest, oldest_at, pruned = row
                ended = f"ended as {phase} by event {sequence}, and the store does not have it: "
                if sequence > pruned:
                    self._blame(job_id, f"{ended}{_nothing_pruned(pruned)}")
                elif 0 < oldest < sequence and oldest_at + _APART < at:
                    kept = f"that of event {oldest}, which ended before it, is kept"
                    self._blame(job_id, f"{ended}it was not pruned, for {kept}")
                else:
                    self._unjudged[JOB_PRUNED] += 1
                    continue
                self._compared += 1
            place += EVENTS_A_PAGE


def _in_the_log(job: _Job) -> str:
    """Return what does not agree of a job's state and its last event; empty for nothing."""
    state, event = job.state, job.event
    if state.phase is None:
        return "the store has the job, and no state of it"
    last = f"its last event, number {job.last_event},"
    if job.event_job is None:
        if job.last_event > job.pruned or 0 < job.log_from <= job.last_event:
            return f"its last event is number {job.last_event}, and the log has no such event"
    elif job.event_job != job.id:
        return f"its last event is number {job.last_event}, which is of job {job.event_job}"
    elif (state.phase, state.epoch) != (event.phase, event.epoch):
        return f"the store says {state}, and {last} {event}"
    elif state != event:
        name, mine, its = next(
            told for told in zip(_Told._fields, state, event, strict=True) if told[1] != told[2]
        )
        return f"the store says {name} {mine!r}, and {last} {its!r}"
    elif job.project != job.event_project:
        return f"it is of project {job.project!r}, and {last} of {job.event_project!r}"
    if bool(job.is_ended) != (state.phase in ENDED):
        return f"it is {state.phase}, and the store counts it as {_ended(job.is_ended)}"
    if state.phase in _AT_WORK and not job.identity:
        return f"it is {state.phase}, and its participant has no identity"
    if job.dispatch is not None and job.dispatch_id is None:
        return f"its dispatch, number {job.dispatch}, is not in the store"
    if job.event_job is not None and job.event_dispatch != (job.dispatch_id or ""):
        return (
            f"it is of dispatch {job.dispatch_id or 'none'}, and its last event, number"
            f" {job.last_event}, of {job.event_dispatch or 'none'}"
        )
    return ""


def _ended(is_ended: int) -> str:
    return "ended" if is_ended else "not ended"


def _policy(number: int) -> str:
    try:
        return RestartPolicy(number).name
    except ValueError:
        return str(number)


def _asked(job: _Job) -> str:
    """Return what does not agree of a job's config and what it was made of; empty for nothing."""
    config = _parsed(wire_pb2.Job, job.config)
    if config is None:
        return "its config cannot be read"
    if (config.id, config.agent_name) != (job.id, job.agent_name):
        return f"its config is that of job {config.id!r}, agent {config.agent_name!r}"
    if job.dispatch_id is None:
        return ""
    mine = [job.agent_name, job.room, job.deployment]
    asked = [job.asked_agent, job.asked_room, job.asked_deployment]
    if mine != asked:
        return f"it is for {mine}, and its dispatch for {asked}"
    if job.project != job.asked_project:
        return f"it is of project {job.project!r}, and its dispatch of {job.asked_project!r}"
    if job.restart_policy != job.asked_policy:
        has, policy = _policy(job.restart_policy), _policy(job.asked_policy)
        return f"its restart policy is {has}, and that of its dispatch {policy}"
    sent = _parsed(wire_pb2.AgentDispatch, job.asked_config)
    if sent is None:
        return ""  # the dispatch is blamed itself
    if config.dispatch_id != job.dispatch_id:
        return f"it is of dispatch {job.dispatch_id}, and its config of {config.dispatch_id!r}"
    # Neither text is told: it is the caller's.
    if config.metadata != sent.metadata:
        return f"its metadata is not what dispatch {job.dispatch_id} asked for"
    if dict(config.attributes) != dict(sent.attributes):
        return f"its attributes are not what dispatch {job.dispatch_id} asked for"
    return ""


def _parsed(kind: type[Sent], config: bytes) -> Sent | None:
    """Return the message; None for bytes, or a value, that are none."""
    try:
        return kind.FromString(config)
    except (DecodeError, TypeError):
        return None


def _missing(table: str, there: int, last: int, pruned: int) -> str:
    missing = last - pruned - there
    kind = "jobs" if table == "job" else "dispatches"
    return (
        f"of {kind} number {pruned + 1} to {last} the store lacks {missing}:"
        f" {_nothing_pruned(pruned)}"
    )


def _nothing_pruned(pruned: int) -> str:
    return f"nothing was pruned after number {pruned}" if pruned else "nothing was ever pruned"
