"""Reports: what is in them, in each form."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from protocol.errors import ConfigError
from tests.unit.worker_sdk.loadtest.measured_runs import good_book, measured_run, results_of
from worker_sdk.loadtest.calling import Step
from worker_sdk.loadtest.figures import FIGURES
from worker_sdk.loadtest.histogram import Histogram
from worker_sdk.loadtest.job_book import JobBook
from worker_sdk.loadtest.profile import FIELDS, Profile, Shape
from worker_sdk.loadtest.report_html import html_report
from worker_sdk.loadtest.report_text import headline, text_report
from worker_sdk.loadtest.reports import ReportPlace
from worker_sdk.loadtest.results import Results
from worker_sdk.loadtest.tally import Happening, Metric

PLOTS = (
    *("Rate", "Latency over time", "Latency by percentile", "Queue", "Workers", "CPU"),
    "Memory of the server",
)


@pytest.fixture
def results() -> Results:
    return results_of(
        measured_run(errors=3),
        good_book(),
        Profile(duration_seconds=10, warm_up_seconds=1.0, fail_if=("p99_ms>9", "errors>5")),
        events=[(4.0, "all sockets cut")],
    )


def test_the_html_has_its_plots_inside_and_asks_nobody_for_anything(results: Results) -> None:
    page = html_report(results)
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert [title for title in titles if title in PLOTS] == list(PLOTS)
    assert page.count("<svg") == len(PLOTS)
    assert not re.search(r"(src|href)\s*=|url\(|@import|<script|<link", page)


def test_every_plot_is_well_formed_and_has_lines(results: Results) -> None:
    for picture in re.findall(r"<svg.*?</svg>", html_report(results), re.DOTALL):
        assert ET.fromstring(picture).findall(".//path"), picture


def test_what_was_done_to_the_server_is_marked(results: Results) -> None:
    assert "<title>all sockets cut at 4.0 s</title>" in html_report(results)


def test_the_html_names_every_figure_and_field(results: Results) -> None:
    page = html_report(results)
    for name in (*(each.name for each in FIGURES), *(field.name for field in FIELDS)):
        assert f"<code>{name}</code>" in page


def test_text_of_a_peer_is_text_in_the_html(results: Results) -> None:
    page = html_report(results)
    assert "<busy>" not in page
    assert "HTTP 503: &lt;busy&gt;" in page


def test_a_report_without_a_single_job_is_a_report() -> None:
    measured = measured_run()
    for by_second in measured.metrics.values():
        by_second.clear()
    for counts in measured.counts.values():
        counts.clear()
    measured.looks.clear()
    empty = results_of(measured, JobBook())
    assert "nothing was measured" in html_report(empty)
    assert "nothing was measured" in text_report(empty)
    json.dumps(empty.as_json())


def test_the_text_says_what_was_broken_with_value_and_bound(results: Results) -> None:
    lines = text_report(results).splitlines()
    assert "FAILED: p99_ms is 10: limit p99_ms>9 is broken" in lines
    assert "ok: errors is 3: limit errors>5 is kept" in lines
    assert "  3 x HTTP 503: <busy>" in lines
    assert lines[-1] == headline(results) == "20 jobs/s, p50 5 ms, p99 10 ms, 0 lost, 0 doubled"


def test_the_text_says_that_the_harness_was_the_bottleneck() -> None:
    saturated = results_of(measured_run(), good_book(), is_saturated=True)
    assert "THE HARNESS ITSELF WAS THE BOTTLENECK" in headline(saturated)


def test_a_ramp_tells_its_steps_and_what_held() -> None:
    steps = [Step(100.0, 0.0, 5.0, ""), Step(125.0, 5.0, 10.0, "p99 was 900 ms, above 500")]
    ramp = results_of(
        measured_run(),
        good_book(),
        Profile(shape=Shape.RAMP, duration_seconds=10, warm_up_seconds=1.0),
        steps=steps,
    )
    text = text_report(ramp)
    assert "       100/s  held\n       125/s  p99 was 900 ms, above 500\n" in text
    assert headline(ramp).startswith("100 calls/s held")
    assert "p99 was 900 ms, above 500" in html_report(ramp)


def test_the_json_is_whole(results: Results) -> None:
    told = json.loads(json.dumps(results.as_json()))
    assert told["figures"]["p99_ms"] == 10.0
    assert told["exit_code"] == results.exit_code == 1
    assert [limit["verdict"] for limit in told["limits"]] == ["kept"] * 4 + ["broken", "kept"]
    assert len(told["seconds_measured"]) == 12
    histogram = Histogram.from_list(told["histograms_us"]["assign"])
    assert histogram == results.curves[Metric.ASSIGN]


def test_no_report_has_the_secret_or_asks_for_it(results: Results) -> None:
    assert "secret" not in json.dumps(results.as_json()) + html_report(results)


def test_lost_jobs_are_in_the_headline() -> None:
    book = good_book()
    book.take(Happening.ACKNOWLEDGED, [999])
    assert "1 lost" in headline(results_of(measured_run(), book))


# ---- where reports go ----


def test_a_folder_gets_all_forms(tmp_path: Path, results: Results) -> None:
    place = ReportPlace.prepare(tmp_path / "new" / "out")
    names = sorted(path.name for path in place.write(results))
    assert names == ["report.html", "report.json", "report.txt"]
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == names


def test_a_file_is_written_as_its_ending_says(tmp_path: Path, results: Results) -> None:
    path = tmp_path / "monday.json"
    assert ReportPlace.prepare(path).write(results) == (path,)
    assert json.loads(path.read_text())["url"] == "http://127.0.0.1:7880"


def test_an_unknown_ending_is_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must be a folder or end in \.html, \.json, \.txt"):
        ReportPlace.prepare(tmp_path / "report.pdf")


def test_a_place_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"^--report: .*not a directory|file exists"):
        ReportPlace.prepare(tmp_path / "file" / "out")
