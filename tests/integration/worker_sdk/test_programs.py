"""However a worker's program was started, its job processes find its functions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Runs one job in a process and prints what it wrote; {run} is how the program starts.
PROGRAM = """
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import anyio
import structlog

import beside
from worker_sdk import JobContext, ProcessExecutor, Worker
from worker_sdk.executors import WorkerProgram

worker = Worker("greeter", url="ws://127.0.0.1:1", api_key="k", api_secret="s",
                executor=ProcessExecutor(warm=0))
prewarmed = []

@dataclass
class Point:
    x: int

@worker.prewarm
def prewarm() -> None:
    prewarmed.append(beside.NAME)

@worker.job
async def greet(ctx: JobContext) -> None:
    main = sys.modules["__main__"]
    Path(ctx.job.metadata).write_text(
        f"{{__name__}} {{main.__name__}} {{prewarmed}} {{sys.argv[1:]}} {{main.greet is greet}}"
    )

async def main() -> None:
    from tests.integration.worker_sdk.pool import start
    program = WorkerProgram(greet, prewarm)
    executor = ProcessExecutor(warm=0, process_wait_seconds_max={wait})
    executor.check(program)
    async with executor.open(program, structlog.get_logger()) as runner:
        outcome = await runner.run(start(sys.argv[1]), anyio.CancelScope(), structlog.get_logger())
        print(outcome.kind.value, outcome.error)

{run}
"""
GUARDED = 'if __name__ == "__main__":\n    anyio.run(main)\n'
ROOT = Path(__file__).parents[3]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an interpreter to its end; the folder is where it is run."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A program in a script, in one without an ending, in a module and in a package."""
    for path in ("script.py", "script", "package/module.py", "package/__main__.py"):
        place = tmp_path / path
        place.parent.mkdir(exist_ok=True)
        place.write_text(PROGRAM.format(run=GUARDED, wait=30))
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "beside.py").write_text('NAME = "beside"\n')
    # What lies about where a worker is started is not imported by its processes.
    (tmp_path / "elsewhere" / "protocol").mkdir(parents=True)
    (tmp_path / "elsewhere" / "protocol" / "__init__.py").write_text("raise SystemExit(99)\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "module", "main"),
    [
        (["script.py"], "__mp_main__", "__mp_main__"),
        (["script"], "__mp_main__", "__mp_main__"),
        (["-m", "package.module"], "package.module", "package.module"),
        (["-m", "package"], "package.__main__", "package.__main__"),
    ],
)
def test_a_program_is_loaded_again_however_it_was_started(
    arguments: list[str], module: str, main: str, folder: Path
) -> None:
    out = folder / "out"
    ended = run(folder, *arguments, str(out))
    assert ended.stdout.splitlines()[-1:] == ["success "], ended.stderr
    assert out.read_text() == f"{module} {main} ['beside'] {[str(out)]} True"


def test_the_folder_that_a_worker_is_started_in_is_not_searched(folder: Path) -> None:
    out = folder / "out"
    ended = run(folder / "elsewhere", str(folder / "script.py"), str(out))
    assert ended.stdout.splitlines()[-1:] == ["success "], ended.stderr


def test_a_job_of_a_script_may_use_multiprocessing(folder: Path) -> None:
    text = PROGRAM.format(run=GUARDED, wait=30).replace(
        "    main = sys.modules",
        "    from concurrent.futures import ProcessPoolExecutor\n"
        "    from multiprocessing import get_context\n"
        "    with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as pool:\n"
        "        assert pool.submit(Point, 3).result(30) == Point(3)\n"
        "    main = sys.modules",
    )
    (folder / "parallel.py").write_text(text)
    ended = run(folder, "parallel.py", str(folder / "out"))
    assert ended.stdout.splitlines()[-1:] == ["success "], ended.stdout + ended.stderr


def test_a_program_that_configures_its_logs_is_obeyed_in_its_processes(folder: Path) -> None:
    configure = (
        "structlog.configure(processors=[structlog.processors.JSONRenderer()])\n"
        "import logging\n"
        "logging.basicConfig(format='formatted: %(message)s')\n"
    )
    text = PROGRAM.format(run=GUARDED, wait=30).replace(
        "    main = sys.modules",
        "    ctx.log.info('from a job')\n"
        "    logging.getLogger('x').warning('from a library')\n"
        "    main = sys.modules",
    )
    (folder / "logging_program.py").write_text(
        text.replace("worker = Worker", f"{configure}worker = Worker")
    )
    ended = run(folder, "logging_program.py", str(folder / "out"))
    assert '"event": "from a job"' in ended.stdout
    assert ended.stderr.count("formatted: from a library\n") == 1


def test_a_program_that_runs_its_worker_without_asking_is_told_what_to_write(folder: Path) -> None:
    (folder / "careless.py").write_text(PROGRAM.format(run=f"{GUARDED}\nworker.run()\n", wait=8))
    ended = run(folder, "careless.py", str(folder / "out"))
    assert 'put it under `if __name__ == "__main__":`' in ended.stdout


def test_a_function_of_the_guarded_part_is_missed_by_its_name(folder: Path) -> None:
    text = PROGRAM.format(run=GUARDED, wait=8)
    hidden = text.replace(
        "@worker.prewarm\ndef prewarm", 'if __name__ == "__main__":\n  def prewarm'
    )
    (folder / "hidden.py").write_text(
        hidden.replace("    prewarmed.append", "      prewarmed.append")
    )
    ended = run(folder, "hidden.py", str(folder / "out"))
    assert "__mp_main__ has no prewarm when a job process loads it" in ended.stdout


def test_functions_that_were_typed_in_are_refused(folder: Path) -> None:
    ended = run(folder, "-c", PROGRAM.format(run=GUARDED, wait=5), str(folder / "out"))
    assert ended.stderr.splitlines()[-1].endswith("put them in a file")
    assert ended.returncode == 1
