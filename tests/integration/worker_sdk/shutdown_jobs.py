"""A job whose shutdown callbacks leave their words in a file: `PATH` or `PATH hang`."""

from __future__ import annotations

from pathlib import Path

import anyio

from worker_sdk import JobContext, ShutdownReason


async def job(ctx: JobContext) -> None:
    """Return, or wait until stopped."""
    name, _, manner = ctx.job.metadata.partition(" ")
    path = anyio.Path(name)

    async def save(reason: ShutdownReason) -> None:
        await anyio.sleep(0.05)
        await path.write_text(f"{await path.read_text()}saved: {reason}")

    def close() -> None:
        Path(name).write_text("closed, ")

    ctx.add_shutdown_callback(save)
    ctx.add_shutdown_callback(close)
    if manner == "late":
        ctx.add_shutdown_callback(anyio.sleep_forever)
    await path.touch()
    if manner == "wait":
        await anyio.sleep_forever()
