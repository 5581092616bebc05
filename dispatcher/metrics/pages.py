"""GET /metrics for Prometheus, and /scaling for KEDA and others who scale workers.

    /metrics                       all metrics, as text
    /scaling/agents                every agent of a project, as JSON
    /scaling/agents/{agent_name}   one agent: `?deployment=`, `?agent_namespace=`, both matched exactly
    /scaling/unnamed               the workers without a name, likewise

`?project=` names the project where the reader sees several. `?jobs_per_worker=` says what a worker
takes, where that is not known or not to be believed. An agent that nobody ever heard of is answered with
zeros: it is what KEDA needs to know that none is needed, until one is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from dispatcher.metrics.census import AgentCount, AgentKey, CensusTaker
from dispatcher.metrics.collector import Collector, wait_seconds
from dispatcher.metrics.door import MetricsDoor, Reader
from dispatcher.metrics.exposition import preferred
from dispatcher.metrics.scaling import WorkerKind, desired_workers
from protocol.errors import InvalidField, TokenError, TwirpCode, TwirpError, WireError
from protocol.limits import WireLimits, check_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from dispatcher.core.jobs import Nanoseconds

METRICS = "/metrics"
AGENTS = "/scaling/agents"
UNNAMED = "/scaling/unnamed"

JOBS_PER_WORKER_MAX = 1_000_000

_NO_STORE = {"cache-control": "no-store"}
_ASK_FOR_TOKEN = {**_NO_STORE, "www-authenticate": 'Basic realm="callboard", Bearer'}


class MetricsPages:
    """Answers the paths. `projects` are those of the server, the first one that of plain keys."""

    def __init__(
        self,
        collector: Collector,
        census_taker: CensusTaker,
        door: MetricsDoor,
        projects: Collection[str],
        agents_max: int,
        now: Callable[[], Nanoseconds],
        limits: WireLimits,
    ) -> None:
        self._collector = collector
        self._census_taker = census_taker
        self._door = door
        self._projects = projects
        self._agents_max = agents_max
        self._now = now
        self._limits = limits

    def routes(self) -> list[Route]:
        """Return the routes; other methods than GET and HEAD are 405."""
        return [
            Route(METRICS, self._guarded(self._say_metrics), methods=["GET"]),
            Route(AGENTS, self._guarded(self._list_agents), methods=["GET"]),
            Route(f"{AGENTS}/{{agent_name:path}}", self._guarded(self._say_agent), methods=["GET"]),
            Route(UNNAMED, self._guarded(self._say_agent), methods=["GET"]),
        ]

    def _guarded(
        self, answer: Callable[[Request, Reader], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                return await answer(request, self._door.reader(request.scope))
            except TokenError as error:
                return PlainTextResponse(f"{error}\n", 401, _ASK_FOR_TOKEN)
            except WireError as error:
                problem = error.as_twirp()
                return JSONResponse(problem.to_json(), problem.http_status, _NO_STORE)

        return guarded

    async def _say_metrics(self, request: Request, reader: Reader) -> Response:
        if reader.project is not None and len(self._projects) > 1:
            raise TwirpError(
                TwirpCode.PERMISSION_DENIED,
                "metrics tell of all projects, and the token is of one: set metrics.token",
            )
        form = preferred(request.headers.get("accept", ""))
        text = await self._collector.scrape(form)
        return Response(text, headers={**_NO_STORE, "content-type": form.value})

    # --- scaling ----------------------------------------------------------------------------

    async def _list_agents(self, request: Request, reader: Reader) -> Response:
        project = self._project(request, reader)
        census = await self._census_taker.census()
        of_project = [key for key in census.agents if key[0] == project]
        # A list for people: what scales asks for its own agent, which is always told.
        shown = sorted(of_project)[: self._agents_max]
        return JSONResponse(
            {
                "agents": [self._told(key, census.agents[key]) for key in shown],
                "left_out": len(of_project) - len(shown),
            },
            headers=_NO_STORE,
        )

    async def _say_agent(self, request: Request, reader: Reader) -> Response:
        asked = request.query_params
        agent_name = request.path_params.get("agent_name", "")
        deployment = asked.get("deployment", "")
        namespace = asked.get("agent_namespace", "")
        limits = self._limits
        check_text("agent_name", agent_name, limits.agent_name_bytes_max)
        check_text("deployment", deployment, limits.deployment_bytes_max)
        check_text("agent_namespace", namespace, limits.namespace_bytes_max)
        key = self._project(request, reader), agent_name, namespace, deployment
        kind = _kind_asked(asked)
        census = await self._census_taker.census()
        count = census.agents.get(key) or self._census_taker.nothing_of(key)
        return JSONResponse(self._told(key, count, kind), headers=_NO_STORE)

    def _project(self, request: Request, reader: Reader) -> str:
        asked = request.query_params.get("project", "")
        if reader.project is not None:
            if asked not in ("", reader.project):
                raise TwirpError(TwirpCode.PERMISSION_DENIED, "the token is of another project")
            return reader.project
        if not asked and len(self._projects) > 1:
            raise InvalidField("project", "is needed: there are several")
        if asked and asked not in self._projects:
            raise InvalidField("project", "is none of this server's")
        return asked or next(iter(self._projects))

    def _told(
        self, key: AgentKey, count: AgentCount, asked: WorkerKind | None = None
    ) -> dict[str, object]:
        kind = asked or count.kind
        assert kind is not None, "a census concludes each count"
        return {
            "project": key[0],
            "agent_name": key[1],
            "agent_namespace": key[2],
            "deployment": key[3],
            "workers": count.connected,
            "queued": count.waiting,
            "oldest_wait_seconds": round(wait_seconds(count, self._now()), 3),
            "running": count.running + count.orphaned,
            "free_slots": count.free_slots,
            "jobs_per_worker": round(kind.slots_each, 3),
            "desired_workers": desired_workers(count.jobs, kind),
        }


def _kind_asked(asked: Mapping[str, str]) -> WorkerKind | None:
    text = asked.get("jobs_per_worker", "")
    if not text:
        return None
    wanted = f"is not a whole number from 1 to {JOBS_PER_WORKER_MAX}"
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(JOBS_PER_WORKER_MAX))
    number = int(text) if is_number else 0
    if not 1 <= number <= JOBS_PER_WORKER_MAX:
        raise InvalidField("jobs_per_worker", wanted)
    return WorkerKind(number, 1)
