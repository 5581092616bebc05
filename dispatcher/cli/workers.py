"""`callboard worker`: who is connected, with which load, and which agents are remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dispatcher.cli import completing
from dispatcher.cli.blocks import GAP, Fields, Table, View, print_table
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
from dispatcher.cli.output import ago, as_json, hint_at_more, job_type_name, print_json
from dispatcher.cli.watching import (
    INTERVAL_SECONDS,
    IntervalOption,
    Manner,
    Shown,
    WatchOption,
    present,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from protocol import api_pb2
    from worker_sdk.client import DispatchClient

app = typer.Typer(help="List, show and drain workers; list the agents they serve.")

PHASES = (
    "connecting", "available", "full", "backed_off", "draining", "stale", "gone", "out_of_service",
)  # fmt: skip

IdArgument = Annotated[
    str,
    typer.Argument(metavar="ID", help="The worker, AW_...", autocompletion=completing.worker_ids),
]


@app.command(
    "list",
    epilog=examples(
        ("callboard worker list --watch", "how they fill and empty"),
        ("callboard worker list --phase stale --phase backed_off", "those that need a look"),
        ("callboard worker list --room call-7", "who is in this room"),
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
            help="Only those with a job of this room.",
            autocompletion=completing.rooms_of_jobs,
        ),
    ] = "",
    dispatch: Annotated[
        str,
        typer.Option(
            "--dispatch",
            metavar="ID",
            help="Only those with a job of this dispatch.",
            autocompletion=completing.dispatches_of_jobs,
        ),
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many.")
    ] = 1000,
    all_: AllOption = False,
    watch: WatchOption = False,
    interval: IntervalOption = INTERVAL_SECONDS,
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """List connected workers, newest first."""
    from protocol import api_pb2

    phases = phases_named("--phase", api_pb2.WorkerPhase.items(), phase or [])

    async def call(client: DispatchClient) -> tuple[list[api_pb2.WorkerRecord], bool]:
        async def fetch(size: int, token: str) -> tuple[Iterable[api_pb2.WorkerRecord], str]:
            page = await client.list_workers(
                phases=phases,
                agent_name=agent_name,
                room=room,
                dispatch_id=dispatch,
                page_size=size,
                page_token=token,
            )
            return page.workers, page.next_page_token

        return await some_pages(fetch, None if all_ else limit)

    shown = Shown(
        call,
        lambda found: _list_view(*found),
        lambda found: {"workers": [as_json(worker) for worker in found[0]]},
    )
    present(shown, Manner(json, interval if watch else None), url, api_key, api_secret, dev)


@app.command("show")
def show(
    worker_id: IdArgument,
    watch: WatchOption = False,
    interval: IntervalOption = INTERVAL_SECONDS,
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Show a connected worker, and the jobs that it has."""

    async def call(client: DispatchClient) -> api_pb2.WorkerRecord:
        with missing_is(_no_worker(worker_id)):
            return await client.get_worker(worker_id)

    shown = Shown(call, _show_view, as_json)
    present(shown, Manner(json, interval if watch else None), url, api_key, api_secret, dev)


def _list_view(workers: Sequence[api_pb2.WorkerRecord], is_cut: bool) -> View:
    rows = [
        [
            worker.id,
            worker.agent_name or "-",
            ",".join(job_type_name(number) for number in worker.types),
            worker.deployment or "-",
            _phase(worker.phase),
            _jobs(worker),
            f"{worker.load_reported:.2f}",
            f"{worker.load_estimated:.2f}",
            worker.address or "-",
            ago(worker.connected_at),
            ago(worker.last_status_at),
            worker.note or "-",
        ]
        for worker in workers
    ]
    columns = ["id", "agent", "types", "deployment", "phase", "jobs", "load", "estimated"]
    columns += ["address", "connected", "last status", "note"]
    spare = ["estimated", "types", "connected", "address", "last status", "deployment", "load"]
    return View(
        [Table(columns, rows, "no workers are connected", phase="phase", spare=spare)],
        hint_at_more(len(workers), is_cut),
    )


def _show_view(worker: api_pb2.WorkerRecord) -> View:
    fields = {
        "id": worker.id,
        "agent": worker.agent_name or "-",
        "types": ", ".join(job_type_name(number) for number in worker.types),
        "namespace": worker.namespace or "-",
        "deployment": worker.deployment or "-",
        "instance": worker.instance_id or "-",
        "version": worker.version or "-",
        "address": worker.address or "-",
        "phase": _phase(worker.phase),
        "note": worker.note or "-",
        "load": f"{worker.load_reported:.2f}, estimated {worker.load_estimated:.2f}",
        "jobs": f"{_jobs(worker)}, {worker.job_count_reported} by its own count",
        "refusals": f"{worker.declines} in a row",
        "left alone": ago(worker.backed_off_until),
        "connected": ago(worker.connected_at),
        "last status": ago(worker.last_status_at),
    }
    jobs = [[job_id] for job_id in worker.job_ids]
    return View([Fields(fields), GAP, Table(["job"], jobs, "it has no jobs")])


@app.command(
    "drain",
    epilog=examples(
        ("callboard worker drain AW_... --hand-over-after 600", "its jobs go to others in 10 min"),
        ("callboard worker show AW_... --watch", "how it empties"),
    ),
)
def drain(
    worker_id: IdArgument,
    hand_over_after: Annotated[
        int,
        typer.Option(
            "--hand-over-after",
            metavar="SECONDS",
            min=0,
            help="Give the jobs that it still has by then to other workers. 0: it keeps them.",
        ),
    ] = 0,
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Take a worker out of service: it gets no more jobs.

    It keeps those that it has, until they end or are handed over, and stays out until it is started
    anew. Said again, it is the last word that holds: without --hand-over-after nothing is handed over.
    """

    async def call(client: DispatchClient) -> api_pb2.WorkerRecord:
        with missing_is(_no_worker(worker_id)):
            return await client.drain_worker(worker_id, hand_over_after)

    worker = ask(call, url, api_key, api_secret, dev)
    if json:
        print_json(as_json(worker))
        return
    typer.echo(drain_told(worker, hand_over_after))


@app.command("served")
def served(
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """List the agents that workers serve, or that are remembered.

    A dispatch of one that is remembered waits for its workers; with the bridge, the SFU offers us its
    jobs. Workers without a name (-) are forgotten by themselves a while after the last one left.
    """

    async def call(client: DispatchClient) -> list[api_pb2.AgentRecord]:
        return await client.list_agents()

    agents = ask(call, url, api_key, api_secret, dev)
    if json:
        print_json({"agents": [as_json(agent) for agent in agents]})
        return
    rows = [
        [
            agent.agent_name or "-",
            ",".join(job_type_name(number) for number in agent.types) or "-",
            ",".join(each or "-" for each in agent.deployments) or "-",
            str(agent.workers),
            ago(agent.served_at) if agent.served_at else "-",
        ]
        for agent in agents
    ]
    columns = ["agent", "types", "deployments", "workers", "told to the SFU"]
    print_table(columns, rows, "no worker was ever here")


@app.command("forget")
def forget(
    agent_name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="The agent; - for workers without a name.",
            autocompletion=completing.agent_names,
        ),
    ],
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Forget an agent whose workers are gone for good.

    Nothing waits for it by itself any longer.
    """
    name = "" if agent_name == "-" else agent_name

    async def call(client: DispatchClient) -> None:
        with missing_is(
            f"there is no agent {agent_name}: `callboard worker served` shows who is remembered"
        ):
            await client.forget_agent(name)

    ask(call, url, api_key, api_secret, dev)
    if json:
        print_json({"agent_name": name})
    else:
        typer.echo(f"{agent_name} is forgotten")


def drain_told(worker: api_pb2.WorkerRecord, hand_over_seconds: int) -> str:
    """Return what becomes of a worker that was taken out of service, and of its jobs."""
    told = f"{worker.id} gets no more jobs; it has"
    if not worker.jobs_held:
        return f"{told} none"
    jobs = "1 job" if worker.jobs_held == 1 else f"{worker.jobs_held} jobs"
    if hand_over_seconds:
        return f"{told} {jobs}, to go to others after {hand_over_seconds} s"
    return f"{told} {jobs}, to stay there until the end"


def _no_worker(worker_id: str) -> str:
    return f"there is no worker {worker_id}: `callboard worker list` shows who is here"


def _jobs(worker: api_pb2.WorkerRecord) -> str:
    held = f"{worker.jobs_held}" + (f"+{worker.jobs_reserved}" if worker.jobs_reserved else "")
    return f"{held}/{worker.capacity}" if worker.HasField("capacity") else held


def _phase(number: api_pb2.WorkerPhase) -> str:
    from protocol.api_pb2 import WorkerPhase

    return WorkerPhase.Name(number).lower()
