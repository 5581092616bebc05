"""GET /metrics and /scaling on a real server: what they tell is what was, and who may read."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2
import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from dispatcher.config import Webhook
from dispatcher.core.jobs import MILLISECOND
from dispatcher.core.policy import AgentPolicy, Policy
from dispatcher.metrics.catalogue import METRICS, Kind
from dispatcher.metrics.settings import MetricsAccess, MetricsSettings
from protocol import wire_pb2
from tests.integration.server.peers import WAIT_SECONDS, Caller, fresh, registered
from tests.support.full_disk import file_growth_refused
from tests.support.server import (
    KEY,
    OTHER_PROJECT_KEY,
    RunningServer,
    admin_token,
    mint,
    room_token,
    running_server,
)

pytestmark = pytest.mark.anyio

POLICY = Policy(
    settle_time=50 * MILLISECOND,
    decline_backoff_min=10 * MILLISECOND,
    decline_backoff_max=20 * MILLISECOND,
    agents={"small": AgentPolicy(capacity=2)},
)
TOKEN = "a-token-of-the-tests"
# a port that refuses connections
NOBODY = 1
HOSTILE = 'x"} 1\ncallboard_ready 0\n# \\'

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scraper:
    """Reads the pages of a server."""

    def __init__(self, server: RunningServer, client: httpx2.AsyncClient) -> None:
        self.server = server
        self.client = client
        self.api = Caller(server, client)

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.client.get(self.server.http_url + path, headers=headers)

    async def samples(self) -> Samples:
        """Scrape, as Prometheus does."""
        answer = await self.get("/metrics")
        assert answer.status_code == 200, answer.text
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    async def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of this name that have these labels."""
        return sum(
            value
            for (found, having), value in (await self.samples()).items()
            if found == name and labels.items() <= having
        )

    async def becomes(self, wanted: float, name: str, **labels: str) -> None:
        """Wait until a value is this one."""
        await self.until(lambda: self._is(wanted, name, **labels))

    async def _is(self, wanted: float, name: str, **labels: str) -> bool:
        return await self.value(name, **labels) == wanted

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until it holds."""
        with anyio.fail_after(WAIT_SECONDS):
            while not await condition():  # noqa: ASYNC110 - a page tells no events
                await anyio.sleep(0.02)

    async def scaling(self, agent: str = "", **query: str) -> dict[str, Any]:
        """Return what is told of one agent, as KEDA asks for it."""
        path = f"/scaling/agents/{agent}" if agent else "/scaling/unnamed"
        answer = await self.client.get(
            self.server.http_url + path, params={"project": "default", **query}
        )
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def told(self, wanted: Callable[[dict[str, Any]], bool], agent: str) -> dict[str, Any]:
        """Wait until what is told of an agent is as wanted."""
        told: dict[str, Any] = {}

        async def is_wanted() -> bool:
            told.update(await self.scaling(agent))
            return wanted(told)

        await self.until(is_wanted)
        return told


@asynccontextmanager
async def scraping(data_dir: Path, **options: Any) -> AsyncIterator[Scraper]:
    """Run a server of a test's own."""
    async with (
        running_server(data_dir, **{"policy": POLICY, **options}) as server,
        httpx2.AsyncClient(timeout=60) as client,
    ):
        yield Scraper(server, client)


@pytest.fixture
async def shared(server: RunningServer) -> AsyncIterator[Scraper]:
    """The server of this folder's tests."""
    async with httpx2.AsyncClient(timeout=60) as client:
        yield Scraper(server, client)


async def is_more(scraper: Scraper, name: str, url: str) -> bool:
    return await scraper.value(name, url=url) > 0


async def run_job(worker: Any, end: int) -> None:
    assignment = await worker.take_job()
    await worker.tell(assignment.job.id, end)


# --- what is told ---


async def test_jobs_that_ran_are_counted_with_their_offers_waits_and_ends(data_dir: Path) -> None:
    async with scraping(data_dir) as scraper, registered(scraper.server, "a") as worker:
        for end in (wire_pb2.JS_SUCCESS, wire_pb2.JS_SUCCESS, wire_pb2.JS_FAILED):
            await scraper.api.dispatch("a", restart_policy=1)
            await run_job(worker, end)
        await scraper.becomes(1, "callboard_jobs_ended_total", outcome="failed")
        samples = await scraper.samples()

    def value(name: str, **labels: str) -> float:
        return samples[f"callboard_{name}", frozenset(labels.items())]

    assert value("jobs_created_total") == 3
    assert value("jobs_ended_total", outcome="succeeded", cause="succeeded") == 2
    assert value("jobs_ended_total", outcome="failed", cause="failed") == 1
    assert value("offers_total") == value("offer_answers_total", answer="accepted") == 3
    assert value("job_assignments_total") == 3
    for name in ("dispatch", "job_queue", "job_start", "job_run"):
        assert value(f"{name}_seconds_count") == 3
        assert 0 < value(f"{name}_seconds_sum") < 3 * WAIT_SECONDS
    create = "livekit.AgentDispatchService/CreateDispatch"
    assert value("http_requests_total", method=create, code="200") == 3
    assert value("http_request_seconds_count", method=create) == 3
    # Each job has four requests. Each call is answered behind a commit of its own; the end of a job is
    # in a later one, which may be that of the next call.
    assert value("commit_seconds_count") == value("commit_requests_count") >= 4
    assert value("commit_requests_sum") >= 12
    assert value("worker_registrations_total") == 1
    assert (value("ready"), value("draining"), value("store_writable")) == (1, 0, 1)


async def test_an_answer_that_refuses_an_offer_is_counted(data_dir: Path) -> None:
    async with scraping(data_dir) as scraper, registered(scraper.server, "a") as worker:
        await scraper.api.dispatch("a")
        await worker.answer((await worker.offered()).job.id, available=False)
        await run_job(worker, wire_pb2.JS_SUCCESS)
        await scraper.becomes(1, "callboard_jobs_ended_total")
        assert await scraper.value("callboard_offer_answers_total", answer="declined") == 1
        assert await scraper.value("callboard_offers_total") == 2


async def test_a_worker_that_is_lost_and_comes_back_is_counted(data_dir: Path) -> None:
    async with scraping(data_dir) as scraper:
        async with registered(scraper.server, "a") as worker:
            made = await scraper.api.dispatch("a")
            await worker.take_job()
            await scraper.becomes(1, "callboard_jobs", agent="a", state="running")
        await scraper.becomes(1, "callboard_jobs", agent="a", state="orphaned")
        assert (await scraper.scaling("a"))["desired_workers"] == 1
        async with registered(scraper.server, "a") as worker:
            job_ids = [made["state"]["jobs"][0]["id"], "AJ_unknown"]
            await worker.say(migrate_job=wire_pb2.MigrateJobRequest(job_ids=job_ids))
            await scraper.becomes(1, "callboard_jobs_claimed_total")
            await scraper.becomes(1, "callboard_claim_verdicts_total", verdict="keep")
            await scraper.becomes(1, "callboard_claim_verdicts_total", verdict="stop_unknown")
        assert await scraper.value("callboard_worker_registrations_total") == 2
        assert await scraper.value("callboard_jobs_lost_total") >= 1


async def test_a_process_that_says_who_it_is_is_known_when_it_comes_back(data_dir: Path) -> None:
    async with scraping(data_dir) as scraper:
        for instance in ("one", "two", "one", "", ""):
            async with registered(scraper.server, "a", instance_id=instance):
                pass
        assert await scraper.value("callboard_worker_registrations_total") == 5
        assert await scraper.value("callboard_worker_reconnects_total") == 1


async def test_an_sfu_that_is_away_is_told(data_dir: Path) -> None:
    async with scraping(data_dir, room_url=f"ws://127.0.0.1:{NOBODY}", bridge=True) as scraper:
        await scraper.becomes(0, "callboard_sfu_reachable")
        await scraper.becomes(0, "callboard_bridge_sweeping")
        samples = await scraper.samples()
        sockets = {
            dict(labels)["state"]: value
            for (name, labels), value in samples.items()
            if name == "callboard_bridge_sockets"
        }
        assert sockets["registered"] == 0
        assert sockets["lost"] >= 1


async def test_a_receiver_that_takes_no_webhooks_is_told_without_what_may_be_secret(
    data_dir: Path,
) -> None:
    url = f"http://127.0.0.1:{NOBODY}/hook"
    hooks = (Webhook(f"{url}?secret=1", KEY),)
    async with (
        scraping(data_dir, webhooks=hooks) as scraper,
        registered(scraper.server, "a") as worker,
    ):
        await scraper.api.dispatch("a")
        await run_job(worker, wire_pb2.JS_SUCCESS)
        await scraper.becomes(1, "callboard_jobs_ended_total")
        # created, assigned, started, succeeded: it is at the second of them
        await scraper.becomes(3, "callboard_webhook_events_behind", url=url)
        await scraper.until(lambda: is_more(scraper, "callboard_webhook_failures_total", url))
        assert await scraper.value("callboard_webhook_deliveries_total", url=url) == 0
        assert "secret" not in (await scraper.get("/metrics")).text


async def test_an_open_event_stream_is_counted(data_dir: Path) -> None:
    async with scraping(data_dir) as scraper:
        async with scraper.client.stream(
            "GET",
            f"{scraper.server.http_url}/events",
            headers={"Authorization": f"Bearer {admin_token()}"},
        ):
            await scraper.becomes(1, "callboard_event_streams")
        await scraper.becomes(0, "callboard_event_streams")
        await scraper.becomes(1, "callboard_http_requests_total", method="/events", code="200")
        assert await scraper.value("callboard_http_request_seconds_count", method="/events") == 0


async def test_everything_that_is_told_is_in_the_catalogue_and_the_other_way_round(
    shared: Scraper,
) -> None:
    agent = fresh("agent")
    await shared.api.dispatch(agent)
    await shared.becomes(1, "callboard_jobs", agent=agent)
    text = (await shared.get("/metrics")).text
    families: Iterable[Metric] = text_string_to_metric_families(text)
    told = {
        family.name + ("_total" if family.type == "counter" else ""): family for family in families
    }
    known = {metric.name: metric for metric in METRICS}
    assert told.keys() <= known.keys()
    for name, family in told.items():
        assert family.type == known[name].kind.value
        for sample in family.samples:
            assert tuple(name for name in sample.labels if name != "le") == known[name].labels
    # Without an SFU, webhooks and ignored words, this is all that there is.
    absent = known.keys() - told.keys()
    assert {name for name in absent if "_sfu_" not in name and "_bridge_" not in name} <= {
        "callboard_webhook_deliveries_total",
        "callboard_webhook_failures_total",
        "callboard_webhooks_skipped_total",
        "callboard_webhook_events_behind",
        "callboard_worker_words_ignored_total",
        "callboard_http_requests_total",
        "callboard_http_request_seconds",
    }


async def test_who_prefers_openmetrics_gets_it(shared: Scraper) -> None:
    answer = await shared.get("/metrics", Accept="application/openmetrics-text;version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {
        family.name: family
        for family in openmetrics.text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call]
    }
    assert families["callboard_jobs_created"].type == Kind.COUNTER.value
    assert families["callboard_dispatch_seconds"].type == Kind.HISTOGRAM.value


async def test_two_scrapes_one_after_the_other_do_not_count_backwards(shared: Scraper) -> None:
    first = await shared.samples()
    agent = fresh("agent")
    await shared.api.dispatch(agent)
    await shared.becomes(1, "callboard_jobs", agent=agent)
    second = await shared.samples()
    totals = [key for key in first if key[0].endswith(("_total", "_count", "_bucket"))]
    assert totals
    assert all(second[key] >= first[key] for key in totals)


async def test_a_hostile_agent_name_is_one_label_and_changes_nothing_else(data_dir: Path) -> None:
    async with scraping(data_dir) as scraper, registered(scraper.server, HOSTILE):
        await scraper.becomes(1, "callboard_workers", agent=HOSTILE)
        assert await scraper.value("callboard_ready") == 1
        (told,) = (await scraper.get("/scaling/agents?project=default")).json()["agents"]
        assert told["agent_name"] == HOSTILE


async def test_agents_beyond_the_bound_share_one_series(data_dir: Path) -> None:
    settings = MetricsSettings(agents_max=3)
    async with (
        scraping(data_dir, metrics=settings) as scraper,
        registered(scraper.server, "served"),
    ):
        for number in range(8):
            await scraper.api.dispatch(f"unserved-{number}")
        samples = await scraper.samples()
        queued = {
            dict(labels)["agent"]: value
            for (name, labels), value in samples.items()
            if name == "callboard_jobs" and ("state", "queued") in labels
        }
        assert len(queued) == 4
        assert queued["served"] == 0
        assert queued["other"] == 6
        assert sum(queued.values()) == 8
        assert samples["callboard_agents_unshown", frozenset()] == 6
        # Whoever scales an agent asks for it, and is told.
        for number in range(8):
            assert (await scraper.scaling(f"unserved-{number}"))["queued"] == 1


async def test_metrics_are_told_while_the_disk_is_full(data_dir: Path) -> None:
    async with scraping(data_dir) as scraper, registered(scraper.server, "a"):
        await scraper.api.dispatch("nobody")
        log = data_dir / "callboard.db-wal"
        with file_growth_refused(log):
            room = fresh("room")
            refused = await scraper.api.post(
                "/twirp/livekit.AgentDispatchService/CreateDispatch",
                {"agent_name": "nobody", "room": room, "metadata": "x" * 10_000},
                token=room_token(room),
            )
            assert refused.status_code == 503
            await scraper.becomes(0, "callboard_store_writable")
            assert await scraper.value("callboard_commit_failures_total") >= 1
            assert await scraper.value("callboard_ready") == 0
            assert (await scraper.scaling("nobody"))["oldest_wait_seconds"] > 0
        await scraper.becomes(1, "callboard_store_writable")


# --- scaling ---


async def test_what_an_agent_needs_is_told_as_numbers_that_keda_reads(data_dir: Path) -> None:
    async with scraping(data_dir) as scraper:
        for _ in range(5):
            await scraper.api.dispatch("small")
        told = await scraper.scaling("small")
        assert told.pop("oldest_wait_seconds") > 0
        assert told == {
            "project": "default",
            "agent_name": "small",
            "agent_namespace": "",
            "deployment": "",
            "workers": 0,
            "queued": 5,
            "running": 0,
            "free_slots": 0,
            "jobs_per_worker": 2.0,
            "desired_workers": 3,
        }
        async with registered(scraper.server, "small") as worker:
            offers = [await worker.offered() for _ in range(2)]
            for offer in offers:
                await worker.answer(offer.job.id)
            told = await scraper.told(lambda told: told["running"] == 2, "small")
        assert (told["workers"], told["queued"], told["free_slots"]) == (1, 3, 0)
        assert told["desired_workers"] == 3
        assert (await scraper.scaling("small", jobs_per_worker="5"))["desired_workers"] == 1


async def test_the_scaled_object_of_the_docs_finds_its_number(data_dir: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "scaling.md").read_text()
    block = page.split("## KEDA")[1].split("```yaml\n")[1].split("```")[0]
    of_kind = {document["kind"]: document for document in yaml.safe_load_all(block)}
    (trigger,) = of_kind["ScaledObject"]["spec"]["triggers"]
    asked = trigger["metadata"]
    assert (trigger["type"], asked["format"], asked["targetValue"]) == ("metrics-api", "json", "1")
    assert (
        trigger["authenticationRef"]["name"] == of_kind["TriggerAuthentication"]["metadata"]["name"]
    )
    (parameter,) = of_kind["TriggerAuthentication"]["spec"]["secretTargetRef"]
    # KEDA's bearer mode takes a parameter of this name.
    assert (asked["authMode"], parameter["parameter"]) == ("bearer", "token")
    assert parameter["name"] == of_kind["Secret"]["metadata"]["name"]
    path = urlsplit(asked["url"]).path
    settings = MetricsSettings(access=MetricsAccess.TOKEN, token=TOKEN)
    async with scraping(data_dir, metrics=settings) as scraper:
        shown = {"Authorization": f"Bearer {TOKEN}"}
        for jobs in (0, 1):
            answer = await scraper.get(f"{path}?project=default", **shown)
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()[asked["valueLocation"]] == jobs
            await scraper.api.dispatch(path.rpartition("/")[2])


async def test_an_agent_that_nobody_heard_of_needs_no_worker(shared: Scraper) -> None:
    told = await shared.scaling(fresh("unheard"))
    numbers = ("workers", "queued", "oldest_wait_seconds", "running", "desired_workers")
    assert {told[name] for name in numbers} == {0}


async def test_workers_without_a_name_are_told_apart(data_dir: Path) -> None:
    async with scraping(data_dir) as scraper, registered(scraper.server, ""):
        await scraper.told(lambda told: told["workers"] == 1, "")
        empty = (await scraper.get("/scaling/agents/?project=default")).json()
        assert (empty["agent_name"], empty["workers"]) == ("", 1)


async def test_deployments_and_namespaces_are_apart_and_names_may_have_slashes(
    data_dir: Path,
) -> None:
    async with (
        scraping(data_dir) as scraper,
        registered(scraper.server, "a/b c", deployment="blue", namespace="n"),
    ):

        async def is_told() -> bool:
            where = {"deployment": "blue", "agent_namespace": "n"}
            return bool((await scraper.scaling("a%2Fb%20c", **where))["workers"] == 1)

        await scraper.until(is_told)
        for query in ({}, {"deployment": "blue"}, {"agent_namespace": "n"}):
            assert (await scraper.scaling("a/b c", **query))["workers"] == 0


async def test_projects_are_apart(shared: Scraper) -> None:
    agent = fresh("agent")
    await shared.api.dispatch(agent)
    await shared.told(lambda told: told["queued"] == 1, agent)
    assert (await shared.scaling(agent, project="other"))["queued"] == 0
    theirs = {"Authorization": f"Bearer {admin_token(OTHER_PROJECT_KEY)}"}
    for path, status in (
        (f"/scaling/agents/{agent}", 200),
        (f"/scaling/agents/{agent}?project=default", 403),
        ("/metrics", 403),
    ):
        assert (await shared.get(path, **theirs)).status_code == status
    assert (await shared.get(f"/scaling/agents/{agent}", **theirs)).json()["queued"] == 0
    listed = (await shared.get("/scaling/agents", **theirs)).json()["agents"]
    assert agent not in {each["agent_name"] for each in listed}


@pytest.mark.parametrize(
    "query",
    [
        "",
        "project=nobody",
        "project=default&jobs_per_worker=0",
        "project=default&jobs_per_worker=x",
        "project=default&jobs_per_worker=99999999999",
        f"project=default&deployment={'x' * 2000}",
    ],
)
async def test_a_question_that_cannot_be_answered_is_a_bad_request(
    shared: Scraper, query: str
) -> None:
    answer = await shared.get(f"/scaling/agents/a?{query}")
    assert answer.status_code == 400
    assert answer.json()["code"] in ("invalid_argument", "malformed")


async def test_a_restart_keeps_how_long_jobs_have_waited(data_dir: Path) -> None:
    async with scraping(data_dir) as scraper:
        await scraper.api.dispatch("small")
        before = (await scraper.scaling("small"))["oldest_wait_seconds"]
    async with scraping(data_dir) as scraper:
        told = await scraper.scaling("small")
        assert told["oldest_wait_seconds"] > before
        assert (told["queued"], told["desired_workers"]) == (1, 1)


# --- who may read ---


async def test_a_page_in_a_browser_on_this_machine_reads_nothing(shared: Scraper) -> None:
    answer = await shared.get("/metrics", Origin="https://evil.example")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (
        401,
        'Basic realm="callboard", Bearer',
    )


async def test_where_a_token_is_asked_for_prometheus_and_keda_show_it_as_they_do(
    data_dir: Path,
) -> None:
    settings = MetricsSettings(access=MetricsAccess.TOKEN, token=TOKEN)
    basic = base64.b64encode(f"prometheus:{TOKEN}".encode()).decode()
    async with scraping(data_dir, metrics=settings) as scraper:
        for path in ("/metrics", "/scaling/agents/a?project=default", "/scaling/agents"):
            assert (await scraper.get(path)).status_code == 401
            wrong = {"Authorization": "Bearer wrong"}
            assert (await scraper.get(path, **wrong)).status_code == 401
        for shown in (f"Bearer {TOKEN}", f"Basic {basic}"):
            for path in ("/metrics", "/scaling/agents/a?project=default"):
                assert (await scraper.get(path, Authorization=shown)).status_code == 200
        own = {"Authorization": f"Bearer {admin_token()}"}
        assert (await scraper.get("/scaling/agents/a", **own)).status_code == 200
        without_grant = {"Authorization": f"Bearer {mint(KEY, agent=True)}"}
        assert (await scraper.get("/scaling/agents/a", **without_grant)).status_code == 401


@pytest.mark.parametrize("path", ["/metrics", "/scaling/agents", "/scaling/unnamed"])
async def test_nothing_is_changed_by_other_methods(shared: Scraper, path: str) -> None:
    for method in ("POST", "PUT", "DELETE"):
        answer = await shared.client.request(method, shared.server.http_url + path)
        assert answer.status_code == 405
    head = await shared.client.head(f"{shared.server.http_url}{path}?project=default")
    assert (head.status_code, head.content) == (200, b"")
