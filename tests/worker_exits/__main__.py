"""`python -m tests.worker_exits`: print a line for each way to end and number of jobs.

Exit code 0 where every worker of ours ended with code 0 and all of its jobs are accounted for.
"""

import argparse
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path

import anyio

from tests.conformance.processes import API_KEY, API_SECRET, Server
from tests.worker_exits.run import Ending, Exit, Fate, run
from worker_sdk import DispatchClient


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.worker_exits", description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--jobs", default="1,6,50", help="numbers of jobs, with commas")
    parser.add_argument("--stock", action="store_true", help="livekit-agents' worker, too")
    given = parser.parse_args()
    counts = [int(text) for text in given.jobs.split(",")]
    return anyio.run(_main, given.runs, counts, given.stock)


async def _main(runs: int, counts: list[int], with_stock: bool) -> int:
    print("| worker | jobs | runs | exit codes | seconds to exit (median, most) | jobs |")
    print("|---|---|---|---|---|---|")
    is_good = True
    with tempfile.TemporaryDirectory(prefix="worker-exits-") as folder:
        server = Server(Path(folder))
        try:
            await server.start()
            async with DispatchClient(server.http_url, API_KEY, API_SECRET) as client:
                for ending in Ending:
                    if ending.is_stock and not with_stock:
                        continue
                    for jobs in counts:
                        exits = [
                            await run(_new(folder), server, client, ending, jobs)
                            for _ in range(runs)
                        ]
                        print(_row(ending, jobs, exits), flush=True)
                        is_good = is_good and (ending.is_stock or _are_good(jobs, exits))
        finally:
            server.clean_up()
    return 0 if is_good else 1


def _new(folder: str) -> Path:
    return Path(tempfile.mkdtemp(dir=folder))


def _row(ending: Ending, jobs: int, exits: list[Exit]) -> str:
    codes = Counter("hung" if each.code is None else str(each.code) for each in exits)
    seconds = [each.seconds for each in exits]
    fates = sum((each.fates for each in exits), Counter[Fate]())
    cells = [
        ending.value,
        str(jobs),
        str(len(exits)),
        ", ".join(f"{code}: {count}" for code, count in codes.most_common()),
        f"{statistics.median(seconds):.2f}, {max(seconds):.2f}",
        ", ".join(f"{fate.value}: {count}" for fate, count in fates.most_common()),
    ]
    return f"| {' | '.join(cells)} |"


def _are_good(jobs: int, exits: list[Exit]) -> bool:
    return all(
        each.code == 0 and each.fates[Fate.ENDED_THERE] + each.fates[Fate.HANDED_OVER] == jobs
        for each in exits
    )


if __name__ == "__main__":
    sys.exit(main())
