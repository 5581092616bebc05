"""Fields on a terminal: what a thing is called stands out from what it is; and what is said beside."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from dispatcher.cli.blocks import Fields, Table, View, show

BOLD, END = "\x1b[1m", "\x1b[0m"


def shown(fields: dict[str, str], width: int) -> str:
    """Return what a terminal of this width gets, with its codes."""
    out = io.StringIO()
    Fields(fields).draw(
        Console(file=out, width=width, force_terminal=True, color_system="standard", no_color=False)
    )
    return out.getvalue()


def test_of_a_field_the_name_alone_is_bold() -> None:
    assert shown({"room": "call-7"}, 80) == f"{BOLD}room: {END}call-7\n"


def test_the_name_alone_is_bold_where_the_value_goes_on_below_or_beyond_the_edge() -> None:
    folded = shown({"why": "no worker of its lane can take it"}, 30)
    assert folded == f"{BOLD}why: {END}no worker of its lane can\n     take it\n"
    assert shown({"id": "x" * 50}, 30) == f"{BOLD}id: {END}{'x' * 50}\n"


def test_what_is_said_beside_one_look_is_not_said_beside_the_next(
    capsys: pytest.CaptureFixture[str],
) -> None:
    view = View([Table(["id"], [], "no jobs")], ["there are more"])
    said = show(view)
    assert capsys.readouterr().err == "there are more\nno jobs\n"
    show(View([Table(["id"], [], "no rooms")], ["there are more"]), said)
    assert capsys.readouterr().err == "no rooms\n"
