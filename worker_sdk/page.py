"""docs/worker.md: how a worker is started, set, ended and watched, with the tables that say so.

`python -m worker_sdk.page > docs/worker.md` writes it from the tables of `options` and `health`; a
test holds the page against them, and runs its examples. Not imported by the SDK itself.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from worker_sdk.counts import WorkerCounts
from worker_sdk.executors import PoolCounts
from worker_sdk.health import WorkerState, metric_rows
from worker_sdk.options import OPTIONS

__all__ = ["worker_page"]

_PAGE = """\
# Workers

All that a worker program can say, and how it is set, ended and watched. Written by
`python -m worker_sdk.page`; tests hold it against the code, and run each example as it stands here.

```python
from worker_sdk import JobContext, Worker

worker = Worker(agent_name="greeter")  # LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET


@worker.job
async def greet(ctx: JobContext) -> None:
    ctx.log.info("hello", metadata=ctx.job.metadata)


if __name__ == "__main__":
    worker.run()
```

- `python my_worker.py` or `python my_worker.py start`: serve.
- `python my_worker.py dev`: serve while you write it. Logs are for people, the server, key and secret
  are those of `callboard serve --dev` where you say no other, and each change of a Python file beside
  the program starts it anew; the jobs that run are handed over to the new one.
- `python my_worker.py console --room lobby --metadata '{}'`: run one job here, without any server or
  room, and say how it ended (exit code 0, or 1 if it failed).
- `python my_worker.py --help`, and `--help` of each.

`worker.run(argv=[...])` takes the arguments from the program instead. Other pages: the API client
([client.md](client.md)), jobs in processes ([job-processes.md](job-processes.md)), tests of agents
([testing-agents.md](testing-agents.md)).

## What a job is given

The function returns: the job has succeeded. It raises: it has failed, with the error in one line
(`ValueError: no such model`), and is tried again as its restart policy says. It is cancelled: the job is
over, or goes on at another worker; clean up and let the cancellation pass.

```python
from worker_sdk import JobContext, JobType, Worker

worker = Worker(agent_name="guide", types=[JobType.ROOM, JobType.PARTICIPANT])


@worker.job
async def guide(ctx: JobContext) -> None:
    print(ctx.job.type.name, ctx.job.room, ctx.job.metadata)  # PARTICIPANT lobby de
    assert ctx.participant is not None  # of a room's job it is None
    print(ctx.participant.identity)  # ann
    print(ctx.attempt, ctx.attempt_reason_text)  # 1 this is its first attempt
    ctx.log.info("guiding", language=ctx.job.metadata)  # with the job, room, participant, attempt


if __name__ == "__main__":
    worker.run()
```

| `ctx.` | what it is |
|---|---|
| `job` | What was asked, the same in every attempt: `id`, `type`, `room` (its name), `agent_name`, `metadata`, `attributes`, `dispatch_id`, `deployment`, `participant`, and `message`, the wire message itself. |
| `participant` | Whom a PUBLISHER or PARTICIPANT job is about (`JobParticipant`: `sid`, `identity`, `name`, `metadata`, `attributes`, as of when the job was made). None: the job is the whole room's. |
| `attempt` | Counts tries from 1. A job that is handed over goes on with the same attempt. |
| `attempt_reason` | Why this one was needed: empty, `failed`, `worker_lost`, `handed_over` or `not_delivered`; `attempt_reason_text` says it in words. |
| `resuming` | Whether another worker may have left something behind. |
| `epoch`, `fencing_token` | A number that grows with each holder of the job: see [below](#a-job-that-resumes). |
| `url`, `token` | To join the room with: the SFU's address and the agent's token; `room()` uses them. |
| `room()` | The room, joined: see [below](#rooms). |
| `log` | A [structlog](https://www.structlog.org) logger with the ids of job, room and participant bound, and the attempt. |
| `add_shutdown_callback()` | What to do when the function has ended: see [below](#when-a-job-is-over). |

`shutdown_callbacks` is for whoever runs a job function without a worker.

## Which jobs are taken

Without a request handler all that there is room for. A handler, synchronous or not, makes one decision
within 9 s; one that decides nothing or raises declines.

```python
from worker_sdk import JobContext, JobRequest, Worker

worker = Worker(agent_name="chooser")


@worker.request
async def consider(request: JobRequest) -> None:
    if request.job.room.startswith("test-"):
        request.terminate()  # nowhere: the job ends without having run
    elif request.job.metadata == "fr":
        request.decline()  # not here, not now: the server asks others, and this worker later
    else:
        # Who the agent is in the room; the default is agent-<job id>, without a name.
        request.accept(identity="chooser", name="The chooser", attributes={"lang": "de"})


@worker.job
async def greet(ctx: JobContext) -> None:
    print(ctx.job.room)  # lobby


if __name__ == "__main__":
    worker.run()
```

A request has `job`, `attempt`, `attempt_reason` and `resuming`, as the job's context will have them.

## Rooms

`pip install "callboard[room]"` brings LiveKit's own library (PyPI's `livekit`), and `ctx.room()` the
room, joined for as long as the block lasts:

```python
import anyio

from worker_sdk import JobContext, Worker

worker = Worker(agent_name="host")


@worker.job
async def host(ctx: JobContext) -> None:
    async with ctx.room() as room:  # a livekit.rtc.Room
        await room.local_participant.publish_data(f"Welcome to {room.name}", topic="host")
        await anyio.sleep_forever()


if __name__ == "__main__":
    worker.run()
```

- Handlers that are set (`room.on("track_subscribed", ...)`) before the block's first `await` miss nothing.
  `ctx.room(rtc.RoomOptions(auto_subscribe=False))` takes LiveKit's options.
- When the room ends, or the agent is removed from it, the block is left, as by `anyio.move_on_after`: the
  job above then succeeds. A connection that is lost for good, after what the library tries by itself,
  raises `RoomLost` (`reason`: LiveKit's word for it); a room that cannot be joined, `RoomUnreachable`.
  Both fail the job unless you catch them.
- The agent leaves at the end of the block, whatever came. A job that is stopped while it joins first
  joins, then leaves; where the SFU does not answer, the library gives up after some 30 s. Do not cancel
  `rtc.Room.connect` yourself: the library (1.1) then ends the process.
- The token lets the agent join within an hour of the assignment. In the room it is renewed by the SFU, so
  a job may stay for days; one that leaves and comes back after more than an hour gets `RoomUnreachable`.
- It runs on asyncio, as `worker.run()` does; in a job process, too.

## When a job is over

Shutdown callbacks are called when the function has returned, raised or was cancelled, the last added
first. They may be synchronous or not, and are told the `ShutdownReason` if they have a parameter for it:

```python
from worker_sdk import JobContext, ShutdownReason, Worker

worker = Worker(agent_name="scribe", shutdown_seconds_max=5)


@worker.job
async def write(ctx: JobContext) -> None:
    notes: list[str] = []

    async def upload(reason: ShutdownReason) -> None:
        print(reason, notes)  # returned ['hello', 'bye']

    ctx.add_shutdown_callback(upload)
    ctx.add_shutdown_callback(lambda: notes.append("bye"))
    notes.append("hello")


if __name__ == "__main__":
    worker.run()
```

- The reasons are `RETURNED`, `FAILED` and `STOPPED` (cancelled).
- All of a job's callbacks have `shutdown_seconds_max` (10) together, and are shielded from cancellation.
  What is not done by then is cut off and logged (`shutdown_cut_off`). Keep it below `stop_seconds_max`,
  after which a process whose job was told to stop is killed.
- They change nothing of the result: the job ends as its function did, and the server is told when they
  are over. One that raises is logged (`shutdown_callback_failed`) and stops no other. What must not be lost
  with a failure belongs into the function itself.
- A process that is killed or crashes calls none.

## A job that resumes

A worker is lost, drains or is cut off: another one gets the job, with `ctx.resuming` true, the same agent
identity, and a greater fencing token. Save what is done as you go, and let the token guard it: the one
that was cut off may not know yet.

```python
import sqlite3

from worker_sdk import JobContext, Worker

worker = Worker(agent_name="counter")


@worker.job
async def count(ctx: JobContext) -> None:
    database = sqlite3.connect("progress.sqlite")
    database.execute("CREATE TABLE IF NOT EXISTS progress (job_id PRIMARY KEY, token, done)")
    saved = database.execute(
        "INSERT INTO progress VALUES (?1, ?2, 1) ON CONFLICT (job_id)"
        " DO UPDATE SET token = ?2, done = done + 1 WHERE token <= ?2",  # else: overtaken
        (ctx.job.id, ctx.fencing_token),
    )
    database.commit()
    database.close()
    print(saved.rowcount)  # 1


if __name__ == "__main__":
    worker.run()
```

The token counts the holders of one job: keep it beside the job's id.
[examples/long_job.py](../examples/long_job.py) is such a job, whole.

## Jobs in processes

```python
from worker_sdk import JobContext, ProcessExecutor, Worker

worker = Worker(agent_name="cruncher", executor=ProcessExecutor(warm=1, job_seconds_max=600))
tables: list[int] = []


@worker.prewarm
def load() -> None:
    tables.extend(n * n for n in range(1000))  # once in each process, before its first job


@worker.job
async def crunch(ctx: JobContext) -> None:
    print(sum(tables))  # 332833500


if __name__ == "__main__":
    worker.run()
```

Jobs run as tasks of the worker's event loop where nothing else is said (`TaskExecutor`); all of this page
holds in both. [job-processes.md](job-processes.md) says when processes are worth it, and how each end of
one is told. Both are an `Executor`.

## Inside a program of your own

`worker.run()` is a whole program. `worker.serve()` serves inside a loop that is there already, on asyncio
or trio, and ends after `drain()` (jobs go on or are handed over, by the policy) or `stop()` (they are
cancelled and handed over at once):

```python
import anyio

from worker_sdk import DispatchClient, JobContext, Worker

worker = Worker(agent_name="inner")


@worker.job
async def work(ctx: JobContext) -> None:
    print(ctx.job.metadata)  # hello
    print(worker.active_jobs)  # 1
    worker.drain()


async def main() -> None:
    async with anyio.create_task_group() as tasks, DispatchClient() as client:
        tasks.start_soon(worker.serve)
        await worker.wait_registered()
        print(worker.worker_id is not None, worker.pool, worker.health_port)  # True None None
        await client.create_dispatch("lobby", "inner", metadata="hello")


if __name__ == "__main__":
    anyio.run(main)
```

Logs are structlog's, as your program sets it up. Who cancels `serve()` ends the worker at once; its jobs
go to others after the grace time. `worker.pool` counts the processes of a ProcessExecutor,
`worker.instance_id` names the worker over all its connections.

## Options

Each can be said in the code (`Worker(capacity=4)`; how jobs run by `executor=ProcessExecutor(warm=4)`;
the log's options not), in the environment or by a flag; the later overrides the earlier, so who
deploys a worker overrides who wrote it (LiveKit's own variables count, as with LiveKit's SDK, where the
code says nothing). What is wrong is one line that names where it was said, and
exit code 2.

{options}

## How a worker ends

SIGTERM or SIGINT (Ctrl-C) drains: no more jobs are taken. By `DrainPolicy.WAIT` those that run go on
to their ends; by `DrainPolicy.HAND_OVER` the server gives each to another worker as soon as one has
room for it (with `ctx.resuming` true, and the next epoch), and it is cancelled here. At `drain_seconds_max` what
still runs is handed over in any case. A second signal does that at once: jobs are cancelled, have
5 s to clean up, and are handed over; then the worker ends. The exit code is 0 after all of these. A
third signal ends it at once, with exit code 1, and so does a watchdog where a job will not let go; its
jobs go to others after the grace time. What is waited for, with the jobs by id and how long each has
run, is logged at once (`drain_waits`) and then every 10 s.

`python -m tests.worker_exits` tries it: 20 times each with 1, 6 and 50 jobs, with `--stock` on
livekit-agents' worker, too.

## Load

```python
from worker_sdk import CpuLoad, GreatestLoad, JobsLoad, MemoryLoad, Worker

Worker("greeter", capacity=4)  # the greater of jobs and processor
Worker("greeter", load=GreatestLoad(JobsLoad(), CpuLoad(), MemoryLoad()))
Worker("greeter", load=lambda: 0.5)  # your own: 0 idle, 1 full
```

Processor and memory are measured against what the container may use (control groups of version 2 and
1, at every level that has a limit), else against the machine; the processor is averaged over 5 s. The
server prefers workers that are less busy. `capacity` is a hard cap on jobs, whatever the load says and
however many offers come at once. A measure of your own is a function, or a `LoadMeasure`, which is
given `JobsHeld` (`active_count`, `capacity`).

## Probes and metrics

With `health_port`: `GET /healthz` answers 200 while the event loop turns, `GET /readyz` 200 while the
worker is registered and does not drain, else 503 and why; `GET /metrics` is for Prometheus. Each metric
has the label `agent_name`.

{metrics}

## With LiveKit's own server

The same program works with a livekit-server as its dispatcher: it registers, takes dispatches, runs,
reports, is terminated, drains, and reconnects for ever, also when that server was killed. What that
server cannot do, no worker can make up for:

| | Callboard | livekit-server |
|---|---|---|
| a worker comes late, dies or hangs | its jobs wait, or go to others | they are lost |
| a job fails | it is tried again, by its restart policy | it has failed |
| the server is restarted | all jobs are there | it has forgotten them: those that run go on, and nobody hears how they end |
| a result while the connection is lost | is told again until it is confirmed | is told once more, and nobody says whether it counts |
| `ctx.epoch`, `ctx.attempt`, `ctx.resuming` | as they are | None, 1, False |
| `ctx.fencing_token` | a number | raises `NoFencingToken` |
| `drain_policy=HAND_OVER` | others go on with the jobs | the jobs go on until the deadline, and then fail |
| a job that is stopped | CANCELLED | is reported as SUCCESS, as that server expects |
| several job types in one worker | yes | the first of `types` alone |
| a room empties, and ends | its jobs end | the agent is disconnected, which ends a block of `ctx.room()`; a job outside of one is not told |

## Examples

[examples/](../examples) has whole programs, each tried by a test against real servers: a
[greeter](../examples/greeter.py), a [transcriber](../examples/transcriber.py) with a job for each who
speaks, a [long job](../examples/long_job.py) that any worker goes on with, and jobs that
[compute](../examples/cpu_heavy.py) in processes. How to test your own: [testing-agents.md](testing-agents.md).
"""


def worker_page() -> str:
    """The page, with its tables."""
    return _PAGE.replace("{options}", _options()).replace("{metrics}", _metrics()).rstrip() + "\n"


def _options() -> str:
    parts = []
    for panel in dict.fromkeys(option.panel for option in OPTIONS):
        rows = [
            f"| `{option.name}` | `{option.flag}` | `{option.env}` | {option.default} |"
            f" {option.help} |"
            for option in OPTIONS
            if option.panel == panel
        ]
        head = "| option | flag | environment | default | what it is |\n|---|---|---|---|---|"
        parts.append("\n".join([f"### {panel}\n", head, *rows]))
    return "\n\n".join(parts)


def _metrics() -> str:
    idle = WorkerState(
        agent_name="",
        is_registered=False,
        is_draining=False,
        jobs_running=0,
        jobs_reserved=0,
        capacity=1,
        results_unconfirmed=0,
        load=0.0,
        counts=WorkerCounts(),
    )
    rows = [
        f"| `{name}` | {kind} | {help} |"
        for name, kind, help in metric_rows(replace(idle, pool=PoolCounts()))  # noqa: A001
    ]
    return "\n".join(["| metric | kind | what it is |\n|---|---|---|", *rows])


if __name__ == "__main__":
    sys.stdout.write(worker_page())
