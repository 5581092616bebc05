"""`callboard loadtest`: what a server carries, measured with simulated workers and callers.

The harness is `worker_sdk.loadtest`; here are its options, its screen and where its report goes. Each
field of a profile is an option too; values are read by the profile's own reader, so that a flag and a
file are refused in the same words.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatcher.cli import completing
from dispatcher.cli.connection import (
    DevOption,
    KeyOption,
    SecretOption,
    UrlOption,
    credentials,
)
from protocol.errors import CallboardError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_sdk.loadtest.results import Results
    from worker_sdk.loadtest.run import LoadTest

LOAD = "The load"
WORKERS = "The workers"
TROUBLE = "What goes wrong"
BOUNDS = "Bounds"

REFRESH_SECONDS = 0.25
# Where there is no terminal.
LINE_SECONDS = 2.0


def _option(flag: str, metavar: str, words: str, panel: str) -> Any:  # noqa: ANN401 - typer's own
    return typer.Option(
        flag,
        metavar=metavar,
        help=words,
        autocompletion=completing.words(*metavar.split("|")) if "|" in metavar else None,
        rich_help_panel=panel,
        show_default=False,
    )


def loadtest(
    ctx: typer.Context,
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            "-p",
            metavar="NAME|FILE",
            help="A profile that is shipped (quick, steady, burst, max, ramp, churn, kills, storm,"
            " misfits), or a YAML file. Options win over it.",
            autocompletion=completing.profiles,
        ),
    ] = "quick",
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if",
            metavar="LIMIT",
            help="Fail where this holds, such as 'p99_ms>50'. May be repeated. Always there:"
            " lost>0, overdue>0, failed>0 and doubled>0.",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="DIR|FILE",
            help="Write the report: a folder gets report.html, .json and .txt; a file is written as"
            " its ending says.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The whole result as JSON.", show_default=False)
    ] = False,
    server_pid: Annotated[
        int | None,
        typer.Option(
            "--server-pid",
            metavar="PID",
            help="The server's process, whose CPU and memory are shown. Default: who listens on"
            " the port, if that is here.",
            show_default=False,
        ),
    ] = None,
    shape: Annotated[
        str | None, _option("--shape", "rate|burst|closed|ramp", "How calls come.", LOAD)
    ] = None,
    duration_seconds: Annotated[
        str | None,
        _option(
            "--duration-seconds",
            "S",
            "How long is measured; a ramp ends sooner where it breaks.",
            LOAD,
        ),
    ] = None,
    warm_up_seconds: Annotated[
        str | None,
        _option(
            "--warm-up-seconds", "S", "The same load before that, which no figure counts.", LOAD
        ),
    ] = None,
    drain_seconds: Annotated[
        str | None,
        _option(
            "--drain-seconds",
            "S",
            "How long after the last call the end of the jobs is waited for; what still waits then is overdue.",
            LOAD,
        ),
    ] = None,
    rate: Annotated[
        str | None, _option("--rate", "X", "Calls a second (rate), or where a ramp begins.", LOAD)
    ] = None,
    arrivals: Annotated[
        str | None,
        _option(
            "--arrivals",
            "even|poisson",
            "How calls of an open loop are spread: evenly, or by chance (poisson).",
            LOAD,
        ),
    ] = None,
    burst_jobs: Annotated[
        str | None, _option("--burst-jobs", "N", "Calls of one burst.", LOAD)
    ] = None,
    burst_every_seconds: Annotated[
        str | None, _option("--burst-every-seconds", "S", "From one burst to the next.", LOAD)
    ] = None,
    callers: Annotated[
        str | None,
        _option(
            "--callers",
            "N",
            "Callers of a closed loop, each with a connection and one job at a time.",
            LOAD,
        ),
    ] = None,
    ramp_factor: Annotated[
        str | None,
        _option(
            "--ramp-factor",
            "X",
            "How many times the rate of its last step a ramp tries next.",
            LOAD,
        ),
    ] = None,
    ramp_step_seconds: Annotated[
        str | None, _option("--ramp-step-seconds", "S", "How long a ramp stays at a rate.", LOAD)
    ] = None,
    ramp_p99_ms_max: Annotated[
        str | None,
        _option(
            "--ramp-p99-ms-max",
            "X",
            "A step of a ramp whose p99 from call to assignment is above this is broken.",
            LOAD,
        ),
    ] = None,
    rate_max: Annotated[
        str | None, _option("--rate-max", "X", "Where a ramp ends if nothing breaks.", LOAD)
    ] = None,
    call_timeout_seconds: Annotated[
        str | None,
        _option(
            "--call-timeout-seconds",
            "S",
            "A call without an answer is given up after so long.",
            BOUNDS,
        ),
    ] = None,
    metadata_bytes: Annotated[
        str | None,
        _option(
            "--metadata-bytes", "N", "Metadata of each dispatch; at least 60 are needed.", LOAD
        ),
    ] = None,
    connections_max: Annotated[
        str | None,
        _option(
            "--connections-max",
            "N",
            "Connections of one process of callers; calls beyond wait, and their wait counts.",
            BOUNDS,
        ),
    ] = None,
    backlog_max: Annotated[
        str | None,
        _option(
            "--backlog-max",
            "N",
            "Calls of one process that wait for a connection; those beyond are not made, and counted.",
            BOUNDS,
        ),
    ] = None,
    caller_processes: Annotated[
        str | None, _option("--caller-processes", "N", "Processes that call.", BOUNDS)
    ] = None,
    workers: Annotated[
        str | None, _option("--workers", "N", "Workers that take jobs.", WORKERS)
    ] = None,
    worker_processes: Annotated[
        str | None,
        _option(
            "--worker-processes",
            "N",
            "Processes that the workers are spread over, at the least.",
            BOUNDS,
        ),
    ] = None,
    workers_per_process_max: Annotated[
        str | None,
        _option(
            "--workers-per-process-max", "N", "With more workers there are more processes.", BOUNDS
        ),
    ] = None,
    capacity: Annotated[
        str | None,
        _option(
            "--capacity", "N", "Jobs that a worker takes at once; declared to a Callboard.", WORKERS
        ),
    ] = None,
    job_seconds: Annotated[
        str | None,
        _option(
            "--job-seconds",
            "S",
            "How long a job runs; 0: it ends as soon as it has started.",
            WORKERS,
        ),
    ] = None,
    job_seconds_spread: Annotated[
        str | None,
        _option(
            "--job-seconds-spread",
            "X",
            "Jobs are longer or shorter by up to this share, by chance.",
            WORKERS,
        ),
    ] = None,
    grace_seconds: Annotated[
        str | None,
        _option(
            "--grace-seconds",
            "S",
            "What workers declare to a Callboard: back within this, or lost.",
            WORKERS,
        ),
    ] = None,
    slow_workers: Annotated[
        str | None,
        _option(
            "--slow-workers", "N", "Workers, beside the others, that answer offers late.", WORKERS
        ),
    ] = None,
    slow_answer_seconds: Annotated[
        str | None, _option("--slow-answer-seconds", "S", "How late slow workers answer.", WORKERS)
    ] = None,
    silent_workers: Annotated[
        str | None,
        _option(
            "--silent-workers",
            "N",
            "Workers, beside the others, that never answer offers.",
            WORKERS,
        ),
    ] = None,
    declining_workers: Annotated[
        str | None,
        _option(
            "--declining-workers",
            "N",
            "Workers, beside the others, that decline every offer.",
            WORKERS,
        ),
    ] = None,
    stock_decliner: Annotated[
        str | None,
        _option(
            "--stock-decliner",
            "BOOL",
            "Against LiveKit's own server: one more worker, without a name, that declines at once. Without it that server waits for one in every new room.",
            WORKERS,
        ),
    ] = None,
    agent_name: Annotated[
        str | None,
        _option(
            "--agent-name",
            "NAME",
            "The agent that is called. Nobody else's: two runs at once disturb each other.",
            WORKERS,
        ),
    ] = None,
    churn_per_second: Annotated[
        str | None,
        _option(
            "--churn-per-second",
            "X",
            "Workers that leave, and others that come, each second.",
            TROUBLE,
        ),
    ] = None,
    kill_every_seconds: Annotated[
        str | None,
        _option(
            "--kill-every-seconds",
            "S",
            "A process of workers is killed (SIGKILL) and replaced so often.",
            TROUBLE,
        ),
    ] = None,
    storm_every_seconds: Annotated[
        str | None,
        _option(
            "--storm-every-seconds",
            "S",
            "The sockets of all workers are cut at one moment so often.",
            TROUBLE,
        ),
    ] = None,
    results_max: Annotated[
        str | None,
        _option("--results-max", "N", "Jobs that are kept account of; calls end there.", BOUNDS),
    ] = None,
    seed: Annotated[
        str | None, _option("--seed", "N", "Of what is left to chance.", BOUNDS)
    ] = None,
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
) -> None:
    """Measure what a server carries, with simulated load.

    It calls the agent "loadtest" with workers of its own, on a Callboard or on LiveKit's own server.
    Begin with a server that nobody needs. Exit code 0: all limits were kept; 1: one was broken; 3: the
    harness itself was the bottleneck, so the times are not the server's; 130: interrupted.
    docs/loadtest.md says what each figure means.
    """
    import anyio

    from worker_sdk.loadtest.profile import FIELDS
    from worker_sdk.loadtest.profile_files import load_profile
    from worker_sdk.loadtest.report_text import text_report
    from worker_sdk.loadtest.reports import ReportPlace
    from worker_sdk.loadtest.run import LoadTest

    given: Mapping[str, Any] = ctx.params
    flags = {
        field.name: given[field.name]
        for field in FIELDS
        if field.name != "description" and given[field.name]
    }
    chosen = load_profile(profile, flags)
    place = ReportPlace.prepare(report) if report is not None else None
    test = LoadTest(chosen, credentials(url, api_key, api_secret, dev), server_pid=server_pid)
    results = anyio.run(_run, test, backend_options={"use_uvloop": True})
    if as_json:
        from dispatcher.cli.output import print_json

        print_json(results.as_json())
    else:
        sys.stdout.write(text_report(results))
    if place is not None:
        for path in place.write(results):
            sys.stderr.write(f"wrote {path}\n")
    raise typer.Exit(results.exit_code)


async def _run(test: LoadTest) -> Results:
    """Run it, shown on stderr; an interrupt ends it with what was measured."""
    import anyio

    results: list[Results] = []
    failures: list[CallboardError] = []
    async with anyio.create_task_group() as tasks:

        async def end_when_told() -> None:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
                async for _ in received:
                    test.interrupt()

        tasks.start_soon(end_when_told)
        tasks.start_soon(_show_on_terminal if sys.stderr.isatty() else _tell_in_lines, test)
        try:
            results.append(await test.run())
        except CallboardError as error:
            failures.append(error)
        tasks.cancel_scope.cancel()
    if failures:
        raise failures[0]
    if not sys.stderr.isatty():
        # A run that is shorter than the time between two lines is told of all the same.
        _tell_line(test)
    return results[0]


async def _show_on_terminal(test: LoadTest) -> None:
    import anyio
    from rich.console import Console
    from rich.live import Live

    from worker_sdk.loadtest.screen import picture

    # It goes when the report comes.
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        while True:
            live.update(picture(test), refresh=True)
            await anyio.sleep(REFRESH_SECONDS)


async def _tell_in_lines(test: LoadTest) -> None:
    import anyio

    from worker_sdk.loadtest.run import Phase

    told_at = time.monotonic()
    while True:
        await anyio.sleep(REFRESH_SECONDS)
        if test.phase is not Phase.LOOKING and time.monotonic() >= told_at + LINE_SECONDS:
            told_at = time.monotonic()
            _tell_line(test)


def _tell_line(test: LoadTest) -> None:
    from worker_sdk.loadtest.screen import line

    sys.stderr.write(line(test) + "\n")
    sys.stderr.flush()
