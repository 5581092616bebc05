"""`callboard job`: the jobs of all rooms, what became of one, why it waits, and its end."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from dispatcher.cli.blocks import print_fields, print_table
from dispatcher.cli.connection import (
    DevOption,
    JsonOption,
    KeyOption,
    SecretOption,
    UrlOption,
    ask,
    phases_named,
    some_pages,
)
from dispatcher.cli.failures import missing_is
from dispatcher.cli.output import (
    NS_PER_SECOND,
    ago,
    as_json,
    clock,
    hint_at_more,
    job_type_name,
    print_json,
    span,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from protocol import api_pb2
    from worker_sdk.client import DispatchClient

app = typer.Typer(help="List, show, explain and end jobs.")

METADATA_CHARACTERS_SHOWN = 500
PHASES = "delayed, queued, offered, assigned, running, orphaned, succeeded, failed, cancelled"


@app.command("list")
def list_(
    phase: Annotated[
        list[str] | None,
        typer.Option("--phase", metavar="PHASE", help=f"May be repeated: {PHASES}."),
    ] = None,
    agent_name: Annotated[
        str, typer.Option("--agent-name", "-a", metavar="NAME", help="Only this agent's.")
    ] = "",
    room: Annotated[
        str, typer.Option("--room", "-r", metavar="NAME", help="Only this room's.")
    ] = "",
    worker: Annotated[
        str, typer.Option("--worker", metavar="ID", help="Only those held by this worker.")
    ] = "",
    dispatch: Annotated[
        str, typer.Option("--dispatch", metavar="ID", help="Only this dispatch's.")
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many.")
    ] = 100,
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """List jobs, newest first."""
    from protocol import api_pb2

    phases = phases_named("--phase", api_pb2.JobPhase.items(), phase or [])

    async def call(client: DispatchClient) -> tuple[list[api_pb2.JobRecord], bool]:
        async def fetch(size: int, token: str) -> tuple[Iterable[api_pb2.JobRecord], str]:
            page = await client.list_jobs(
                phases=phases,
                agent_name=agent_name,
                room=room,
                worker_id=worker,
                dispatch_id=dispatch,
                page_size=size,
                page_token=token,
            )
            return page.jobs, page.next_page_token

        return await some_pages(fetch, limit)

    jobs, is_cut = ask(call, url, api_key, api_secret, dev)
    if is_cut:
        sys.stderr.write(hint_at_more(len(jobs), True)[0] + "\n")
    if json:
        print_json({"jobs": [as_json(job) for job in jobs]})
        return
    rows = [
        [
            record.job.id,
            record.job.room.name,
            record.job.agent_name or "-",
            _phase(record.phase),
            str(record.attempt),
            record.worker_id or "-",
            ago(record.created_at),
            note(record),
        ]
        for record in jobs
    ]
    columns = ["id", "room", "agent", "phase", "attempt", "worker", "created", "note"]
    spare = ["worker", "created", "agent", "attempt"]
    print_table(columns, rows, "no jobs", phase="phase", spare=spare)


@app.command("show")
def show(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="The job, AJ_...")],
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Show a job and its timeline: one line for each durable move."""

    async def call(client: DispatchClient) -> api_pb2.JobRecord:
        with missing_is(_no_job(job_id)):
            return await client.get_job(job_id)

    record = ask(call, url, api_key, api_secret, dev)
    if json:
        print_json(as_json(record))
        return
    from protocol.wire_pb2 import JobRestartPolicy

    job = record.job
    print_fields(
        {
            "id": job.id,
            "made by": made_by(record),
            "dispatch": job.dispatch_id or "-",
            "room": job.room.name,
            "participant": record.participant_identity or "-",
            "agent": job.agent_name or "-",
            "type": job_type_name(job.type),
            "namespace": record.namespace or "-",
            "deployment": record.deployment or "-",
            "priority": str(record.priority),
            "unique key": record.unique_key or "-",
            "phase": _phase(record.phase),
            "attempt": f"{record.attempt}" + _because(record.attempt_reason),
            "epoch": str(record.epoch),
            "worker": record.worker_id or "-",
            "restart": JobRestartPolicy.Name(record.restart_policy)
            .removeprefix("JRP_")
            .lower()
            .replace("_", "-"),
            "created": f"{clock(record.created_at)} ({ago(record.created_at)})",
            "queue deadline": _queue_deadline(record),
            "metadata": _cut(job.metadata) or "-",
            "attributes": _cut(_pairs(job.attributes)) or "-",
            "error": job.state.error or "-",
        }
    )
    typer.echo()
    rows = [
        [
            clock(event.at),
            event.kind,
            _phase(event.phase),
            str(event.attempt),
            str(event.epoch),
            event.worker_id or "-",
            _texts(event),
        ]
        for event in record.timeline
    ]
    columns = ["at", "event", "phase", "attempt", "epoch", "worker", "note"]
    spare = ["epoch", "attempt", "phase", "worker"]
    print_table(columns, rows, "no events", phase="phase", spare=spare)


@app.command("why")
def why(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="The job, AJ_...")],
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Say why a job waits, with a reason for each worker of its agent; or what became of it."""

    async def call(client: DispatchClient) -> api_pb2.ExplainJobResponse:
        with missing_is(_no_job(job_id)):
            return await client.explain_job(job_id)

    answer = ask(call, url, api_key, api_secret, dev)
    if json:
        print_json(as_json(answer))
        return
    record = answer.job
    fields = {
        "job": f"{record.job.id}, {job_type_name(record.job.type)} of {record.job.room.name}",
        "made by": made_by(record),
        "phase": _phase(record.phase),
        "why": answer.summary,
        "since": f"{clock(answer.since)} ({ago(answer.since)})",
    }
    if answer.until:
        fields["until"] = f"{clock(answer.until)} ({ago(answer.until)})"
    if record.phase in _waiting_for_a_worker():
        fields["lane"] = _lane(record)
        # A job on offer is not among those that wait.
        waiting = max(answer.waiting, answer.position)
        place = f"{answer.position} of {waiting}" if answer.position else f"one of {waiting}"
        fields["place"] = place
    print_fields(fields)
    typer.echo()
    if record.phase in _waiting_for_a_worker():
        rows = [[each.worker_id, each.reason, each.text] for each in answer.workers]
        print_table(["worker", "reason", "why not"], rows, "no worker of this agent is connected")
        if answer.workers_left_out:
            typer.echo(
                f"and {answer.workers_left_out} more workers: callboard worker list", err=True
            )
        if len(record.timeline) == 1:
            return
        typer.echo()
    told = ((event, event.told) for event in record.timeline)
    rows = [[clock(event.at), words, _texts(event, words)] for event, words in told]
    print_table(["at", "what happened", "note"], rows, "no events")


@app.command("terminate")
def terminate(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="The job, AJ_...")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Kept in the job's timeline.")
    ] = "",
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """End a job for good, wherever it is: its worker is told to stop, and nothing makes it anew.

    One that has ended already stays as it is, which is no error.
    """

    async def call(client: DispatchClient) -> api_pb2.JobRecord:
        with missing_is(_no_job(job_id)):
            return await client.terminate_job(job_id, reason)

    record = ask(call, url, api_key, api_secret, dev)
    if json:
        print_json(as_json(record))
        return
    typer.echo(f"{record.job.id} {_phase(record.phase)}: {note(record)}")


def _no_job(job_id: str) -> str:
    return f"there is no job {job_id}; ended ones are kept for a time only"


def made_by(record: api_pb2.JobRecord) -> str:
    """Return what made a job, for a person; its dispatch has a field of its own."""
    match record.made_by:
        case "rule":
            return f"rule {record.rule}"
        case "automatic":
            return "automatic dispatch to unnamed workers"
        case "bridge":
            return f"the SFU, dispatch {record.sfu_dispatch_id}"
        case "worker":
            return "a worker, for itself"
        case _:
            return record.made_by or "-"


def _lane(record: api_pb2.JobRecord) -> str:
    parts = [f"agent {record.job.agent_name or '(unnamed)'}", job_type_name(record.job.type)]
    parts += [f"namespace {record.namespace}"] if record.namespace else []
    parts += [f"deployment {record.deployment}"] if record.deployment else []
    return ", ".join(parts)


def _waiting_for_a_worker() -> frozenset[int]:
    from protocol.api_pb2 import OFFERED, QUEUED

    return frozenset((QUEUED, OFFERED))


def _queue_deadline(record: api_pb2.JobRecord) -> str:
    """Return for how long the job may be queued, and until when, while it is."""
    length = span(record.queue_deadline_seconds)
    if not record.queue_deadline_at:
        return length
    return f"{clock(record.queue_deadline_at)} ({ago(record.queue_deadline_at)}), after {length}"


def _pairs(texts: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={texts[name]}" for name in sorted(texts))


def _texts(event: api_pb2.JobEvent, words: str = "") -> str:
    """Return what an event says of itself, but what `words` beside it say already."""
    detail = "" if event.detail in words else event.detail
    return "; ".join(text for text in (event.reason, event.error, detail) if text) or "-"


def _phase(number: api_pb2.JobPhase) -> str:
    from protocol.api_pb2 import JobPhase

    return JobPhase.Name(number).lower()


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _cut(text: str) -> str:
    more = len(text) - METADATA_CHARACTERS_SHOWN
    return (
        f"{text[:METADATA_CHARACTERS_SHOWN]}... {more} more; --json has all" if more > 0 else text
    )


def note(record: api_pb2.JobRecord) -> str:
    """Return what is worth saying of a job in a list."""
    from protocol.api_pb2 import CANCELLED
    from protocol.wire_pb2 import JobStateReason

    if record.job.state.error:
        return record.job.state.error
    if record.phase == CANCELLED:
        reason = record.job.state.reason
        named = JobStateReason.Name(reason).removeprefix("JSR_").lower() if reason else ""
        return record.detail or named.replace("_", " ") or "cancelled"
    return _deadline_told(record) or record.attempt_reason or "-"


def _deadline_told(record: api_pb2.JobRecord) -> str:
    from protocol.api_pb2 import DELAYED, ORPHANED

    left = (record.until_at - time.time_ns()) / NS_PER_SECOND
    if not record.until_at or record.phase not in (DELAYED, ORPHANED):
        return ""
    if record.phase == DELAYED:
        return f"queued in {span(left)}" if left > 0 else "queued now"
    return f"waits {span(left)} more for its worker" if left > 0 else "its worker did not come back"
