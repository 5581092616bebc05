"""Where the event loop's time goes: `python -m bench.profile [--output FOLDER]`.

A server like the benchmark's, under the same closed loop, with a sampler in it: every two
milliseconds of CPU time a signal looks which Python code is on the event loop's thread. A sample
counts for the innermost frame that belongs to a part of ours, so that what a library does for a part
is the part's. What no part has begun is the loop itself: uvloop, its system calls and callbacks.

Shares of Python's time, not of the system's behind one call: a signal waits until a call into C is
over. The sampler runs in the server, behind an option of this module (`--serve`) and nowhere else.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from bench.client import Driver
from bench.machine import environment
from bench.measure import CALLERS, WORKERS
from bench.servers import API_KEY, API_SECRET, START_SECONDS_MAX, free_port, stop, wait_until_ready

if TYPE_CHECKING:
    from types import FrameType

WARM_UP_SECONDS = 2.0
LOAD_SECONDS = 20.0
DUMP_SECONDS_MAX = 10.0
# of the server's CPU time
SAMPLE_EVERY_SECONDS = 0.002
FUNCTIONS_SHOWN = 25

# The parts, by how the files begin that are theirs; the first that fits has a file.
PARTS = {
    "tokens, ids and limits": (
        "protocol/tokens",
        "protocol/signing",
        "protocol/ids",
        "protocol/limits",
    ),
    "messages to and from bytes": (
        "protocol/codec",
        "protocol/checks",
        "dispatcher/server/wire_jobs",
        "dispatcher/server/worker_messages",
    ),
    "decisions (core)": ("dispatcher/core/", "protocol/values"),
    "the store's rows and statements": ("dispatcher/store/",),
    "runtime: commits, and what waits for them": ("dispatcher/runtime",),
    "metrics and logs": ("dispatcher/metrics/", "dispatcher/witness", "dispatcher/logs"),
    "workers' websockets": (
        "dispatcher/server/connection",
        "dispatcher/server/framing",
        "dispatcher/server/worker_",
        "dispatcher/server/sessions",
        "dispatcher/server/pacing",
    ),
    "calls: HTTP and Twirp": ("dispatcher/server/",),
}
# A part, a file and a function.
_Place = tuple[str, str, str]
THE_LOOP = "the loop itself"
_ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Profile and report, or be the server that is profiled."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=Path("docs/benchmarks"), help="where the report goes"
    )
    parser.add_argument("--serve", metavar="PORT", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        _serve(given.serve, given.folder)
    else:
        samples, jobs = _profile()
        text = _report(samples, jobs)
        given.output.mkdir(parents=True, exist_ok=True)
        (given.output / "profile.md").write_text(text)
        print(text)


# --- the server that is profiled ---------------------------------------------------------------


def _serve(port: str, folder: Path) -> None:
    samples: Counter[_Place] = Counter()

    def look(_signal: int, frame: FrameType | None) -> None:
        innermost = frame
        while frame is not None:
            name = frame.f_code.co_filename.removeprefix(f"{_ROOT}/")
            part = _part_of(name)
            if part is not None:
                samples[part, name, frame.f_code.co_qualname] += 1
                return
            frame = frame.f_back
        code = innermost.f_code if innermost is not None else look.__code__
        samples[THE_LOOP, Path(code.co_filename).name, code.co_qualname] += 1

    def begin(*_: object) -> None:
        samples.clear()
        signal.setitimer(signal.ITIMER_PROF, SAMPLE_EVERY_SECONDS, SAMPLE_EVERY_SECONDS)

    def end(*_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        told = [[*key, count] for key, count in samples.most_common()]
        written = folder / "samples.new"
        written.write_text(json.dumps(told))
        written.rename(folder / "samples.json")

    signal.signal(signal.SIGPROF, look)
    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)
    sys.argv = ["callboard", "serve", "--port", port, "--data-dir", str(folder / "data")]
    runpy.run_module("dispatcher.cli", run_name="__main__")


def _part_of(name: str) -> str | None:
    for part, beginnings in PARTS.items():
        if name.startswith(beginnings):
            return part
    return None


# --- the one who profiles ------------------------------------------------------------------------


def _profile() -> tuple[Counter[_Place], int]:
    """Return how often each place was seen, and the jobs that were done meanwhile."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="callboard-profile-") as name:
        folder = Path(name)
        with (folder / "server.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.profile", "--serve", str(port), "--folder", name],
                env={**os.environ, "CALLBOARD_KEYS": f"{API_KEY}: {API_SECRET}"},
                stdout=log,
                stderr=log,
            )
            try:
                wait_until_ready(process, port, log, START_SECONDS_MAX)
                jobs = uvloop.run(_load(port, process))
                return _samples(folder / "samples.json"), jobs
            finally:
                stop(process)


async def _load(port: int, process: subprocess.Popen[bytes]) -> int:
    driver = Driver(port)
    await driver.connect(WORKERS, CALLERS)
    await driver.run_load(WARM_UP_SECONDS)
    driver.load.clear()
    process.send_signal(signal.SIGUSR1)
    await driver.run_load(LOAD_SECONDS)
    process.send_signal(signal.SIGUSR2)
    jobs = driver.load.jobs_done
    await driver.close()
    return jobs


def _samples(path: Path) -> Counter[_Place]:
    deadline = time.monotonic() + DUMP_SECONDS_MAX
    while not path.exists():
        if time.monotonic() > deadline:
            raise SystemExit(f"the server did not write {path.name} within {DUMP_SECONDS_MAX:g} s")
        time.sleep(0.05)
    told = json.loads(path.read_text())
    return Counter({(part, file, name): count for part, file, name, count in told})


def _report(samples: Counter[_Place], jobs: int) -> str:
    whole = sum(samples.values())
    parts: Counter[str] = Counter()
    for (part, _, _), count in samples.items():
        parts[part] += count
    lines = [
        "# Where the event loop's time goes",
        "",
        f"{WORKERS} workers, {CALLERS} callers in a closed loop, {jobs:,} jobs in {LOAD_SECONDS:g} s; a look",
        f"every {1000 * SAMPLE_EVERY_SECONDS:g} ms of the server's CPU time, {whole:,} of them. What a library does for a",
        "part of ours counts for that part. Written by `python -m bench.profile`.",
        "",
        "| part | share |",
        "|---|---|",
        *(f"| {part} | {count / whole:.1%} |" for part, count in parts.most_common()),
        "",
        "The functions of ours with the largest shares, each with the libraries that it calls:",
        "",
        "| function | file | share |",
        "|---|---|---|",
        *(
            f"| `{name}` | {file} | {count / whole:.1%} |"
            for (part, file, name), count in samples.most_common(FUNCTIONS_SHOWN)
            if part != THE_LOOP
        ),
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in environment().items()),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
