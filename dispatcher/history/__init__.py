"""The history checker: judges what really happened, by what was written down of it.

`check(events, worker_records, acknowledged)` holds a run's event log, the records of its workers and
the acknowledgements of its callers against the invariants, and says which do not hold, with the
events that show it. It is pure: it reads what it is handed, once, in a stream.

`checking` leads the cases through the checkers, one class an invariant (`checkers`, `run_checkers`,
`worker_checkers`, `deadline_checkers`, `store_checkers`). `reading` has the events of a data folder and of a server,
and the logs of workers and callers; `report` shows a verdict to people and to programs. Nothing here
uses the engine but for the table of lifecycles.
"""

from dispatcher.history.checking import check
from dispatcher.history.evidence import (
    Acknowledgement,
    Comparison,
    Contradiction,
    Gone,
    HistoryUnreadable,
    JobFacts,
    MissingRecords,
    Numbers,
    StoreFacts,
    WorkerRecord,
    acknowledgement_of,
    worker_record_of,
)
from dispatcher.history.verdict import Assumptions, Evidence, Finding, Verdict, Violation

__all__ = [
    "Acknowledgement",
    "Assumptions",
    "Comparison",
    "Contradiction",
    "Evidence",
    "Finding",
    "Gone",
    "HistoryUnreadable",
    "JobFacts",
    "MissingRecords",
    "Numbers",
    "StoreFacts",
    "Verdict",
    "Violation",
    "WorkerRecord",
    "acknowledgement_of",
    "check",
    "worker_record_of",
]
