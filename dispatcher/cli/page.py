"""docs/command-line.md: the commands with their options, as they say themselves.

`python -m dispatcher.cli.page > docs/command-line.md` writes it; a test holds the page against them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

from dispatcher.cli.commands import command, commands_of

__all__ = ["command_line_page"]

_HEAD = """\
# The command line

Written by `python -m dispatcher.cli.page` from the commands themselves; a test holds it against them.

Client commands find their server by `--url`, `--api-key` and `--api-secret`, or LIVEKIT_URL,
LIVEKIT_API_KEY and LIVEKIT_API_SECRET; `--dev` means a server that was started with `--dev`. They need
a key of the project, and import nothing of the server.

## What they write

- **On a terminal**: tables that fit it. Cells are cut with `…`, and columns that matter least are left
  out, which stderr says; an id is always whole. Times are for people (`3 s ago`). Colour, unless
  `NO_COLOR` is set.
- **In a pipe**: a line for the columns and one for each row, with tabs between the cells, nothing cut
  or left out, no colour.
- **With `--json`**: one document, the API's own JSON (the messages of
  `protocol/proto/protocol/api.proto`): names in snake_case, fields without a value there too, enums by
  name. Times are whole nanoseconds since 1970 (`"created_at": "1795305804316000000"`), and like all
  64-bit numbers texts, so that no reader rounds them; 0 is never. Those that LiveKit's own messages
  have in seconds stay so: the `exp` of a token, the timeouts and `creation_time` of a room.
  A list is an object with one field, `{"jobs": [...]}`, a thing is an object.
- **With `--watch`**: the same again every `--interval` seconds: in place on a terminal, where the last
  look stays when it ends; one after the other in a pipe; with `--json` one document a line. Ctrl-C ends
  it (130). A job that is watched ends it by itself when it has ended. A server that goes away
  meanwhile is waited for, and that is said.
- **stderr** has what is beside the answer: that there is nothing, that there is more, why it failed.

| exit code | what it means |
|---|---|
| 0 | done |
| 1 | failed, or was refused; one line on stderr says why |
| 2 | wrong usage or configuration; one line says what |
| 3 | of `check-history` and `loadtest`: there is no verdict |
| 130 | ended by Ctrl-C |

## Completion

`callboard --install-completion` sets it up for the shell that you are in (bash, zsh, fish, PowerShell);
`callboard --show-completion` shows the script. Commands, options, phases and events are completed, and
ids and names by asking the server, where it answers within a second: options on the line and the
environment say which.
"""

_SERVER = "The server"
_MARKUP = re.compile(r"\[/?(?:bold|dim)\]")


def command_line_page() -> str:
    """Return the page."""
    parts = [_HEAD]
    for name, each in commands_of(command(), "callboard"):
        if name != "callboard":
            parts.append("\n".join(_section(name, each)))
    return "\n".join(parts)


def _section(name: str, each: Any) -> Iterator[str]:  # noqa: ANN401 (typer's click has no public types)
    if getattr(each, "commands", None) is not None:
        yield f"## {name}\n"
        yield f"{_plain(each.help)}\n"
        return
    yield f"{'##' if name.count(' ') == 1 else '###'} {name}\n"
    arguments = [one for one in each.params if one.param_type_name == "argument"]
    options = [one for one in each.params if one.param_type_name == "option" and not one.hidden]
    usage = [name, *(_argument(one) for one in arguments), "[OPTIONS]" if options else ""]
    yield f"    {' '.join(filter(None, usage))}\n"
    yield f"{_plain(each.help)}\n"
    for one in arguments:
        yield f"- `{one.metavar}`: {_plain(one.help)}"
    for one in options:
        if one.rich_help_panel != _SERVER:
            yield f"- {_option(one)}"
    if any(one.rich_help_panel == _SERVER for one in options):
        names = " ".join(f"`{one.opts[0]}`" for one in options if one.rich_help_panel == _SERVER)
        yield f"- {names}: the server, as above."
    yield ""
    if each.epilog:
        examples = _MARKUP.sub("", each.epilog).splitlines()[1:]
        yield "\n".join(["```sh", *examples, "```", ""])


def _argument(one: Any) -> str:  # noqa: ANN401 (as above)
    name = str(one.metavar or one.name.upper())
    return name if one.required or name.startswith("[") else f"[{name}]"


def _option(one: Any) -> str:  # noqa: ANN401 (as above)
    names = ", ".join(
        f"`{name} {one.metavar}`" if one.metavar else f"`{name}`" for name in one.opts
    )
    told = _plain(one.help or "")
    default = one.default
    if one.show_default and default not in (None, "", False, ()) and not callable(default):
        told += f" Default {getattr(default, 'value', default)}."
    if one.required:
        told += " Must be given."
    return f"{names}: {told}" if told else names


def _plain(text: str) -> str:
    """Return a help text for the page: its paragraphs, a line each."""
    paragraphs = (" ".join(part.split()) for part in text.split("\n\n"))
    return "\n\n".join(paragraphs).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(command_line_page())
