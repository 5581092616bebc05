"""docs/metrics.md is what the catalogue says, and docs/scaling.md what the formula does."""

from __future__ import annotations

from pathlib import Path

from dispatcher.core.policy import Policy
from dispatcher.metrics.catalogue import METRICS
from dispatcher.metrics.page import metrics_page
from dispatcher.metrics.scaling import uncapped_slots

DOCS = Path(__file__).parents[4] / "docs"


def test_the_page_is_the_catalogue() -> None:
    assert (DOCS / "metrics.md").read_text() == metrics_page(), (
        "python -m dispatcher.metrics > docs/metrics.md"
    )


def test_a_row_stands_for_each_metric() -> None:
    for metric in METRICS:
        assert f"\n| `{metric.name}` | {metric.kind.value} |" in metrics_page()


def test_the_page_on_scaling_knows_how_many_jobs_an_uncapped_worker_takes() -> None:
    text = " ".join((DOCS / "scaling.md").read_text().split())
    assert f"counts as {uncapped_slots(Policy())}: as many as bring it" in text
