"""Job functions that job processes of the tests run: what one does is the job's metadata."""

# ruff: noqa: ASYNC220, ASYNC240, ASYNC251 - jobs that block are what is tried

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.lowlevel
import structlog

from worker_sdk import JobContext

PAGE = bytes(4096)
# What prewarm functions leave for the jobs of their process.
prewarmed: list[str] = []
# What a job keeps.
held: list[object] = []


async def job(ctx: JobContext) -> None:
    """Do what the metadata says: a name of ACTIONS, and an argument after a space."""
    name, _, argument = ctx.job.metadata.partition(" ")
    await globals()[name](ctx, argument)


def write(path: Path, text: str) -> None:
    """Write a file that is there whole, or not at all: others look at it meanwhile."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text)
    partial.rename(path)


async def succeed(_ctx: JobContext, _argument: str) -> None:
    """Return."""
    await anyio.lowlevel.checkpoint()


async def fail(_ctx: JobContext, argument: str) -> None:
    """Raise."""
    raise ValueError(argument)


async def exit_politely(_ctx: JobContext, argument: str) -> None:
    """Ask the interpreter to end."""
    sys.exit(int(argument))


async def exit_at_once(_ctx: JobContext, argument: str) -> None:
    """End the process, without a word."""
    os._exit(int(argument))


async def exit_in_a_task(_ctx: JobContext, argument: str) -> None:
    """Ask the interpreter to end, from a task that nobody awaits."""

    async def end() -> None:
        sys.exit(int(argument))

    held.append(asyncio.create_task(end()))
    await anyio.sleep_forever()


async def cancel_itself(_ctx: JobContext, _argument: str) -> None:
    """Cancel this very task, as asyncio does it."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await anyio.sleep_forever()


async def die_of(_ctx: JobContext, argument: str) -> None:
    """Send a signal to this process."""
    os.kill(os.getpid(), signal.Signals[argument])
    await anyio.sleep_forever()


async def garble(_ctx: JobContext, _argument: str) -> None:
    """Write what nobody can read to all sockets of the process."""
    for path in Path("/dev/fd").iterdir():
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(int(path.name)).st_mode):
                os.write(int(path.name), (4).to_bytes(4, "big") + b"\xff\xff\xff\xff")
    await anyio.sleep_forever()


async def crash(_ctx: JobContext, _argument: str) -> None:
    """Read where nothing is."""
    ctypes.string_at(0)


async def take_a_while(_ctx: JobContext, _argument: str) -> None:
    """Return after a moment."""
    await anyio.sleep(0.5)


async def wait(_ctx: JobContext, _argument: str) -> None:
    """Run until cancelled."""
    await anyio.sleep_forever()


async def tidy_up(_ctx: JobContext, argument: str) -> None:
    """Run until cancelled, and write the file at first and when that comes."""
    write(Path(argument), "begun")
    try:
        await anyio.sleep_forever()
    except anyio.get_cancelled_exc_class():
        write(Path(argument), "tidied up")
        raise


async def ignore_cancellation(_ctx: JobContext, _argument: str) -> None:
    """Go on, whatever is said."""
    with anyio.CancelScope(shield=True):
        await anyio.sleep_forever()


async def hang(_ctx: JobContext, _argument: str) -> None:
    """Stop the event loop."""
    time.sleep(600)


async def hang_in_c(_ctx: JobContext, _argument: str) -> None:
    """Compute in C for hours, without giving other threads a turn."""
    re.match(r"(a+)+$", "a" * 64 + "b")


async def use_memory(_ctx: JobContext, argument: str) -> None:
    """Take so many bytes and touch them."""
    held.append(PAGE * (int(argument) // len(PAGE)))
    await anyio.sleep_forever()


async def use_memory_in_a_child(ctx: JobContext, argument: str) -> None:
    """The same in a process that the job starts."""
    code = f"held = bytes(4096) * ({argument} // 4096); import time; time.sleep(600)"
    held.append(subprocess.Popen([sys.executable, "-c", code]))
    await wait(ctx, "")


async def leave_a_child(_ctx: JobContext, argument: str) -> None:
    """Start a process that outlives the job, and write down which."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    held.append(child)
    write(Path(argument), f"{os.getpid()} {child.pid}")


async def leave_a_child_and_wait(ctx: JobContext, argument: str) -> None:
    """The same, and the job goes on."""
    await leave_a_child(ctx, argument)
    await anyio.sleep_forever()


async def leave_a_child_and_hang(ctx: JobContext, argument: str) -> None:
    """The same, and the event loop stops."""
    await leave_a_child(ctx, argument)
    await hang(ctx, "")


async def leave_a_thread(_ctx: JobContext, _argument: str) -> None:
    """Start a thread that the interpreter waits for at its end."""
    threading.Thread(target=time.sleep, args=(600,)).start()


async def tell(ctx: JobContext, argument: str) -> None:
    """Write down who runs what, and what was prewarmed."""
    told = {
        "pid": os.getpid(),
        "prewarmed": prewarmed,
        "job": (ctx.job.id, ctx.job.room, ctx.attempt, ctx.attempt_reason, ctx.epoch),
        "more": (ctx.resuming, ctx.url, ctx.token),
        "python_path": os.environ.get("PYTHONPATH"),
    }
    write(Path(argument), repr(told))


async def tell_pid_and(ctx: JobContext, argument: str) -> None:
    """Write down the process's id, then do something else."""
    path, _, action = argument.partition(" ")
    write(Path(path), str(os.getpid()))
    await globals()[action](ctx, "")


async def log(ctx: JobContext, _argument: str) -> None:
    """Log in each of the ways that there are."""
    ctx.log.info("bound", number=1)
    structlog.get_logger().warning("module", thing=Path("x"))
    logging.getLogger("some.library").warning("library says %d", 7)
    logging.getLogger("some.library").debug("too fine")
    try:
        raise KeyError("inner")
    except KeyError:
        ctx.log.exception("caught")
    print("printed")


async def loop_name(_ctx: JobContext, argument: str) -> None:
    """Write down the kind of event loop."""
    name = anyio.get_cancelled_exc_class().__module__.partition(".")[0]
    if name == "asyncio":
        name = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    write(Path(argument), name)


# ---- prewarm ----


def prewarm() -> None:
    """Load what jobs need."""
    prewarmed.append("model")


async def prewarm_asynchronously() -> None:
    """The same, in the loop."""
    await anyio.lowlevel.checkpoint()
    prewarmed.append("connection")


def prewarm_raises() -> None:
    """Do not get there."""
    raise FileNotFoundError("no model in /models")


def prewarm_exits() -> None:
    """Do not get there either."""
    os._exit(9)


def prewarm_hangs() -> None:
    """Never get there."""
    time.sleep(600)


def prewarm_once_it_may() -> None:
    """Raise until a file is there; which one is said by the environment."""
    if not Path(os.environ["PREWARM_MAY"]).exists():
        raise RuntimeError("not yet")


def prewarm_and_say_so() -> None:
    """Make a file, and go on for a moment; which file is said by the environment."""
    Path(os.environ["PREWARM_SAYS"]).touch()
    time.sleep(0.5)


def prewarm_and_end_soon() -> None:
    """Get there, and have the process end a little later."""
    threading.Timer(0.05, os._exit, args=(5,)).start()
