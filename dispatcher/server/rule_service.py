"""callboard.RuleService: rules are applied, read, deleted and explained (A17).

The engine owns the rules; a change is answered when it is durable. Left to others: what a rule may be
(`dispatcher.rule_checks`), why one does not match (`explaining`).
"""

from __future__ import annotations

from collections.abc import Iterator

from anyio.lowlevel import checkpoint

from dispatcher.core.effects import Outcome, Reply
from dispatcher.core.events import RuleApplyRequested, RuleDeletionRequested
from dispatcher.core.rules import Rule
from dispatcher.rule_checks import RuleLimits, check_rule_name
from dispatcher.runtime import Runtime
from dispatcher.server.explaining import (
    AUTOMATIC_NAME,
    Scene,
    Standing,
    Verdict,
    automatic_verdicts,
    scene_of_event,
    scene_of_room,
    tests_of,
    verdicts,
)
from dispatcher.server.job_service import may_read, phase_now
from dispatcher.server.limits import ServerLimits
from dispatcher.server.pages import page_size, place_after
from dispatcher.server.twirp import Call, Method, MethodTable
from dispatcher.server.wire_rooms import read_report
from dispatcher.server.wire_rules import mismatch_message, read_rule, rule_message
from protocol import api_pb2
from protocol.errors import InvalidField, TwirpCode, TwirpError
from protocol.limits import check_agent_name, check_room_name

SERVICE = "callboard.RuleService"

# Verdicts after which others have their turn.
_VERDICTS_AT_ONCE = 200
# Jobs of one explanation whose phases are looked up.
_PHASES_TOLD_MAX = 200


class RuleService:
    """Answers calls about rules."""

    def __init__(self, runtime: Runtime, limits: ServerLimits, rules: RuleLimits) -> None:
        self._runtime = runtime
        self._wire = limits.wire
        self._limits = rules

    def methods(self) -> MethodTable:
        """Return the service's rows of the Twirp table."""
        return {
            SERVICE: {
                "ApplyRule": Method(
                    api_pb2.ApplyRuleRequest, may_read, self.apply, takes_unknown=False
                ),
                "GetRule": Method(api_pb2.GetRuleRequest, may_read, self.get),
                "ListRules": Method(api_pb2.ListRulesRequest, may_read, self.list),
                "DeleteRule": Method(api_pb2.DeleteRuleRequest, may_read, self.delete),
                "ExplainEvent": Method(
                    api_pb2.ExplainEventRequest, may_read, self.explain, takes_unknown_names=True
                ),
            }
        }

    async def apply(
        self, call: Call, request: api_pb2.ApplyRuleRequest
    ) -> api_pb2.ApplyRuleResponse:
        """Create a rule, or change it; the same rule again changes nothing."""
        if not request.HasField("rule"):
            raise InvalidField("rule", "is missing")
        rule = read_rule(request.rule, self._limits, self._wire)
        self._check_room_for(call.project, rule)
        reply = await self._runtime.ask(
            lambda number: RuleApplyRequested(number, call.project, rule)
        )
        if reply.outcome in (Outcome.STALE, Outcome.REFUSED):
            raise _refusal(reply, rule.name)
        return api_pb2.ApplyRuleResponse(
            rule=rule_message(self._known(call, rule.name)),
            changed=reply.outcome is not Outcome.EXISTED,
        )

    async def get(self, call: Call, request: api_pb2.GetRuleRequest) -> api_pb2.Rule:
        """Tell all of one rule."""
        check_rule_name("name", request.name, self._limits)
        return rule_message(self._known(call, request.name))

    async def list(
        self, call: Call, request: api_pb2.ListRulesRequest
    ) -> api_pb2.ListRulesResponse:
        """List rules by name."""
        check_agent_name("agent_name", request.agent_name, self._wire)
        size = page_size(request.page_size, self._wire)
        after = place_after(request.page_token, self._wire)
        found = [
            rule
            for rule in self._project(call)
            if rule.name > after and request.agent_name in ("", rule.agent_name)
        ]
        found.sort(key=lambda rule: rule.name)
        response = api_pb2.ListRulesResponse(rules=[rule_message(rule) for rule in found[:size]])
        if len(found) > size:
            response.next_page_token = found[size - 1].name
        return response

    async def delete(self, call: Call, request: api_pb2.DeleteRuleRequest) -> api_pb2.Rule:
        """Delete a rule, and answer with what it was."""
        name = request.name
        check_rule_name("name", name, self._limits)
        rule = self._known(call, name)
        reply = await self._runtime.ask(
            lambda number: RuleDeletionRequested(number, call.project, name, request.version)
        )
        if reply.outcome is Outcome.NOT_FOUND:
            raise _not_found(name)
        if reply.outcome in (Outcome.STALE, Outcome.REFUSED):
            raise _refusal(reply, name)
        return rule_message(rule)

    async def explain(
        self, call: Call, request: api_pb2.ExplainEventRequest
    ) -> api_pb2.ExplainEventResponse:
        """Tell which rules match an event or a live room, and why each other one does not."""
        scene = self._scene(call, request)
        if request.rule:
            check_rule_name("rule", request.rule, self._limits)
            rules = [self._known(call, request.rule)]
        else:
            rules = sorted(self._project(call), key=lambda rule: rule.name)
        standing = self._standing(call.project, scene.room.room.name)
        count, count_max = tests_of(scene, rules), self._limits.verdicts_max
        if count > count_max:
            raise TwirpError(
                TwirpCode.RESOURCE_EXHAUSTED,
                f"{len(rules)} rules and {len(scene.people)} participants are {count} verdicts, the"
                f" limit is {count_max}; name one rule, or one participant in an event",
            )
        found: list[Verdict] = []
        for verdict in verdicts(scene, rules, standing):
            found.append(verdict)
            if len(found) % _VERDICTS_AT_ONCE == 0:
                await checkpoint()
        if not request.rule:
            found += automatic_verdicts(scene, standing)
        found.sort(key=lambda verdict: not verdict.matches)
        response = api_pb2.ExplainEventResponse(verdicts=[_verdict_message(one) for one in found])
        await self._tell_phases(call, response)
        return response

    def _standing(self, project: str, room: str) -> Standing:
        engine = self._runtime.engine
        return Standing(
            lambda order: engine.live_jobs_of(project, order),
            lambda order, key: engine.holder_of(project, order, key),
            engine.automatic_types(project),
            engine.calls_of_room(project, room),
        )

    async def _tell_phases(self, call: Call, response: api_pb2.ExplainEventResponse) -> None:
        """Say of the first jobs in which phase they are: one that failed is not as if it were there."""
        looked_up = 0
        for verdict in response.verdicts:
            if verdict.job_id and looked_up < _PHASES_TOLD_MAX:
                looked_up += 1
                stored = await self._runtime.store.get_job(call.project, verdict.job_id)
                if stored is not None:
                    verdict.job_phase = phase_now(self._runtime.engine, stored)

    def _scene(self, call: Call, request: api_pb2.ExplainEventRequest) -> Scene:
        if request.HasField("event") == bool(request.room):
            raise InvalidField("event", "or room must be given, and not both")
        rooms = self._runtime.engine.rooms
        if request.HasField("event"):
            event = read_report(request.event, call.project, self._wire)
            return scene_of_event(event, rooms.get((call.project, event.room.name)))
        check_room_name("room", request.room, self._wire)
        live = rooms.get((call.project, request.room))
        if live is None:
            raise TwirpError(TwirpCode.NOT_FOUND, "the room is not there")
        return scene_of_room(live)

    def _known(self, call: Call, name: str) -> Rule:
        rule = self._runtime.engine.rules.get((call.project, name))
        if rule is None:
            raise _not_found(name)
        return rule

    def _project(self, call: Call) -> Iterator[Rule]:
        for (project, _), rule in self._runtime.engine.rules.items():
            if project == call.project:
                yield rule

    def _check_room_for(self, project: str, rule: Rule) -> None:
        """Refuse a new rule of a project that has as many as it may have."""
        rules, count_max = self._runtime.engine.rules, self._limits.rules_max
        # Counting is only needed where the rules of all projects are as many as one may have.
        if len(rules) < count_max or (project, rule.name) in rules:
            return
        if sum(1 for owner, _ in rules if owner == project) >= count_max:
            raise TwirpError(
                TwirpCode.RESOURCE_EXHAUSTED,
                f"the project has {count_max} rules, which is the limit (rules.rules_max)",
            )


def _refusal(reply: Reply, name: str) -> TwirpError:
    """Return the error that a change was refused: its detail names versions or the bound."""
    stale = reply.outcome is Outcome.STALE
    code = TwirpCode.FAILED_PRECONDITION if stale else TwirpCode.RESOURCE_EXHAUSTED
    return TwirpError(code, f"rule {name!r} was not changed: {reply.detail}")


def _not_found(name: str) -> TwirpError:
    return TwirpError(TwirpCode.NOT_FOUND, f"there is no rule {name!r}")


def _verdict_message(verdict: Verdict) -> api_pb2.RuleVerdict:
    message = api_pb2.RuleVerdict(
        rule=verdict.rule.name or AUTOMATIC_NAME,
        version=verdict.rule.version,
        matches=verdict.matches,
        participant=verdict.participant,
        job_id=verdict.job_id,
    )
    if verdict.mismatch is not None:
        message.mismatch.CopyFrom(mismatch_message(verdict.mismatch))
    return message
