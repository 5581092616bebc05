"""Whether this process is a worker's job process, where a program is loaded but never runs itself."""

from __future__ import annotations

from protocol.errors import ConfigError

__all__ = ["become_job_process", "refuse_in_job_process"]

_is_job_process = False


def become_job_process() -> None:
    """Say, before the user's module is loaded, that this is a job process."""
    global _is_job_process
    _is_job_process = True


def refuse_in_job_process(call: str) -> None:
    """ConfigError where a program starts a worker while a job process only loads its functions."""
    if _is_job_process:
        raise ConfigError(
            f"{call} was called while a job process loaded the program:"
            ' put it under `if __name__ == "__main__":`'
        )
