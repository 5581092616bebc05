"""Jobs that compute: each in a process of its own, so that none slows another one or the worker.

python cpu_heavy.py dev
callboard dispatch create --room primes --agent-name cpu-heavy --metadata 1000000
"""

import math

import anyio.lowlevel

from worker_sdk import JobContext, ProcessExecutor, Worker

SMALL = 10_000
SLICE = 10_000

worker = Worker(
    agent_name="cpu-heavy",
    capacity=4,
    executor=ProcessExecutor(warm=2, memory_bytes_max=512 * 1024 * 1024, job_seconds_max=600),
)
small_primes: list[int] = []


@worker.prewarm
def prepare() -> None:
    """Make what every job needs: once in each process, before its job comes."""
    small_primes.extend(n for n in range(2, SMALL) if is_prime(n))


def is_prime(number: int) -> bool:
    """The small primes up to now divide no prime."""
    root = math.isqrt(number)
    for prime in small_primes:
        if prime > root:
            return True
        if number % prime == 0:
            return False
    return True


@worker.job
async def count_primes(ctx: JobContext) -> None:
    """Count the primes below the number in the metadata."""
    below = int(ctx.job.metadata or 100_000)
    if below > SMALL**2:
        raise ValueError(f"at most {SMALL**2}")
    found = 0
    for start in range(2, below, SLICE):
        found += sum(is_prime(n) for n in range(start, min(start + SLICE, below)))
        # Now and then the process says that it is alive, and hears if the job is to stop.
        await anyio.lowlevel.checkpoint()
    ctx.log.info("counted", primes=found, below=below)


if __name__ == "__main__":
    worker.run()
