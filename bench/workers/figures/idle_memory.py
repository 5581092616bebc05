"""What a worker occupies that waits for its first job: the whole tree of its processes."""

from __future__ import annotations

import statistics
from dataclasses import asdict
from typing import TYPE_CHECKING

import anyio

from bench.workers.figure import Figure, Plan, compared, span, table
from bench.workers.subjects import Subject, idle_processes

if TYPE_CHECKING:
    from bench.workers.process_tree import Memory
    from bench.workers.stage import Stage

MIB = 1024 * 1024


async def measure(stage: Stage, plan: Plan) -> Figure:
    """Start each so many times, let it settle, and read its memory."""
    found: dict[Subject, list[Memory]] = {subject: [] for subject in Subject}
    for _ in range(plan.memory_rounds):
        for subject, memories in found.items():
            agent = stage.agent(subject)
            with agent.worker() as worker:
                await agent.registered()
                await anyio.sleep(plan.memory_settle_seconds)
                memories.append(worker.tree.memory())
    pss = {
        subject: [memory.pss_bytes / MIB for memory in memories]
        for subject, memories in found.items()
    }
    medians = {subject: statistics.median(values) for subject, values in pss.items()}
    return Figure(
        title="memory of an idle worker (MiB, proportional set size)",
        how=(
            f"All at their defaults; ours in processes keeps {idle_processes()} of them warm, as"
            " livekit-agents' does by default on this machine (one a core). The whole tree of processes,"
            f" {plan.memory_settle_seconds:g} s after it has registered, {plan.memory_rounds} fresh starts."
        ),
        cells={subject: span(values) for subject, values in pss.items()},
        verdict=compared("takes", medians),
        samples={subject.name: list(map(asdict, found[subject])) for subject in Subject},
        details=table(
            ["MiB, medians", *(subject.value for subject in Subject)],
            [
                [
                    name,
                    *(
                        f"{statistics.median(getattr(each, attribute) for each in found[s]) / unit:,.0f}"
                        for s in Subject
                    ),
                ]
                for name, attribute, unit in (
                    ("proportional (PSS)", "pss_bytes", MIB),
                    ("unshared (USS)", "uss_bytes", MIB),
                    ("resident (RSS), shared pages once for each process", "rss_bytes", MIB),
                    ("processes", "processes", 1),
                )
            ],
        ),
        bars=medians,
        bars_unit="MiB",
    )
