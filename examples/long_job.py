"""A job of an hour that any worker goes on with where another one left it.

    python long_job.py dev
    callboard dispatch create --room backup --agent-name long-job --metadata '{"steps": 3600}'

After each step it saves how far it is, with its fencing token: a worker that was cut off, and does
not know yet that another one has the job, can save nothing any more.
"""

import json
import os
import sqlite3

import anyio

from worker_sdk import DrainPolicy, JobContext, Worker

DATABASE = os.environ.get("LONG_JOB_DATABASE", "long_job.sqlite")

# SIGTERM gives the jobs to other workers at once, as far as they have room.
worker = Worker(agent_name="long-job", drain_policy=DrainPolicy.HAND_OVER)


class Overtaken(Exception):
    """Somebody with a newer fencing token has saved: the job is theirs."""


class Progress:
    """How far each job is: a database that all workers share."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, timeout=10)
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS progress"
            " (job_id TEXT PRIMARY KEY, token INTEGER NOT NULL, steps INTEGER NOT NULL)"
        )

    def begin(self, job_id: str, token: int) -> int:
        """Take the job over from whoever had it before; return how many steps are done."""
        self._write(
            "INSERT INTO progress VALUES (?1, ?2, 0) ON CONFLICT (job_id) DO UPDATE"
            " SET token = ?2 WHERE token <= ?2",
            (job_id, token),
        )
        row = self._database.execute("SELECT steps FROM progress WHERE job_id = ?", (job_id,))
        (steps,) = row.fetchone()
        return int(steps)

    def save(self, job_id: str, token: int, steps: int) -> None:
        """Save how many steps are done; refused if a newer token was seen."""
        self._write(
            "UPDATE progress SET token = ?2, steps = ?3 WHERE job_id = ?1 AND token <= ?2",
            (job_id, token, steps),
        )

    def close(self) -> None:
        """Let the database go."""
        self._database.close()

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        if self._database.execute(statement, values).rowcount == 0:
            raise Overtaken


@worker.job
async def work(ctx: JobContext) -> None:
    """Do what is left of the steps."""
    order = {"steps": 60, "step_seconds": 1.0, **json.loads(ctx.job.metadata or "{}")}
    progress = Progress(DATABASE)
    ctx.add_shutdown_callback(progress.close)
    done = progress.begin(ctx.job.id, ctx.fencing_token)
    ctx.log.info("working", done=done, of=order["steps"], because=ctx.attempt_reason_text)
    while done < order["steps"]:
        await anyio.sleep(order["step_seconds"])  # the work
        done += 1
        progress.save(ctx.job.id, ctx.fencing_token, done)


if __name__ == "__main__":
    worker.run()
