"""A verdict for people and for programs.

For people: each violation with what is known of its job as a small timeline, the places that
contradict each other marked, so that somebody who is woken by it sees what happened. For programs:
plain values, times in nanoseconds as text, as the API's JSON has them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from dispatcher.core.jobs import SECOND, Nanoseconds
from dispatcher.history.evidence import WorkerRecord
from dispatcher.history.verdict import Evidence, Finding, Verdict, Violation
from dispatcher.store.contract import EventRow

MARK = ">"
NOTHING = "-"
NOTHING_TO_JUDGE = "nothing to judge"
COLUMNS = ("invariant", "judged", "violations", "not judged")
_DONE = {"start": "started it", "stop": "was told to stop it", "end": "ended it"}


def summary(verdict: Verdict) -> list[str]:
    """Return in lines what was looked at, and what was not there to be looked at."""
    events = f"{verdict.events:,} events"
    if verdict.events:
        events += f", {verdict.first_sequence} to {verdict.last_sequence}"
        events += f" ({moment(verdict.first_at)} to {moment(verdict.last_at)})"
    in_flight = verdict.jobs - verdict.ended_jobs
    lines = [f"{events}, {verdict.jobs:,} jobs, {in_flight:,} of them not ended"]
    if verdict.records or verdict.acknowledged:
        lines.append(
            f"{verdict.records:,} records of workers,"
            f" {verdict.acknowledged:,} acknowledged dispatches"
        )
    if torn := verdict.torn_lines:
        lines.append(f"{torn:,} torn line{'s'[: torn > 1]} of the logs skipped, and not judged")
    if missing := verdict.missing_records:
        told = f"{missing:,} record{'s'[: missing > 1]} missing by their workers' own word"
        lines.append(f"{told} (a full disk), and not judged")
    for gone in verdict.gone:
        if gone.after == 0:
            lines.append(f"history before event {gone.next} is gone, and is not judged")
        else:
            lines.append(f"events {gone.after + 1} to {gone.next - 1} were pruned meanwhile")
    return lines


def finding_cells(finding: Finding) -> list[str]:
    """Return the finding as cells of COLUMNS: no number where nothing was judged."""
    unjudged = "; ".join(f"{count:,}: {why}" for why, count in finding.unjudged.items())
    if not finding.is_judged:
        return [finding.invariant, NOTHING, NOTHING, unjudged or NOTHING_TO_JUDGE]
    return [
        finding.invariant,
        f"{finding.judged:,} {finding.of}",
        f"{finding.violations:,}",
        unjudged or NOTHING,
    ]


def conclusion(verdict: Verdict) -> str:
    """Return the verdict in one line."""
    if not verdict.is_judged:
        return NOTHING_TO_JUDGE
    if verdict.is_clean:
        return "no violation"
    broken = [finding for finding in verdict.findings if finding.violations]
    count = sum(finding.violations for finding in broken)
    told = ", ".join(f"{finding.violations:,} of {finding.invariant}" for finding in broken)
    return f"{count:,} violation{'s'[: count > 1]}: {told}"


def unjudged(verdict: Verdict) -> list[str]:
    """Return in lines which invariants nothing was judged of, and why where that is known."""
    return [
        f"{NOTHING_TO_JUDGE} of {one.invariant}: {one.promise}"
        for one in verdict.findings
        if not one.is_judged
    ]


def told(violation: Violation, promise: str = "") -> str:
    """Return a violation for people, in lines: what, and the timeline with its marks."""
    job = f"{violation.job_id}: " if violation.job_id else ""
    lines = [f"{violation.invariant}: {job}{_plain(violation.what)}"]
    if promise:
        lines.append(f"  promised: {promise}")
    for place, evidence in enumerate(violation.timeline):
        mark = MARK if place in violation.marked else " "
        lines.append(f"  {mark} {moment(at_of(evidence))}  {_who(evidence):<14} {_what(evidence)}")
    return "\n".join(lines)


def as_json(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict as plain values."""
    return {
        "clean": verdict.is_clean,
        "events": verdict.events,
        "first_sequence": str(verdict.first_sequence),
        "last_sequence": str(verdict.last_sequence),
        "first_at": str(verdict.first_at),
        "last_at": str(verdict.last_at),
        "jobs": verdict.jobs,
        "ended_jobs": verdict.ended_jobs,
        "records": verdict.records,
        "acknowledged": verdict.acknowledged,
        "missing_records": verdict.missing_records,
        "torn_lines": verdict.torn_lines,
        "gone": [{"after": str(gone.after), "next": str(gone.next)} for gone in verdict.gone],
        "invariants": [
            {
                "name": finding.invariant,
                "promise": finding.promise,
                "of": finding.of,
                "verdict": _word(finding),
                "judged": finding.judged,
                "violations": finding.violations,
                "not_judged": dict(finding.unjudged),
            }
            for finding in verdict.findings
        ],
        "violations": [
            {
                "invariant": violation.invariant,
                "job_id": violation.job_id,
                "what": violation.what,
                "timeline": [
                    {**_plain_evidence(evidence), "marked": place in violation.marked}
                    for place, evidence in enumerate(violation.timeline)
                ],
            }
            for violation in verdict.violations
        ],
    }


def _word(finding: Finding) -> str:
    if not finding.is_judged:
        return NOTHING_TO_JUDGE
    return "broken" if finding.violations else "holds"


def at_of(evidence: Evidence) -> Nanoseconds:
    """Return when it happened, by the clock of whoever wrote it down."""
    return evidence.at


def moment(at: Nanoseconds) -> str:
    """Return a moment in local time, to the millisecond; "-" for 0."""
    if at <= 0:
        return "-".ljust(23)
    text = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at // SECOND))
    return f"{text}.{at // 1_000_000 % 1000:03d}"


def _who(evidence: Evidence) -> str:
    if isinstance(evidence, EventRow):
        return f"event {evidence.sequence}"
    return "worker" if isinstance(evidence, WorkerRecord) else "caller"


def _what(evidence: Evidence) -> str:
    if isinstance(evidence, EventRow):
        words = [
            f"{evidence.trigger.value} -> {evidence.phase.value}",
            f"epoch {evidence.epoch}",
            f"attempt {evidence.attempt}",
            evidence.worker_id,
            evidence.reason,
            evidence.error,
            evidence.detail,
        ]
    elif isinstance(evidence, WorkerRecord):
        words = [
            f"{evidence.instance_id} {_DONE[evidence.event]}, epoch {evidence.epoch}",
            evidence.outcome,
            evidence.reason,
        ]
    else:
        words = [f"dispatch {evidence.dispatch_id} acknowledged"]
    return _plain(", ".join(word for word in words if word))


def _plain_evidence(evidence: Evidence) -> dict[str, Any]:
    if isinstance(evidence, EventRow):
        return {
            "source": "event",
            "seq": str(evidence.sequence),
            "at": str(evidence.at),
            "kind": evidence.trigger.value,
            "phase": evidence.phase.value,
            "epoch": evidence.epoch,
            "attempt": evidence.attempt,
            "worker_id": evidence.worker_id,
            "reason": evidence.reason,
            "error": evidence.error,
            "detail": evidence.detail,
        }
    if isinstance(evidence, WorkerRecord):
        return {
            "source": "worker",
            "at": str(evidence.at),
            "kind": evidence.event,
            "epoch": evidence.epoch,
            "instance_id": evidence.instance_id,
            "outcome": evidence.outcome,
            "reason": evidence.reason,
        }
    return {"source": "caller", "at": str(evidence.at), "dispatch_id": evidence.dispatch_id}


def _plain(text: str) -> str:
    """Return the text on one line, without what would steer a terminal."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def all_told(verdict: Verdict) -> Iterator[str]:
    """Yield every violation that was kept, for people."""
    for violation in verdict.violations:
        yield told(violation, verdict.finding(violation.invariant).promise)
