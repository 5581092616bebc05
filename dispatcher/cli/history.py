"""`callboard check-history`: what really happened, held against what is promised.

Reads the event log of a data folder (also while a server runs on it, and after a crash) or of a
running server, and the logs of workers and callers where they are given. Exit code 1 says that an
invariant does not hold, 2 that it was called wrongly, 3 that the history cannot be read (a line on
stderr says why) or has nothing to judge.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dispatcher.cli.blocks import GAP, Lines, Table, View, show
from dispatcher.cli.connection import (
    RETRY_SECONDS_MAX,
    DevOption,
    KeyOption,
    SecretOption,
    UrlOption,
    credentials,
)
from dispatcher.cli.failures import FAILED, sentence
from dispatcher.cli.output import NS_PER_SECOND, print_json
from protocol.errors import CallboardError, ConfigError

if TYPE_CHECKING:
    from dispatcher.history import Assumptions, Gone, Verdict
    from dispatcher.history.reading import Logs
    from dispatcher.store.contract import EventRow
    from worker_sdk.credentials import Credentials

DATA_DIR_VARIABLE = "CALLBOARD_DATA_DIR"
# exit code: there is no verdict
NOT_JUDGED = 3
# A bar is for who waits: below this many events there is none.
BAR_EVENTS_MIN = 50_000
# What ended so shortly before the workers' logs were read may not be in them.
CLOCKS_DIFFER_SECONDS = 10
STREAM_PAGE_ROWS = 500
STREAM_PAGES_WAITING_MAX = 4

LOGS_PANEL = "What others wrote down"
RUN_PANEL = "What is known of the run"


def check_history(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            metavar="DIR",
            help="The folder of the store. Default: that of serve. Nothing in it is changed, and"
            " a server may be using it.",
            show_default=False,
        ),
    ] = None,
    worker_log: Annotated[
        list[Path] | None,
        typer.Option(
            "--worker-log",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="A worker's own records (CALLBOARD_RECORD_PATH, Worker(record_path=...)). Repeat it.",
            show_default=False,
            rich_help_panel=LOGS_PANEL,
        ),
    ] = None,
    all_workers: Annotated[
        bool,
        typer.Option(
            "--all-workers",
            help="These are the logs of all workers: what they do not have did not run.",
            show_default=False,
            rich_help_panel=LOGS_PANEL,
        ),
    ] = False,
    caller_log: Annotated[
        list[Path] | None,
        typer.Option(
            "--caller-log",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help='Dispatches that were acknowledged to a caller: {"dispatch_id": .., "at_ns": ..}'
            " a line. Repeat it.",
            show_default=False,
            rich_help_panel=LOGS_PANEL,
        ),
    ] = None,
    ended: Annotated[
        bool,
        typer.Option(
            "--ended",
            help="The run is over: a job that has not ended is a violation.",
            show_default=False,
            rich_help_panel=RUN_PANEL,
        ),
    ] = False,
    attempts_max: Annotated[
        int | None,
        typer.Option(
            "--attempts-max",
            metavar="N",
            min=1,
            help="The server's policy.attempts_max. Without it the limit is not judged.",
            show_default=False,
            rich_help_panel=RUN_PANEL,
        ),
    ] = None,
    losses_max: Annotated[
        int | None,
        typer.Option(
            "--losses-max",
            metavar="N",
            min=1,
            help="The server's policy.losses_max: tries of a job that was lost with workers which"
            " another job may have brought down. Default: the server's own.",
            show_default=False,
            rich_help_panel=RUN_PANEL,
        ),
    ] = None,
    capacity: Annotated[
        int | None,
        typer.Option(
            "--capacity",
            metavar="N",
            min=1,
            help="The most jobs that any worker may have at once. Without it: what the workers' own"
            " records say.",
            show_default=False,
            rich_help_panel=RUN_PANEL,
        ),
    ] = None,
    grace_min: Annotated[
        float | None,
        typer.Option(
            "--grace-min",
            metavar="SECONDS",
            min=0,
            help="The shortest grace time of any worker: for those of which the store does not know"
            " it.",
            show_default=False,
            rich_help_panel=RUN_PANEL,
        ),
    ] = None,
    grace_max: Annotated[
        float | None,
        typer.Option(
            "--grace-max",
            metavar="SECONDS",
            min=0,
            help="The longest grace time of any worker. Default 3600, the server's own bound.",
            show_default=False,
            rich_help_panel=RUN_PANEL,
        ),
    ] = None,
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: Annotated[
        bool, typer.Option("--json", help="The verdict as JSON.", show_default=False)
    ] = False,
) -> None:
    """Check that what happened keeps every promise.

    No job is lost, no epoch has two holders, and the rest of docs/guarantees.md.

    Reads the event log of a data folder, or with --url of a running server, of the key's project.
    What cannot be judged from what there is is said. Exits with 1 if a promise is broken, with 2 for
    wrong usage, with 3 if the history cannot be read, or has nothing to judge.
    """
    from dispatcher.history import Assumptions
    from dispatcher.history.reading import Logs

    is_remote = url is not None or dev
    if is_remote and data_dir is not None:
        raise ConfigError("--data-dir and --url: give one of them")
    default = Assumptions()
    assumptions = Assumptions(
        is_over=ended,
        has_all_workers=all_workers,
        has_all_projects=not is_remote,
        attempts_max=attempts_max,
        records_until=0 if ended else time.time_ns() - CLOCKS_DIFFER_SECONDS * NS_PER_SECOND,
        losses_max=default.losses_max if losses_max is None else losses_max,
        capacity=capacity,
        grace_seconds_min=grace_min,
        grace_seconds_max=default.grace_seconds_max if grace_max is None else grace_max,
    )
    # Before the events: what these have is to be in the log by then.
    with _unreadable_is_said():
        workers, callers = Logs(worker_log or ()), Logs(caller_log or ())
        if is_remote:
            server = credentials(url, api_key, api_secret, dev)
            verdict = _of_server(server, workers, callers, assumptions)
        else:
            verdict = _of_folder(_folder(data_dir), workers, callers, assumptions)
    verdict = replace(verdict, torn_lines=workers.torn + callers.torn)
    if json:
        from dispatcher.history.report import as_json

        print_json(as_json(verdict))
    else:
        _show(verdict)
    if not verdict.is_clean:
        raise typer.Exit(FAILED)
    if not verdict.is_judged:
        raise typer.Exit(NOT_JUDGED)


@contextmanager
def _unreadable_is_said() -> Iterator[None]:
    """A history that cannot be read is one line on stderr, and no violation."""
    try:
        yield
    except ConfigError:
        raise
    except CallboardError as error:
        told = sentence(error)
    except OSError as error:
        told = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    else:
        return
    sys.stderr.write(f"callboard: {' '.join(told.split())}\n")
    raise typer.Exit(NOT_JUDGED)


def _folder(given: Path | None) -> Path:
    from dispatcher.config.tree import Config
    from dispatcher.store.sqlite.folder import DATABASE_NAME

    of_environment = os.environ.get(DATA_DIR_VARIABLE, "")
    path = given or (Path(of_environment) if of_environment else Config(keys={}).data_dir)
    if not (path / DATABASE_NAME).exists():
        raise ConfigError(f"--data-dir: there is no store in {path}")
    return path


def _of_folder(path: Path, workers: Logs, callers: Logs, assumptions: Assumptions) -> Verdict:
    from dispatcher.history import check
    from dispatcher.history.folder import FolderHistory

    with FolderHistory(path) as folder, _bar(*folder.bounds()) as moved:
        return check(
            folder.events(moved),
            workers.records(),
            callers.acknowledgements(),
            store=folder,
            assumptions=assumptions,
        )


def _of_server(
    server: Credentials, workers: Logs, callers: Logs, assumptions: Assumptions
) -> Verdict:
    import anyio

    return anyio.run(_streamed, server, workers, callers, assumptions)


async def _streamed(
    server: Credentials, workers: Logs, callers: Logs, assumptions: Assumptions
) -> Verdict:
    """Check what a server streams, in a thread beside the stream."""
    import anyio
    from anyio import from_thread, to_thread

    from dispatcher.history import Gone, check
    from dispatcher.history.reading import streamed_event
    from worker_sdk.client import DispatchClient
    from worker_sdk.errors import EventsGone

    send, receive = anyio.create_memory_object_stream["list[EventRow | Gone]"](
        STREAM_PAGES_WAITING_MAX
    )
    failures: list[CallboardError] = []

    async def entries() -> AsyncIterator[EventRow | Gone]:
        async with DispatchClient(server.url, server.api_key, server.api_secret) as client:
            stream = client.events(0, follow=False, away_seconds_max=RETRY_SECONDS_MAX)
            begins_at = stream.begins_at
            while True:
                try:
                    event = await anext(stream, None)
                except EventsGone as gone:
                    yield Gone(gone.after, gone.next_sequence)
                    continue
                if stream.begins_at != begins_at:
                    begins_at = stream.begins_at
                    yield Gone(0, begins_at)
                if event is None:
                    return
                yield streamed_event(event.sequence, event.data)

    async def read() -> None:
        page: list[EventRow | Gone] = []
        async with send:
            try:
                async for entry in entries():
                    page.append(entry)
                    if len(page) >= STREAM_PAGE_ROWS:
                        await send.send(page)
                        page = []
                await send.send(page)
            except CallboardError as error:
                failures.append(error)

    def events() -> Iterator[EventRow | Gone]:
        while True:
            try:
                yield from from_thread.run(receive.receive)
            except anyio.EndOfStream:
                return

    def judge() -> Verdict:
        return check(
            events(), workers.records(), callers.acknowledgements(), assumptions=assumptions
        )

    async with receive, anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        verdict = await to_thread.run_sync(judge)
    if failures:
        raise failures[0]
    return verdict


@contextmanager
def _bar(first: int, last: int) -> Iterator[Callable[[int], None] | None]:
    """Show how far it is, to who waits at a terminal."""
    if last - first < BAR_EVENTS_MIN or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("[progress.description]{task.description}", BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task("events", total=last - first + 1)
        yield lambda place: progress.update(task, completed=place - first + 1)


def _show(verdict: Verdict) -> None:
    from dispatcher.history.report import (
        COLUMNS,
        all_told,
        conclusion,
        finding_cells,
        summary,
        unjudged,
    )

    rows = [finding_cells(finding) for finding in verdict.findings]
    table = Table(COLUMNS, rows, "nothing", folds=COLUMNS)
    show(View([Lines(summary(verdict)), GAP, table]))
    # As it is: the events of a violation stand below each other.
    for text in all_told(verdict):
        sys.stdout.write("\n" + text + "\n")
    last: list[str] = []
    count = sum(finding.violations for finding in verdict.findings)
    if count > len(verdict.violations):
        last += ["", f"{count - len(verdict.violations):,} more violations are not shown"]
    if lines := unjudged(verdict):
        last += ["", *lines]
    show(View([Lines([*last, "", conclusion(verdict)])]))
