"""Calls of callboard.RuleService: which rooms and participants get which agent by themselves."""

from __future__ import annotations

from protocol import api_pb2
from worker_sdk.client.paging import Page, Rows
from worker_sdk.client.retries import Repeatable
from worker_sdk.client.transport import Call, Calls

__all__ = ["RuleCalls"]

_SERVICE = "callboard.RuleService"


class RuleCalls(Calls):
    """Rules, each with a name that is unique in its project and a version that grows."""

    async def apply_rule(self, rule: api_pb2.Rule) -> api_pb2.ApplyRuleResponse:
        """Create a rule, or change it. When this returns, that is on the server's disk.

        With `rule.version`, TwirpError `failed_precondition` unless the rule is at it now. Without, it
        overwrites what is there, and for that is not repeated when its answer was lost:
        ServerUnreachable with `may_have_happened`; the same rule again changes nothing. TwirpError
        `invalid_argument` names the field that is wrong.
        """
        return await self._transport.call(
            Call(
                _SERVICE,
                "ApplyRule",
                api_pb2.ApplyRuleRequest(rule=rule),
                api_pb2.ApplyRuleResponse,
                Repeatable.ALWAYS if rule.version else Repeatable.NEVER,
            )
        )

    async def get_rule(self, name: str) -> api_pb2.Rule:
        """One rule. TwirpError `not_found` where there is none."""
        request = api_pb2.GetRuleRequest(name=name)
        return await self._transport.call(Call(_SERVICE, "GetRule", request, api_pb2.Rule))

    async def list_rules(
        self, *, agent_name: str = "", page_size: int = 0, page_token: str = ""
    ) -> api_pb2.ListRulesResponse:
        """One page of the rules, by name; of all agents where `agent_name` is empty.

        `page_size` 0: the server's default. `next_page_token` of the answer leads to the next page.
        """
        request = api_pb2.ListRulesRequest(
            agent_name=agent_name, page_size=page_size, page_token=page_token
        )
        return await self._transport.call(
            Call(_SERVICE, "ListRules", request, api_pb2.ListRulesResponse)
        )

    def iterate_rules(self, *, agent_name: str = "", page_size: int = 0) -> Rows[api_pb2.Rule]:
        """All rules that `list_rules` would give, over all its pages."""

        async def fetch(page_token: str, /) -> Page[api_pb2.Rule]:
            answer = await self.list_rules(
                agent_name=agent_name, page_size=page_size, page_token=page_token
            )
            return Page(answer.rules, answer.next_page_token)

        return Rows(fetch)

    async def delete_rule(self, name: str, *, version: int = 0) -> api_pb2.Rule:
        """Delete a rule; what waits for it is cancelled, what runs goes on. Returns what it was.

        `version` 0: whatever it is now; else TwirpError `failed_precondition` unless it is at it.
        TwirpError `not_found`.
        """
        return await self._transport.call(
            Call(
                _SERVICE,
                "DeleteRule",
                api_pb2.DeleteRuleRequest(name=name, version=version),
                api_pb2.Rule,
                gone=api_pb2.Rule(name=name, version=version),
            )
        )

    async def explain_event(
        self, *, event: api_pb2.RoomEvent | None = None, room: str = "", rule: str = ""
    ) -> list[api_pb2.RuleVerdict]:
        """Which rules match an event, or a live room, and why each other one does not.

        Either `event`, as if it happened now, or `room`, for everybody who is in it; those that match
        come first. `rule`: of this one alone. TwirpError `not_found`; `resource_exhausted` where there
        would be too many verdicts. Nothing is changed.
        """
        request = api_pb2.ExplainEventRequest(event=event, room=room, rule=rule)
        answer = await self._transport.call(
            Call(_SERVICE, "ExplainEvent", request, api_pb2.ExplainEventResponse)
        )
        return list(answer.verdicts)
