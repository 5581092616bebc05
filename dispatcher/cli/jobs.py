"""`callboard job`: the jobs of all rooms, what became of one, why it waits, and its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from dispatcher.cli import completing
from dispatcher.cli.blocks import GAP, Block, Fields, Lines, Table, View
from dispatcher.cli.connection import (
    AllOption,
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
from dispatcher.cli.help_texts import examples
from dispatcher.cli.naming import AgentFilterOption
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
from dispatcher.cli.timeline import Timeline, phase_name
from dispatcher.cli.watching import (
    INTERVAL_SECONDS,
    IntervalOption,
    Manner,
    Shown,
    WatchOption,
    present,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from protocol import api_pb2
    from worker_sdk.client import DispatchClient

app = typer.Typer(help="List, show, explain and end jobs.")

METADATA_CHARACTERS_SHOWN = 500
WORKERS_EXPLAINED = 20
PHASES = (
    "delayed", "queued", "offered", "assigned", "running", "orphaned", "succeeded", "failed",
    "cancelled",
)  # fmt: skip

IdArgument = Annotated[
    str,
    typer.Argument(metavar="ID", help="The job, AJ_...", autocompletion=completing.job_ids),
]


@app.command(
    "list",
    epilog=examples(
        ("callboard job list --phase queued --watch", "what waits, until Ctrl-C"),
        ("callboard job list --phase failed --json | jq -r '.jobs[].job.id'", "for a program"),
        ("callboard job list --worker AW_... --all", "all that a worker has or had last"),
    ),
)
def list_(
    phase: Annotated[
        list[str] | None,
        typer.Option(
            "--phase",
            metavar="PHASE",
            help=f"May be repeated: {', '.join(PHASES)}.",
            autocompletion=completing.words(*PHASES),
        ),
    ] = None,
    agent_name: AgentFilterOption = "",
    room: Annotated[
        str,
        typer.Option(
            "--room",
            "-r",
            metavar="NAME",
            help="Only this room's.",
            autocompletion=completing.rooms_of_jobs,
        ),
    ] = "",
    worker: Annotated[
        str,
        typer.Option(
            "--worker",
            metavar="ID",
            help="Only those held by this worker.",
            autocompletion=completing.worker_ids,
        ),
    ] = "",
    dispatch: Annotated[
        str,
        typer.Option(
            "--dispatch",
            metavar="ID",
            help="Only this dispatch's.",
            autocompletion=completing.dispatches_of_jobs,
        ),
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many.")
    ] = 100,
    all_: AllOption = False,
    watch: WatchOption = False,
    interval: IntervalOption = INTERVAL_SECONDS,
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

        return await some_pages(fetch, None if all_ else limit)

    shown = Shown(
        call,
        lambda found: _list_view(*found),
        lambda found: {"jobs": [as_json(job) for job in found[0]]},
    )
    present(shown, Manner(json, interval if watch else None), url, api_key, api_secret, dev)


@app.command("show")
def show(
    job_id: IdArgument,
    watch: WatchOption = False,
    interval: IntervalOption = INTERVAL_SECONDS,
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Show a job and its timeline.

    --watch ends when the job has ended.
    """

    async def call(client: DispatchClient) -> api_pb2.JobRecord:
        with missing_is(_no_job(job_id)):
            return await client.get_job(job_id)

    shown = Shown(call, _show_view, as_json, _has_ended)
    present(shown, Manner(json, interval if watch else None), url, api_key, api_secret, dev)


@app.command(
    "why",
    epilog=examples(
        ("callboard job why AJ_... --watch", "until it has ended"),
        ("callboard job why AJ_... --json | jq .counts", "workers by reason"),
    ),
)
def why(
    job_id: IdArgument,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            metavar="N",
            min=1,
            help="Tell of at most so many workers; all are counted.",
        ),
    ] = WORKERS_EXPLAINED,
    watch: WatchOption = False,
    interval: IntervalOption = INTERVAL_SECONDS,
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Say why a job waits, worker by worker; or what became of it.

    --watch ends when the job has ended.
    """

    async def call(client: DispatchClient) -> api_pb2.ExplainJobResponse:
        with missing_is(_no_job(job_id)):
            return await client.explain_job(job_id, workers_max=workers)

    shown = Shown(call, _why_view, as_json, lambda answer: _has_ended(answer.job))
    present(shown, Manner(json, interval if watch else None), url, api_key, api_secret, dev)


@app.command("terminate")
def terminate(
    job_id: IdArgument,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Kept in the job's timeline.")
    ] = "",
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """End a job for good, wherever it is.

    Its worker is told to stop, and nothing makes it anew. One that has ended already stays as it is, which is no error.
    """

    async def call(client: DispatchClient) -> api_pb2.JobRecord:
        with missing_is(_no_job(job_id)):
            return await client.terminate_job(job_id, reason)

    record = ask(call, url, api_key, api_secret, dev)
    if json:
        print_json(as_json(record))
        return
    typer.echo(end_told(record))


def end_told(record: api_pb2.JobRecord) -> str:
    """Return what became of a job that was to be ended: it may have ended by itself before."""
    from protocol.api_pb2 import FAILED, SUCCEEDED

    phase = phase_name(record.phase)
    if record.phase in (SUCCEEDED, FAILED):
        error = f": {record.job.state.error}" if record.job.state.error else ""
        return f"{record.job.id} had ended before, {phase}{error}"
    return f"{record.job.id} {phase}: {note(record)}"


def _no_job(job_id: str) -> str:
    return f"there is no job {job_id}; ended ones are kept for a time only"


# ---- how jobs look ----


def _list_view(jobs: Sequence[api_pb2.JobRecord], is_cut: bool) -> View:
    rows = [
        [
            record.job.id,
            record.job.room.name,
            record.job.agent_name or "-",
            phase_name(record.phase),
            str(record.attempt),
            record.worker_id or "-",
            ago(record.created_at),
            note(record),
        ]
        for record in jobs
    ]
    columns = ["id", "room", "agent", "phase", "attempt", "worker", "created", "note"]
    spare = ["worker", "attempt", "created", "agent"]
    return View(
        [Table(columns, rows, "no jobs", phase="phase", spare=spare)],
        hint_at_more(len(jobs), is_cut),
    )


def _show_view(record: api_pb2.JobRecord) -> View:
    from protocol.wire_pb2 import JobRestartPolicy

    job = record.job
    fields = {
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
        "phase": phase_name(record.phase),
        "attempt": f"{record.attempt}" + _because(record.attempt_reason),
        "epoch": str(record.epoch),
        "worker": record.worker_id or "-",
        "restart": JobRestartPolicy.Name(record.restart_policy)
        .removeprefix("JRP_")
        .lower()
        .replace("_", "-"),
        "created": moment(record.created_at),
        "queue deadline": _queue_deadline(record),
        "metadata": _cut(job.metadata) or "-",
        "attributes": _cut(_pairs(job.attributes)) or "-",
        "error": job.state.error or "-",
    }
    return View([Fields(fields), GAP, Timeline(record.timeline, time.time_ns())])


def _why_view(answer: api_pb2.ExplainJobResponse) -> View:
    record = answer.job
    fields = {
        "job": f"{record.job.id}, {job_type_name(record.job.type)} of {record.job.room.name}",
        "made by": made_by(record),
        "phase": phase_name(record.phase),
        "why": answer.summary,
    }
    if answer.advice:
        fields["what to do"] = answer.advice
    fields["since"] = moment(answer.since)
    if answer.until:
        fields[_until_name(record.phase)] = moment(answer.until)
    blocks: list[Block] = [Fields(fields)]
    timeline = Timeline(record.timeline, time.time_ns())
    if record.phase not in _waiting_for_a_worker():
        return View([*blocks, GAP, timeline])
    fields["lane"] = _lane(record)
    fields["place"] = _place(answer)
    if answer.none_since:
        fields["no worker"] = _none_since(answer)
    if answer.other_agents:
        others = ", ".join(
            f"{each.workers} of {each.agent_name or '-'}" for each in answer.other_agents
        )
        fields["connected"] = f"workers of other agents: {others}"
    if answer.workers:
        rows = [[each.worker_id, each.text, each.reason] for each in answer.workers]
        columns = ["worker", "why not", "reason"]
        blocks += [GAP, Table(columns, rows, "", folds=("why not",), spare=["reason"])]
    if answer.workers_left_out:
        told = ", ".join(
            f"{each.workers} {each.reason.replace('_', ' ')}" for each in answer.counts
        )
        total = sum(each.workers for each in answer.counts)
        blocks += [
            GAP,
            Lines([f"{answer.workers_left_out} more are not shown; all {total}: {told}"]),
        ]
    if len(record.timeline) > 1:
        blocks += [GAP, timeline]
    return View(blocks)


def moment(at_ns: int) -> str:
    """Return a moment, exactly and by its distance."""
    return f"{clock(at_ns)} ({ago(at_ns)})" if at_ns else "-"


def _until_name(phase: api_pb2.JobPhase) -> str:
    from protocol.api_pb2 import DELAYED, ORPHANED

    return {DELAYED: "queued", ORPHANED: "held until"}.get(phase, "fails")


def _place(answer: api_pb2.ExplainJobResponse) -> str:
    """Return the place of a job in its lane, and why others go before it."""
    if not answer.position:
        return f"one of {answer.waiting}; too many wait to tell which"
    told = f"{answer.position} of {answer.waiting}"
    higher, older = answer.of_higher_priority, answer.position - 1 - answer.of_higher_priority
    before = [f"{higher} of higher priority"] if higher else []
    before += [f"{older} made before it"] if older else []
    verb = "goes" if answer.position == 2 else "go"
    return f"{told}: {' and '.join(before)} {verb} first" if before else f"{told}: the next"


def _none_since(answer: api_pb2.ExplainJobResponse) -> str:
    since = moment(answer.none_since)
    if answer.none_since_start:
        return f"since {since} at least, when the server was started"
    return f"since {since}"


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


def _has_ended(record: api_pb2.JobRecord) -> bool:
    from protocol.api_pb2 import CANCELLED, FAILED, SUCCEEDED

    return record.phase in (SUCCEEDED, FAILED, CANCELLED)


def _queue_deadline(record: api_pb2.JobRecord) -> str:
    """Return for how long the job may be queued, and until when, while it is."""
    length = span(record.queue_deadline_seconds)
    if not record.queue_deadline_at:
        return length
    return f"{moment(record.queue_deadline_at)}, after {length}"


def _pairs(texts: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={texts[name]}" for name in sorted(texts))


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
