"""`callboard rule`: standing orders as files, and why one does or does not call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from dispatcher.cli import completing
from dispatcher.cli.applying import Applied, FilesOption, apply_all, read_files, show_applied
from dispatcher.cli.blocks import Table, View, print_table
from dispatcher.cli.blocks import show as show_view
from dispatcher.cli.connection import (
    AllOption,
    DevOption,
    JsonOption,
    KeyOption,
    SecretOption,
    UrlOption,
    ask,
    number_named,
    some_pages,
)
from dispatcher.cli.failures import CommandFailed, missing_is
from dispatcher.cli.help_texts import examples
from dispatcher.cli.naming import AgentFilterOption, RoomOption
from dispatcher.cli.output import ago, as_json, hint_at_more, job_type_name, print_json
from dispatcher.cli.token import parse_pairs
from dispatcher.core.room_events import ParticipantKind, RoomEventKind
from protocol.errors import ConfigError, TwirpCode, TwirpError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dispatcher.core.rules import Rule
    from protocol import api_pb2, wire_pb2
    from worker_sdk.client import DispatchClient

app = typer.Typer(help="Apply, list and explain rules: whom to call for which room.")

EVENT_PANEL = "The event"

_EVENTS = tuple(kind.value for kind in RoomEventKind)
_KINDS = {kind.name.lower(): kind for kind in ParticipantKind}
_ROOM_EVENTS = (RoomEventKind.ROOM_STARTED.value, RoomEventKind.ROOM_FINISHED.value)

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The rule.", autocompletion=completing.rule_names)
]


@app.command("apply", epilog=examples(("callboard rule apply -f rules.yaml", "docs/rules.md")))
def apply(
    file: FilesOption,
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Create or change rules from files.

    What is there already, just so, is left alone. All files are checked before the first rule is
    sent. docs/rules.md says what is in them.
    """
    from dispatcher.rule_files import FILE_BYTES_MAX, load_rules, read_rules

    rules = read_files(file, "rule", FILE_BYTES_MAX, read_rules, load_rules)

    async def call(client: DispatchClient) -> tuple[list[Applied], CommandFailed | None]:
        from dispatcher.server.wire_rules import rule_message

        async def apply_one(rule: Rule) -> Applied:
            answer = await client.apply_rule(rule_message(rule))
            now = answer.rule
            what = "changed" if now.version > 1 else "created"
            return Applied(now.name, what if answer.changed else "unchanged", now.version)

        return await apply_all(rules, apply_one)

    done, failure = ask(call, url, api_key, api_secret, dev)
    show_applied("rule", "rules", done, failure, json)


@app.command("list")
def list_(
    agent_name: AgentFilterOption = "",
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most so many.")
    ] = 1000,
    all_: AllOption = False,
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """List rules by name."""

    async def call(client: DispatchClient) -> tuple[list[api_pb2.Rule], bool]:
        async def fetch(size: int, token: str) -> tuple[Iterable[api_pb2.Rule], str]:
            page = await client.list_rules(agent_name=agent_name, page_size=size, page_token=token)
            return page.rules, page.next_page_token

        return await some_pages(fetch, None if all_ else limit)

    rules, is_cut = ask(call, url, api_key, api_secret, dev)
    if json:
        print_json({"rules": [as_json(rule) for rule in rules]})
        return
    rows = [
        [
            rule.name,
            job_type_name(rule.type),
            rule.agent_name,
            _match(rule.match),
            str(rule.version),
            "yes" if rule.enabled else "no",
            ago(rule.updated_at),
        ]
        for rule in rules
    ]
    columns = ["name", "type", "agent", "match", "version", "enabled", "changed"]
    table = Table(columns, rows, "no rules", spare=["changed", "version"])
    show_view(View([table], hint_at_more(len(rules), is_cut)))


@app.command("show")
def show(
    name: NameArgument,
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Show a rule as a file, to be changed and applied again."""

    async def call(client: DispatchClient) -> api_pb2.Rule:
        with missing_is(f"there is no rule {name!r}"):
            return await client.get_rule(name)

    found = ask(call, url, api_key, api_secret, dev)
    if json:
        print_json(as_json(found))
        return
    from dispatcher.rule_checks import DEFAULT_RULE_LIMITS
    from dispatcher.rule_files import rule_text
    from dispatcher.server.wire_rules import read_rule
    from protocol.limits import DEFAULT_LIMITS

    rule = read_rule(found, DEFAULT_RULE_LIMITS, DEFAULT_LIMITS)
    typer.echo(f"# created {ago(found.created_at)}, changed {ago(found.updated_at)}")
    typer.echo(rule_text(rule), nl=False)


@app.command("delete")
def delete(
    name: NameArgument,
    version: Annotated[
        int,
        typer.Option("--version", metavar="N", min=0, help="Only while it is at this version."),
    ] = 0,
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Delete a rule.

    What waits for it is cancelled, what runs goes on.
    """

    async def call(client: DispatchClient) -> api_pb2.Rule:
        with missing_is(f"there is no rule {name!r}"):
            return await client.delete_rule(name, version=version)

    gone = ask(call, url, api_key, api_secret, dev)
    if json:
        print_json(as_json(gone))
    else:
        typer.echo(f"{gone.name} deleted")


@app.command(
    "explain",
    epilog=examples(
        ("callboard rule explain -r call-7", "the room as it is, with everybody in it"),
        ("callboard rule explain room_started -r call-8", "as if it began now"),
        ("callboard rule explain --job AJ_...", "what a job was made for"),
    ),
)
def explain(
    event: Annotated[
        str,
        typer.Argument(
            metavar="[EVENT]",
            autocompletion=completing.words(*_EVENTS),
            help=f"As if this happened now: one of {', '.join(_EVENTS)}. Without: the room as it is.",
            show_default=False,
        ),
    ] = "",
    room: RoomOption = "",
    job: Annotated[
        str,
        typer.Option(
            "--job",
            metavar="ID",
            help="What a job was made for, AJ_...",
            show_default=False,
            autocompletion=completing.job_ids,
        ),
    ] = "",
    rule: Annotated[
        str,
        typer.Option(
            "--rule",
            metavar="NAME",
            help="This rule alone.",
            show_default=False,
            autocompletion=completing.rule_names,
        ),
    ] = "",
    room_metadata: Annotated[
        str,
        typer.Option(
            "--room-metadata", metavar="JSON", help="Of the room.", rich_help_panel=EVENT_PANEL
        ),
    ] = "",
    identity: Annotated[
        str,
        typer.Option(
            "--identity", "-i", metavar="NAME", help="The participant.", rich_help_panel=EVENT_PANEL
        ),
    ] = "",
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            metavar="KIND",
            help=f"One of {', '.join(_KINDS)}.",
            rich_help_panel=EVENT_PANEL,
            autocompletion=completing.words(*_KINDS),
        ),
    ] = "",
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            "--attribute", metavar="KEY=VALUE", help="May be repeated.", rich_help_panel=EVENT_PANEL
        ),
    ] = None,
    metadata: Annotated[
        str,
        typer.Option(
            "--metadata", metavar="JSON", help="Of the participant.", rich_help_panel=EVENT_PANEL
        ),
    ] = "",
    url: UrlOption = None,
    api_key: KeyOption = None,
    api_secret: SecretOption = None,
    dev: DevOption = False,
    json: JsonOption = False,
) -> None:
    """Tell which rules match, and why each other one does not.

    Of a room as it is (--room), of an event as if it happened now (EVENT --room ...), or of what a
    job was made for (--job). Nobody is called by it.
    """
    if bool(room) == bool(job):
        raise ConfigError("give either --room or --job")
    of_event = {
        "--room-metadata": room_metadata,
        "--identity": identity,
        "--kind": kind,
        "--attribute": attribute,
        "--metadata": metadata,
    }
    given = [flag for flag, value in of_event.items() if value]
    if given and not event:
        raise ConfigError(f"{given[0]}: belongs to an event; name one of {', '.join(_EVENTS)}")
    if event and job:
        raise ConfigError("give either an event or --job")
    told = None
    if event:
        attributes = parse_pairs("--attribute", attribute or [])
        told = _event(event, room, room_metadata, identity, kind, attributes, metadata)

    async def call(client: DispatchClient) -> tuple[list[api_pb2.RuleVerdict], list[str]]:
        if job:
            return await _explain_job(client, job, rule), []
        if told is not None:
            return await client.explain_event(event=told, rule=rule), []
        return await client.explain_event(room=room, rule=rule), await _unserved(client, room)

    verdicts, unserved = ask(call, url, api_key, api_secret, dev)
    if json:
        print_json({"verdicts": [as_json(verdict) for verdict in verdicts], "unserved": unserved})
        return
    rows = [
        [
            verdict.rule,
            verdict.participant or "-",
            "matches" if verdict.matches else verdict.mismatch.condition,
            "-" if verdict.matches else verdict.mismatch.wanted,
            "-" if verdict.matches else verdict.mismatch.found,
            _job(verdict),
        ]
        for verdict in verdicts
    ]
    columns = ["rule", "participant", "verdict", "wanted", "found", "job"]
    print_table(columns, rows, "no rules", folds=columns[2:], spare=["participant"])
    for agent_name in unserved:
        typer.echo(f"a dispatch waits for agent {agent_name}: nobody ever served this agent")


# ---- explain ----


async def _unserved(client: DispatchClient, room: str) -> list[str]:
    """Return the agents that dispatches of a room name and that nobody ever served."""
    served = {agent.agent_name for agent in await client.list_agents()}
    asked_for = {dispatch.agent_name for dispatch in await client.list_dispatches(room)}
    return sorted(asked_for - served - {""})


def _event(
    event: str,
    room: str,
    room_metadata: str,
    identity: str,
    kind: str,
    attributes: dict[str, str],
    metadata: str,
) -> api_pb2.RoomEvent:
    from protocol import api_pb2

    if event not in _EVENTS:
        raise ConfigError(f"EVENT: must be one of {', '.join(_EVENTS)}, not {event!r}")
    told = api_pb2.RoomEvent(event=event)
    told.room.name, told.room.metadata = room, room_metadata
    if event in _ROOM_EVENTS:
        if identity or kind or attributes or metadata:
            raise ConfigError(f"{event} is about nobody; a participant has no place in it")
        return told
    if not identity:
        raise ConfigError(f"missing --identity: {event} is about a participant")
    told.participant.identity, told.participant.metadata = identity, metadata
    told.participant.attributes.update(attributes)
    if kind:
        number = number_named("--kind", _KINDS, kind)
        told.participant.kind = cast("wire_pb2.ParticipantInfo.Kind", number)
    return told


async def _explain_job(client: DispatchClient, job_id: str, rule: str) -> list[api_pb2.RuleVerdict]:
    """Explain what a job was made for: its participant, or its room, live if it is there."""
    from protocol import api_pb2

    with missing_is(f"there is no job {job_id}"):
        record = await client.get_job(job_id)
    job = record.job
    if job.dispatch_id:
        raise CommandFailed(f"{job_id} was made for the dispatch {job.dispatch_id}, not by a rule")
    if record.made_by == "bridge":
        raise CommandFailed(
            f"{job_id} was made for the SFU's dispatch {record.sfu_dispatch_id}, not by a rule"
        )
    found = await _explain_what_it_was_made_for(client, job, rule)
    made_by = record.rule
    if made_by and rule in ("", made_by) and all(each.rule != made_by for each in found):
        gone = api_pb2.RuleMismatch(
            condition="deleted", wanted="the rule", found="it was deleted since"
        )
        found.append(
            api_pb2.RuleVerdict(
                rule=made_by,
                mismatch=gone,
                participant=record.participant_identity,
                job_id=job_id,
                job_phase=record.phase,
            )
        )
    return found


async def _explain_what_it_was_made_for(
    client: DispatchClient, job: wire_pb2.Job, rule: str
) -> list[api_pb2.RuleVerdict]:
    from protocol import api_pb2, wire_pb2

    if job.type == wire_pb2.JT_ROOM:
        try:
            return await client.explain_event(room=job.room.name, rule=rule)
        except TwirpError as error:
            # The room is over, or the rule is: of the latter the next call tells.
            if error.code is not TwirpCode.NOT_FOUND:
                raise
    events = {
        wire_pb2.JT_ROOM: "room_started",
        wire_pb2.JT_PUBLISHER: "track_published",
        wire_pb2.JT_PARTICIPANT: "participant_joined",
    }
    told = api_pb2.RoomEvent(event=events[job.type], room=job.room)
    if job.type != wire_pb2.JT_ROOM:
        told.participant.CopyFrom(job.participant)
    return await client.explain_event(event=told, rule=rule)


def _job(verdict: api_pb2.RuleVerdict) -> str:
    """Return the job of a verdict, with its phase where that is told."""
    from protocol.api_pb2 import JobPhase

    if not verdict.job_id:
        return "-"
    if not verdict.job_phase:
        return verdict.job_id
    return f"{verdict.job_id} ({JobPhase.Name(verdict.job_phase).lower()})"


# ---- how a rule looks ----


def _match(match: api_pb2.RuleMatch) -> str:
    """Return the conditions in one line."""
    from dispatcher.core.documents import shown
    from dispatcher.server.wire_rules import scalar_of

    parts = [f"room={match.room}"] if match.room else []
    parts += [f"identity={'|'.join(match.identity)}"] if match.identity else []
    parts += [f"kind={'|'.join(match.kind)}"] if match.kind else []
    parts += [f"attributes.{name}={match.attributes[name]}" for name in sorted(match.attributes)]
    for field in ("room_metadata", "metadata"):
        values = getattr(match, field)
        parts += [
            f"{field}.{path}={shown(scalar_of(path, values[path]))}" for path in sorted(values)
        ]
    return " ".join(parts) or "all"
