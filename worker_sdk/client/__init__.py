"""The API client, in two forms: `DispatchClient` for event loops, `SyncDispatchClient` for threads.

The modules here are the first; `blocking/` is generated from them (`python -m
worker_sdk.client.generate`). docs/client.md shows all of it at work.
"""

from worker_sdk.client.blocking.client import SyncDispatchClient
from worker_sdk.client.client import DispatchClient
from worker_sdk.client.event_stream import JobEvent
from worker_sdk.client.messages import ReportedRoomEvent
from worker_sdk.client.transport import CALL_TIMEOUT_SECONDS, RETRY_SECONDS_MAX

__all__ = [
    "CALL_TIMEOUT_SECONDS",
    "RETRY_SECONDS_MAX",
    "DispatchClient",
    "JobEvent",
    "ReportedRoomEvent",
    "SyncDispatchClient",
]
