"""Options that name an agent or a room, the same in each command that has them.

Left to others: what a shell offers for them (`completing`), the options of the connection (`connection`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from dispatcher.cli import completing

AgentFilterOption = Annotated[
    str,
    typer.Option(
        "--agent-name",
        "-a",
        metavar="NAME",
        help="Only this agent's.",
        autocompletion=completing.agent_names,
    ),
]
RoomOption = Annotated[
    str,
    typer.Option(
        "--room",
        "-r",
        metavar="NAME",
        help="The room.",
        autocompletion=completing.room_names,
    ),
]
