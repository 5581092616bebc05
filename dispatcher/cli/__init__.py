"""The command line `callboard`.

One of the two places that compose `dispatcher` and `worker_sdk` (the other is worker_sdk.testing):
`serve` runs the server, the client commands and the demo speak to one through the SDK.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration; a failure is one line on stderr. What
is heavy is imported inside the command that needs it, so that `--help` and completion are quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import NoReturn

__all__ = ["INTERRUPTED", "main"]

# Exit code of what Ctrl-C ended.
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit the process with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        # A room may have any name, and a terminal any encoding.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        from dispatcher.cli.commands import command
        from dispatcher.cli.failures import exit_code_of_failure
    except KeyboardInterrupt:  # to read all that takes a moment, and longer on a busy machine
        sys.stderr.write("callboard: interrupted\n")
        sys.exit(INTERRUPTED)
    with exit_code_of_failure() as outcome:
        code = command()(given or ["--help"], prog_name="callboard", standalone_mode=False)
        outcome.code = code if isinstance(code, int) else 0
    sys.exit(outcome.code)
