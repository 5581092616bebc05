"""docs/worker.md: how a worker is started, set, ended and watched, with the tables that say so.

`python -m worker_sdk.page > docs/worker.md` writes it from the tables of `settings` and `health`; a
test holds the page against them, and runs its examples. Not imported by the SDK itself.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from worker_sdk.counts import WorkerCounts
from worker_sdk.executors import PoolCounts
from worker_sdk.health import WorkerState, metric_rows
from worker_sdk.settings import OPTIONS

__all__ = ["worker_page"]

_PAGE = """\
# A worker in production

Written by `python -m worker_sdk.page`; a test holds it against the code, and runs its examples.

```python
from worker_sdk import JobContext, Worker

worker = Worker(agent_name="greeter")  # LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET


@worker.job
async def greet(ctx: JobContext) -> None:
    ctx.log.info("hello", room=ctx.job.room, metadata=ctx.job.metadata)


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

Jobs that compute, crash or leak: [job-processes.md](job-processes.md). The API client:
[client.md](client.md).

`worker.run(argv=[...])` takes the arguments from the program instead.

## Options

Each can be said in the code (`Worker(capacity=4)`; how jobs run by `executor=ProcessExecutor(warm=4)`;
the log's options not), in the environment or by a flag; the later overrides the earlier, so who
deploys a worker overrides who wrote it. What is wrong is one line that names where it was said, and
exit code 2.

{options}

## How it ends

SIGTERM or SIGINT (Ctrl-C) drains: no more jobs are taken. By the policy `wait` those that run go on
to their ends; by `hand_over` the server gives each to another worker as soon as one has room for it
(with `ctx.resuming` true, and the next epoch), and it is cancelled here. At `drain_seconds_max` what
still runs is handed over in any case. A second signal does that at once: jobs are cancelled, have
5 s to clean up, and are handed over; then the worker ends. The exit code is 0 after all of these. A
third signal ends it at once, with exit code 1, and so does a watchdog where a job will not let go; its
jobs go to others after the grace time. What is waited for, with the jobs by id and how long each has
run, is logged at once (`drain_waits`) and then every 10 s.

`python -m tests.worker_exits` tries it: 20 times each with 1, 6 and 50 jobs, with `--stock` on
livekit-agents' worker, too.

A server of LiveKit's knows no handing over: jobs go on until the deadline, and are then reported as
failed.

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
however many offers come at once.

## Probes and metrics

With `health_port`: `GET /healthz` answers 200 while the event loop turns, `GET /readyz` 200 while the
worker is registered and does not drain, else 503 and why; `GET /metrics` is for Prometheus. Each metric
has the label `agent_name`.

{metrics}
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
