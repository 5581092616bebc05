"""The dashboard and the alerts ask for what there is: each metric, each label, each value of a label.

PromQL is not parsed here but taken apart: what is neither a function, a keyword, a label nor a number is a
metric. (Prometheus's own parser read them when they were written.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dispatcher.core.effects import Verdict
from dispatcher.metrics.catalogue import METRICS, Kind
from dispatcher.metrics.collector import OUTCOMES, REQUEUES, WORKER_STATES

FOLDER = Path(__file__).parents[4] / "dashboards"
DASHBOARD = json.loads((FOLDER / "callboard.json").read_text())
ALERTS = yaml.safe_load((FOLDER / "alerts.yaml").read_text())

# What is asked for, by the names of samples, with the labels that these have.
LABELS = {
    name: {*metric.labels, "le"} if metric.kind is Kind.HISTOGRAM else set(metric.labels)
    for metric in METRICS
    for name in (
        [f"{metric.name}_{part}" for part in ("bucket", "sum", "count")]
        if metric.kind is Kind.HISTOGRAM
        else [metric.name]
    )
}
# Prometheus adds these to each target.
OF_TARGET = {"instance", "job"}
FUNCTIONS = {"sum", "min", "max", "rate", "increase", "histogram_quantile", "absent", "time"}
KEYWORDS = {"by", "on", "ignoring", "and", "or", "unless"}
# The values that a label has, where they are ours; by metric.
VALUES: dict[tuple[str, str], set[str]] = {
    ("callboard_workers", "state"): {state.value for state in WORKER_STATES},
    ("callboard_jobs", "state"): {"queued", "offered", "running", "orphaned"},
    ("callboard_jobs_ended_total", "outcome"): set(OUTCOMES.values()),
    ("callboard_jobs_ended_total", "cause"): {trigger.value for trigger in OUTCOMES},
    ("callboard_jobs_requeued_total", "cause"): {trigger.value for trigger in REQUEUES},
    ("callboard_offer_answers_total", "answer"): {
        "accepted",
        "declined",
        "terminated",
        "lapsed",
        "withdrawn",
    },
    ("callboard_claim_verdicts_total", "verdict"): {verdict.name.lower() for verdict in Verdict},
    ("callboard_bridge_sockets", "state"): {"registered", "lost"},
}

SELECTOR = re.compile(r"(?P<name>[a-z_:]+)\{(?P<matchers>[^}]*)\}")
MATCHER = re.compile(r'(?P<label>\w+)(?:=~|!~|!=|=)"(?P<value>[^"]*)"')
GROUPING = re.compile(r"\b(?:by|on|ignoring)\s*\((?P<labels>[^)]*)\)")
NAME = re.compile(r"\b[a-z_:]+\b(?!\s*\()")


def panels() -> Iterator[dict[str, Any]]:
    yield from (panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


def rules() -> list[dict[str, Any]]:
    return [rule for group in ALERTS["groups"] for rule in group["rules"]]


def asked() -> Iterator[tuple[str, str]]:
    """Yield each query, and what it is called."""
    for panel in panels():
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for rule in rules():
        yield rule["alert"], rule["expr"]


QUERIES = dict(asked())


def metrics_of(query: str) -> set[str]:
    """Return the names of metrics in a query."""
    bare = re.sub(r"\[[^\]]*\]", "", query)
    bare = GROUPING.sub("", bare)
    bare = re.sub(r"\{[^}]*\}", "", bare)
    return {name for name in NAME.findall(bare) if name not in KEYWORDS}


@pytest.mark.parametrize("title", QUERIES)
def test_a_query_asks_for_metrics_that_there_are(title: str) -> None:
    names = metrics_of(QUERIES[title])
    assert names
    assert names <= LABELS.keys()


@pytest.mark.parametrize("title", QUERIES)
def test_a_query_uses_functions_that_there_are_and_closes_what_it_opens(title: str) -> None:
    query = QUERIES[title]
    called = set(re.findall(r"\b([a-z_]+)\s*\(", query)) - KEYWORDS
    assert called <= FUNCTIONS
    for opening, closing in ("()", "{}", "[]"):
        assert query.count(opening) == query.count(closing)


@pytest.mark.parametrize("title", QUERIES)
def test_a_query_names_labels_and_values_that_there_are(title: str) -> None:
    query = QUERIES[title]
    for selector in SELECTOR.finditer(query):
        name = selector["name"]
        for matcher in MATCHER.finditer(selector["matchers"]):
            label, value = matcher["label"], matcher["value"]
            assert label in LABELS[name] | OF_TARGET, f"{name} has no label {label}"
            known = VALUES.get((name, label))
            if known is not None and not value.startswith("$"):
                assert set(value.split("|")) <= known
    labels = set().union(*(LABELS[name] for name in metrics_of(query))) | OF_TARGET
    for grouping in GROUPING.finditer(query):
        assert {label.strip() for label in grouping["labels"].split(",")} <= labels


@pytest.mark.parametrize("title", QUERIES)
def test_a_counter_is_asked_for_by_how_it_grows(title: str) -> None:
    query = QUERIES[title]
    for name in metrics_of(query):
        if name.endswith(("_total", "_bucket", "_sum", "_count")):
            begins = [match.start() for match in re.finditer(rf"\b{name}\b", query)]
            assert all(re.search(r"(rate|increase)\($", query[:begin]) for begin in begins)


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    assert DASHBOARD["schemaVersion"] >= 38  # Grafana 10
    assert "id" not in DASHBOARD
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels():
        for holder in (panel, *panel["targets"]):
            assert holder["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["description"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
    used = set(re.findall(r"\$(\w+)", json.dumps([panel["targets"] for panel in panels()])))
    assert used - {"__rate_interval", "datasource"} <= variables.keys()


def test_no_panel_lies_on_another() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_every_alert_says_how_bad_it_is_and_what_it_means() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert re.fullmatch(r"Callboard\w+", rule["alert"])
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
        assert re.fullmatch(r"\d+[sm]", rule.get("for", "0s"))
