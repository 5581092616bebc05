"""Rules in files: what is read, and where an error is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.core.jobs import SECOND, JobType, RestartPolicy
from dispatcher.core.room_events import ParticipantKind
from dispatcher.core.rules import JsonScalar, Match, Rule
from dispatcher.rule_fields import FIELDS, MATCH_FIELDS, schema_text
from dispatcher.rule_files import FILE_BYTES_MAX, load_rules, read_rules, rule_text
from protocol import api_pb2
from protocol.errors import ConfigError
from tests.support.json_schema import fits

ROOT = Path(__file__).parents[3]

EVERYTHING = """\
name: everything
version: 7
type: publisher
match:
  room: "call-*"
  room_metadata:
    plan: free
    seats: 3
  identity: [ann, "b*"]
  kind: [STANDARD, sip]
  attributes:
    tier: 1
    vip: yes
  metadata:
    customer.tier: gold
    lines[0].open: true
    score: 1.5
    gone: null
    quoted: "no"
agent_name: greeter
deployment: blue
namespace: front
metadata: |
  {{"room": "{room.name}"}}
attributes:
  who: "{participant.identity}"
priority: -3
queue_deadline_seconds: 2.5
uniqueness_key: "{participant.attributes.account}"
concurrency_limit: 10
delay_seconds: 1
restart_policy: never
enabled: false
"""


def _read(text: str) -> list[Rule]:
    return read_rules(text.encode(), "rules.yaml")


def _error(text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        _read(text)
    message = str(refused.value)
    assert "\n" not in message
    return message


# ---- what is read ----


def test_every_field_is_read() -> None:
    assert _read(EVERYTHING) == [
        Rule(
            name="everything",
            version=7,
            job_type=JobType.PUBLISHER,
            agent_name="greeter",
            match=Match(
                room="call-*",
                room_metadata={"plan": "free", "seats": 3},
                identities=("ann", "b*"),
                kinds=frozenset({ParticipantKind.STANDARD, ParticipantKind.SIP}),
                attributes={"tier": "1", "vip": "yes"},
                metadata={
                    "customer.tier": "gold",
                    "lines[0].open": True,
                    "score": 1.5,
                    "gone": None,
                    "quoted": "no",
                },
            ),
            deployment="blue",
            namespace="front",
            metadata='{{"room": "{room.name}"}}\n',
            attributes={"who": "{participant.identity}"},
            priority=-3,
            queue_time=5 * SECOND // 2,
            uniqueness_key="{participant.attributes.account}",
            concurrency_limit=10,
            delay=SECOND,
            restart_policy=RestartPolicy.NEVER,
            enabled=False,
        )
    ]


def test_two_fields_are_enough() -> None:
    assert _read("name: a\nagent_name: b") == [Rule("a", JobType.ROOM, "b")]


@pytest.mark.parametrize(
    "text",
    [
        "- {name: a, agent_name: x}\n- {name: b, agent_name: x}",
        "name: a\nagent_name: x\n---\nname: b\nagent_name: x\n",
        "---\n- {name: a, agent_name: x}\n---\n# nothing here\n---\nname: b\nagent_name: x\n",
        "\ufeff- {name: a, agent_name: x}\n- {name: b, agent_name: x}",
        '[{"name": "a", "agent_name": "x"}, {"name": "b", "agent_name": "x"}]',
    ],
)
def test_a_file_has_one_rule_a_list_or_several_documents(text: str) -> None:
    assert [rule.name for rule in _read(text)] == ["a", "b"]


def test_one_text_stands_for_a_list_of_one() -> None:
    (rule,) = _read("{name: a, agent_name: b, match: {identity: ann, kind: agent}}")
    assert rule.match.identities == ("ann",)
    assert rule.match.kinds == {ParticipantKind.AGENT}


# ---- where an error is ----


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nme: a", "line 1: unknown field 'nme'; did you mean 'name'?"),
        (
            "name: a\nagent_name: b\nmatch:\n  atributes: {a: b}",
            "line 4: unknown field 'match.atributes'; did you mean 'attributes'?",
        ),
        ("name: a\nagent_name: b\nzzz: 1", "line 3: unknown field 'zzz': name, version, type"),
        ("\nname: a", "line 2: agent_name: is missing"),
        ("agent_name: b", "line 1: name: is missing"),
        ("name: a\nagent_name:", "line 2: agent_name: is missing"),
        ("name: a b\nagent_name: b", "line 1: name: must begin with a letter or a digit"),
        ("name: a\nagent_name: [b]", "line 2: agent_name: must be a text"),
        ("name: a\nagent_name: b\nname: c", "line 3: name: is set twice"),
        ("- name: a\n  agent_name: b\n- just text", "line 3: must be a mapping of fields"),
        ("name: a\nagent_name: b\nmatch: all", "line 3: match: must be a mapping of fields"),
        ("name: a\nagent_name: b\nmatch: {attributes: [a]}", "line 3: match.attributes: must be"),
        (
            "name: a\nagent_name: b\nmatch:\n  room: '['",
            "line 4: match.room: is not a glob: '[' at character 1 has no ']'",
        ),
        (
            "name: a\nagent_name: b\nmatch:\n  identity:\n  - a\n  - '[z-a]'",
            "line 4: match.identity: is not a glob: the range z-a",
        ),
        (
            "name: a\nagent_name: b\nmatch:\n  kind: agnet",
            "line 4: match.kind: must be one of STANDARD, INGRESS, EGRESS, SIP, AGENT, CONNECTOR",
        ),
        (
            "name: a\nagent_name: b\ntype: rooms",
            "line 3: type: must be one of room, publisher, participant, not 'rooms'; did you mean",
        ),
        ("name: a\nagent_name: b\nmatch:\n  kind: agnet", "'agnet'; did you mean 'AGENT'?"),
        ("name: a\nagent_name: b\npriority: high", "line 3: priority: must be a whole number"),
        ("name: a\nagent_name: b\nconcurrency_limit: -1", "line 3: concurrency_limit: must be 0"),
        ("name: a\nagent_name: b\ndelay_seconds: -1", "line 3: delay_seconds: must be a number of"),
        ("name: a\nagent_name: b\ndelay_seconds: .nan", "line 3: delay_seconds: must be a number"),
        ("name: a\nagent_name: b\nenabled: yes", "line 3: enabled: must be true or false"),
        (
            "name: a\nagent_name: b\nmetadata: '{roon.name}'",
            "line 3: metadata: has {roon.name}, which begins neither with room nor with participant",
        ),
        (
            "name: a\nagent_name: b\nattributes:\n  ok: x\n  who: '{participant.tier}'",
            "line 5: attributes.who: has {participant.tier}, but a participant has only identity",
        ),
        (
            "name: a\nagent_name: b\nmatch:\n  metadata:\n    a..b: 1",
            "line 4: match.metadata: has 'a..b', which is not a path",
        ),
        (
            "name: a\nagent_name: b\nmatch: {metadata: {a: {b: 1}}}",
            "line 3: match.metadata.a: must be a text, a number, true, false or null",
        ),
        ("name: a\nagent_name: b\nmatch: {metadata: {a: }}", "match.metadata.a: has no value"),
        ("name: a\nagent_name: b\ndeployment: x_y", "line 3: deployment: must not hold '_'"),
        ("name: a\nagent_name: b\nversion: -1", "line 3: version: must be 0 or more"),
        (
            "- {name: a, agent_name: b}\n\n- {name: a, agent_name: c}",
            "line 3: name: there is a rule",
        ),
        ("name: [a", "line 1: not valid YAML: expected"),
        ("name: a\n\tagent_name: b", "line 2: not valid YAML"),
        ("[" * 50_000, ": is nested too deeply"),
        ("# nothing", ": has no rule in it"),
        ("", ": has no rule in it"),
        ("[]", ": has no rule in it"),
    ],
)
def test_an_error_names_file_line_and_field(text: str, message: str) -> None:
    assert _error(text).startswith("rules.yaml")
    assert message in _error(text)


@pytest.mark.parametrize("text", ["no", "on", "010", "0x1F", "12:30", "1_000", ".inf", "1."])
def test_what_yaml_would_make_of_a_text_has_to_be_quoted(text: str) -> None:
    rule = f"{{name: a, agent_name: b, match: {{metadata: {{a: {text}}}}}}}"
    assert f"match.metadata.a: must be quoted if it is a text, not {text!r}" in _error(rule)
    (read,) = _read(rule.replace(f"a: {text}", f"a: '{text}'"))
    assert read.match.metadata == {"a": text}


def test_10000_conditions_are_refused_by_name() -> None:
    conditions = ", ".join(f"k{number}: v" for number in range(10_000))
    text = f"name: a\nagent_name: b\nmatch:\n  attributes: {{{conditions}}}"
    assert _error(text) == ("rules.yaml, line 3: match: has 10000 conditions, the limit is 100")


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        read_rules(b"name: \xff", "rules.yaml")


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match=f"is larger than {FILE_BYTES_MAX} bytes"):
        load_rules(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml: no such file"):
        load_rules(tmp_path / "missing.yaml")


def test_a_file_of_rules_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("name: a\nagent_name: b")
    assert load_rules(path) == [Rule("a", JobType.ROOM, "b")]


# ---- what is written ----

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="{}\x00"), max_size=12)
_SCALARS: st.SearchStrategy[JsonScalar] = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 53), 1 << 53), _TEXT, st.sampled_from([0.5, -2.25])
)
_PATHS = st.sampled_from(["a", "a.b", "lines[0].x", '["a.b"]'])


@given(
    st.builds(
        Rule,
        name=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}", fullmatch=True),
        job_type=st.sampled_from(JobType),
        agent_name=_TEXT.filter(bool),
        match=st.builds(
            Match,
            room=st.sampled_from(["", "call-*", "yes", "[ab]?"]),
            room_metadata=st.dictionaries(_PATHS, _SCALARS, max_size=2),
            identities=st.lists(st.sampled_from(["a", "1", "*"]), max_size=2).map(tuple),
            kinds=st.frozensets(st.sampled_from(ParticipantKind), max_size=2),
            attributes=st.dictionaries(_TEXT.filter(bool), _TEXT, max_size=2),
            metadata=st.dictionaries(_PATHS, _SCALARS, max_size=2),
        ),
        metadata=_TEXT,
        attributes=st.dictionaries(_TEXT, _TEXT, max_size=2),
        priority=st.integers(-1000, 1000),
        queue_time=st.integers(0, 1000).map(lambda number: number * SECOND // 4),
        concurrency_limit=st.integers(0, 5),
        restart_policy=st.sampled_from(RestartPolicy),
        enabled=st.booleans(),
        version=st.integers(0, 100),
    )
)
@example(Rule("a", JobType.ROOM, "b", metadata="\x85\u2028 \ufeff\t\r\n"))
def test_a_rule_that_is_written_is_read_as_it_was(rule: Rule) -> None:
    (read,) = _read(rule_text(rule))
    assert read == rule
    assert read.says_the_same(rule)


# ---- the schema ----


def test_the_schema_is_that_of_the_fields() -> None:
    kept = (ROOT / "docs" / "rule.schema.json").read_text()
    assert kept == schema_text(), "python -m dispatcher.rule_fields > docs/rule.schema.json"


# What one says of a document, the other has to say: with `name` and `agent_name`, and without.
_SAME_TO_BOTH = [
    "type: ROOM", "type: Publisher", "type: rooms", "type: 1", "type: ''",
    "match: {kind: sip}", "match: {kind: [SIP, Agent]}", "match: {kind: sips}", "match: {kind: []}",
    "match: {identity: ann}", "match: {identity: 5}", "match: {identity: [a, 'b*']}",
    "match: {identity: ''}", "match: {identity: [a, '']}", "match: {identity: {a: b}}",
    "match: {room: 7}", "match: {room: [a]}", "match: {room: null}", "match: {}", "match: all",
    "match: {attributes: {tier: 1}}", "match: {attributes: {vip: true}}",
    "match: {attributes: {tier: 1.5}}", "match: {attributes: {tier: null}}",
    "match: {attributes: {tier: }}", "match: {attributes: {tier: [1]}}", "match: {attributes: x}",
    "match: {metadata: {a: 1, b: x, c: true, d: null}}", "match: {metadata: {a: [1]}}",
    "match: {zzz: 1}", "zzz: 1", "version: 3", "version: -1", "version: '3'", "version: 1.5",
    "priority: 1000000", "priority: 2000000", "priority: -1000000", "priority: -2000000",
    "priority: '10'", "priority: high", "priority: 1.5", "priority: true", "priority: null",
    "concurrency_limit: 0", "concurrency_limit: -1", "concurrency_limit: 1000001",
    "queue_deadline_seconds: 2.5", "queue_deadline_seconds: 1", "queue_deadline_seconds: -1",
    "queue_deadline_seconds: 31536001", "queue_deadline_seconds: '1'",
    "delay_seconds: 31536000", "delay_seconds: 31536000.5", "delay_seconds: soon",
    "enabled: true", "enabled: false", "enabled: 'true'", "enabled: 1", "enabled: null",
    "restart_policy: NEVER", "restart_policy: on_failure", "restart_policy: always",
    "metadata: 7", "metadata: {a: 1}", "metadata: ''", "attributes: {a: 1}", "deployment: 7",
    "namespace: null", "uniqueness_key: 1", "uniqueness_key: [a]",
]  # fmt: skip
_ALONE = [
    "{name: a, agent_name: b}", "{name: 1, agent_name: 2}", "{name: -1, agent_name: b}",
    "{name: '', agent_name: b}", "{name: a b, agent_name: b}", "{name: .a, agent_name: b}",
    "{name: a, agent_name: ''}", "{name: a, agent_name: }", "{name: a}", "{agent_name: b}",
    "{name: [a], agent_name: b}", "[]", "[{name: a, agent_name: b}, {name: b, agent_name: b}]",
    "[{name: a, agent_name: b}, text]", "text", "7",
]  # fmt: skip


@pytest.mark.parametrize(
    "text", [f"name: a\nagent_name: b\n{one}" for one in _SAME_TO_BOTH] + _ALONE
)
def test_the_schema_and_the_reader_take_and_refuse_the_same(text: str) -> None:
    try:
        is_read = bool(_read(text))
    except ConfigError:
        is_read = False
    assert fits(yaml.safe_load(text), json.loads(schema_text())) is is_read


def test_both_know_documents_that_they_take_and_that_they_refuse() -> None:
    schema = json.loads(schema_text())
    assert fits(yaml.safe_load(EVERYTHING.replace("vip: yes", "vip: 'yes'")), schema)
    assert not fits({"name": "a", "agent_name": "b", "priority": 2_000_000}, schema)


def test_the_fields_are_those_of_the_wire() -> None:
    set_by_the_server = {"created_at", "updated_at"}
    wire = {field.name for field in api_pb2.Rule.DESCRIPTOR.fields}
    assert {field.name for field in FIELDS} == wire - set_by_the_server
    match = {field.name for field in api_pb2.RuleMatch.DESCRIPTOR.fields}
    assert {field.name for field in MATCH_FIELDS} == match


def test_every_field_of_the_example_is_in_the_schema() -> None:
    schema: dict[str, Any] = json.loads(schema_text())
    properties = schema["$defs"]["rule"]["properties"]
    lines = [line for line in EVERYTHING.splitlines() if line and line[0] not in " {"]
    assert {line.partition(":")[0] for line in lines} == set(properties)
    assert schema["$defs"]["rule"]["required"] == ["name", "agent_name"]
