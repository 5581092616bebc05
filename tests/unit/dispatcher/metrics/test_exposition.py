"""Metrics as text, held against the parsers of Prometheus's own Python client."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from dispatcher.metrics.catalogue import METRICS, Kind, Metric
from dispatcher.metrics.exposition import (
    Form,
    Sample,
    encoded,
    preferred,
    write_end,
    write_metric,
)
from dispatcher.metrics.histogram import Histogram

COUNTER = Metric("callboard_things_total", Kind.COUNTER, r"Things \ and more.", ("name",))
GAUGE = Metric("callboard_level", Kind.GAUGE, "A level.")
TIMES = Metric("callboard_work_seconds", Kind.HISTOGRAM, "Work.", ("kind",))


def written(metric: Metric, samples: Iterable[Sample], form: Form = Form.TEXT) -> str:
    """Return a page of this metric alone."""
    text = "".join(write_metric(metric, samples, form)) + write_end(form)
    return encoded(text).decode()


def parsed(text: str, form: Form = Form.TEXT) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return the samples by name and values of labels."""
    parse = (
        text_string_to_metric_families
        if form is Form.TEXT
        else openmetrics.text_string_to_metric_families
    )
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("form", Form)
def test_numbers_are_read_back_as_they_were(form: Form) -> None:
    counter = written(COUNTER, [(("a",), 3), (("b",), 2**53)], form)
    assert parsed(counter, form) == {
        ("callboard_things_total", ("a",)): 3,
        ("callboard_things_total", ("b",)): 2**53,
    }
    assert parsed(written(GAUGE, [((), 0.1)], form), form) == {("callboard_level", ()): 0.1}


@pytest.mark.parametrize("form", Form)
def test_a_histogram_has_a_row_for_each_bound_and_one_for_all(form: Form) -> None:
    histogram = Histogram((0.5, 2))
    for value in (0.1, 1, 1, 9):
        histogram.observe(value)
    name = TIMES.name
    assert parsed(written(TIMES, [(("x",), histogram)], form), form) == {
        (f"{name}_bucket", ("x", "0.5")): 1,
        (f"{name}_bucket", ("x", "2.0")): 3,
        (f"{name}_bucket", ("x", "+Inf")): 4,
        (f"{name}_sum", ("x",)): 11.1,
        (f"{name}_count", ("x",)): 4,
    }


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_whatever_an_agent_is_named_its_name_is_read_back(name: str) -> None:
    for form in Form:
        (labels,) = [key[1] for key in parsed(written(COUNTER, [((name,), 1)], form), form)]
        assert labels == (name,)


@pytest.mark.parametrize(
    "name",
    [
        'x"} 1\ncallboard_ready 0\n#',
        "\\",
        '\\"',
        "a\nb",
        "\r\n# EOF\n",
        "{}",
        "\x00",
        "\u2028",
        'project="other"',
    ],
)
def test_a_hostile_name_is_one_label_of_one_sample(name: str) -> None:
    for form in Form:
        assert parsed(written(COUNTER, [((name,), 1)], form), form) == {
            ("callboard_things_total", (name,)): 1
        }


def test_what_is_no_unicode_is_replaced() -> None:
    assert 'name="a?b"' in written(COUNTER, [(("a\ud800b",), 1)])


def test_a_metric_without_samples_is_not_there() -> None:
    assert written(COUNTER, []) == ""


def test_help_texts_are_escaped() -> None:
    assert r"# HELP callboard_things_total Things \\ and more." in written(COUNTER, [(("a",), 1)])


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form.TEXT),
        ("*/*", Form.TEXT),
        ("text/plain", Form.TEXT),
        ("application/openmetrics-text; version=1.0.0", Form.OPENMETRICS),
        # as Prometheus 2 and 3 ask
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            Form.OPENMETRICS,
        ),
        ("application/openmetrics-text;q=0.1,text/plain;q=0.9", Form.TEXT),
        ("application/openmetrics-text;q=zero", Form.TEXT),
        ("application/openmetrics-text;q=nan", Form.TEXT),
    ],
)
def test_the_form_is_the_one_that_is_asked_for(accept: str, form: Form) -> None:
    assert preferred(accept) is form


def test_names_follow_prometheus_conventions() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.startswith(("callboard_", "process_"))
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
        assert not metric.name.endswith(("_ms", "_milliseconds", "_kb", "_count", "_sum"))
        assert metric.help.endswith(".")
        assert "le" not in metric.labels
