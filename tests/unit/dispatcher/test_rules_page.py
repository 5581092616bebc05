"""docs/rules.md: every example on it does what the page says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from dispatcher.core.conditions import mismatch
from dispatcher.core.globs import glob
from dispatcher.core.jobs import JobType
from dispatcher.core.room_events import Participant, ParticipantKind, RoomInfo
from dispatcher.core.rules import Rule
from dispatcher.core.templates import fill
from dispatcher.rule_fields import FIELDS, Field
from dispatcher.rule_files import read_rules
from protocol.errors import ConfigError

PAGE = (Path(__file__).parents[3] / "docs" / "rules.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
(METADATA,) = re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)

ROOM = RoomInfo("call-1", "RM_1", '{"plan": "free"}')
ANN = Participant("ann", "PA_1", metadata=METADATA, attributes={"sip.phoneNumber": "+1"})


def _rows(table: str) -> Iterator[list[str]]:
    """Yield the cells of a table on the page, without its head."""
    inside = PAGE.split(f"<!-- {table} -->\n")[1].split(f"<!-- /{table} -->")[0]
    for line in inside.splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


def _code(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


def _fields(fields: Iterable[Field], prefix: str = "") -> Iterator[str]:
    for field in fields:
        text = field.help
        if field.choices:
            text += f" One of {', '.join(f'`{choice}`' for choice in field.choices)}."
        if field.is_required:
            text += " Required."
        yield f"| `{prefix}{field.name}` | {text} |"
        yield from _fields(field.fields, f"{prefix}{field.name}.")


def test_the_table_of_fields_is_that_of_the_reader() -> None:
    inside = PAGE.split("<!-- fields -->\n")[1].split("<!-- /fields -->")[0]
    wanted = ["| field | what it is |", "|---|---|", *_fields(FIELDS)]
    assert inside.splitlines() == wanted


@pytest.mark.parametrize("block", BLOCKS)
def test_the_rules_of_the_page_can_be_applied(block: str) -> None:
    assert read_rules(block.encode(), "rules.md")


def _called(*participants: Participant) -> list[tuple[str, str]]:
    rules = read_rules(BLOCKS[0].encode(), "rules.md")
    return [
        (rule.agent_name, who.identity)
        for rule in rules
        for who in participants
        if mismatch(rule, ROOM, who) is None
    ]


def test_the_first_example_calls_whom_the_page_says() -> None:
    vip = Participant("vip", attributes={"tier": "vip"})
    assert _called(ANN, vip) == [
        ("greeter", "ann"),
        ("greeter", "vip"),
        ("transcriber", "ann"),
        ("transcriber", "vip"),
        ("concierge", "vip"),
    ]


def test_the_example_with_everything_has_every_field_but_the_version() -> None:
    (rule,) = read_rules(BLOCKS[1].encode(), "rules.md")
    lines = BLOCKS[1].splitlines()
    top = {line.partition(":")[0] for line in lines if not line.startswith(" ")}
    inside = {line.strip().partition(":")[0] for line in lines if re.match(r"  \w", line)}
    assert top == {field.name for field in FIELDS} - {"version"}
    match = next(field for field in FIELDS if field.name == "match")
    assert {field.name for field in match.fields} <= inside
    caller = Participant(
        "sip_+49301234",
        kind=ParticipantKind.SIP,
        attributes={"tier": "vip", "sip.phoneNumber": "+49301234"},
        metadata='{"customer": {"language": "de"}, "lines": [{"recorded": false}]}',
    )
    room = RoomInfo("call-7", metadata='{"plan": "enterprise"}')
    assert mismatch(rule, room, caller) is None
    assert fill(rule.attributes["caller"], room, caller) == "+49301234"


@pytest.mark.parametrize("row", list(_rows("globs")))
def test_a_glob_of_the_page_matches_what_it_says(row: list[str]) -> None:
    pattern = glob(_code(row[0])[0])
    assert all(pattern.matches(name) for name in _code(row[1]))
    assert not any(pattern.matches(name) for name in _code(row[2]))


@pytest.mark.parametrize("row", list(_rows("paths")))
def test_a_condition_of_the_page_holds_or_not(row: list[str]) -> None:
    text = (
        f"name: a\nagent_name: b\ntype: participant\nmatch:\n  metadata:\n    {_code(row[0])[0]}\n"
    )
    (rule,) = read_rules(text.encode(), "rules.md")
    assert (mismatch(rule, ROOM, ANN) is None) is {"yes": True, "no": False}[row[1]]


@pytest.mark.parametrize("row", list(_rows("templates")))
def test_a_template_of_the_page_becomes_what_it_says(row: list[str]) -> None:
    assert fill(_code(row[0])[0], ROOM, ANN) == _code(row[1])[0]


@pytest.mark.parametrize("row", list(_rows("errors")))
def test_an_error_of_the_page_is_the_error(row: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        read_rules(_code(row[0])[0].encode(), "rules.yaml")
    assert str(refused.value) == f"rules.yaml, {_code(row[1])[0]}"


def test_every_table_of_the_page_was_read() -> None:
    for table, least in (("globs", 7), ("paths", 11), ("templates", 9), ("errors", 5)):
        assert len(list(_rows(table))) >= least


def test_a_room_rule_of_the_page_is_a_rule_of_rooms() -> None:
    greeter: Rule = read_rules(BLOCKS[0].encode(), "rules.md")[0]
    assert greeter.job_type is JobType.ROOM
    assert mismatch(greeter, ROOM, None) is None
