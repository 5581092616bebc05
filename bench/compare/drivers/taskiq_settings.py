"""The environment by which `taskiq_tasks.py` is told what to connect to."""

from __future__ import annotations

__all__ = ["BROKER_VARIABLE", "SOCKET_VARIABLE", "URL_VARIABLE"]

# Redis's address; which of taskiq's brokers on it (stream, list); where to tell of jobs.
URL_VARIABLE, BROKER_VARIABLE, SOCKET_VARIABLE = "COMPARE_URL", "COMPARE_BROKER", "COMPARE_SOCKET"
