"""How help texts are put together."""

from __future__ import annotations


def examples(*lines: tuple[str, str]) -> str:
    """Return the end of a command's help: commands to copy, each with what it is for."""
    return "\n".join(
        ["[bold]Examples[/bold]", *(f"{each}  [dim]# {told}[/dim]" for each, told in lines)]
    )
