"""docs/metrics.md: how metrics are read, what they cost, and each one.

A test holds the page against this. `python -m dispatcher.metrics` writes it.
"""

from __future__ import annotations

from dispatcher.metrics.catalogue import METRICS

_INTRODUCTION = """\
# Metrics

What a Callboard server tells Prometheus. Written by `python -m dispatcher.metrics` from the catalogue
in `dispatcher/metrics/catalogue.py`; a test holds both together. [scaling.md](scaling.md) has the
signals for who scales workers, [worker.md](worker.md) what a worker of ours tells of itself.

## Reading them

`GET /metrics` is Prometheus's text format (0.0.4), or OpenMetrics 1.0 where the scraper prefers it, as
Prometheus does:

```yaml
scrape_configs:
  - job_name: callboard
    authorization: {{credentials: "the value of metrics.token"}}    # or basic_auth, with any user name
    static_configs:
      - targets: ["callboard.example.org:7880"]
```

It tells the names of your agents and how busy they are, so it is not for everybody. `metrics.access` says
who reads it, and `/scaling`, without a token:

| `metrics.access` | |
|---|---|
| `local` (the default) | programs on the server's own machine: the connection and its Host header are of the loopback, no proxy passed it on, and no page in a browser made it |
| `token` | nobody |
| `open` | whoever reaches the port: where that is a private network |

`metrics.token` (`CALLBOARD_METRICS_TOKEN`) opens both from anywhere, as a bearer token or as the password
of basic auth. So does a token of an API key with the grant `agent.dispatchAdmin`, for its own project:
`/metrics` tells of all projects, and is open to it only where there is one. Where something on the server's
own machine passes connections on and hides whose they are (a TCP proxy, a tunnel), everybody is local: set
`metrics.access: token` there.

## Looking at them

[dashboards/callboard.json](../dashboards/callboard.json) is a dashboard for Grafana 10 and later
(Dashboards, New, Import; the data source is chosen at its top), ordered by what one asks first: is it well, who waits,
how long does it take, what was lost. [dashboards/alerts.yaml](../dashboards/alerts.yaml) has alerting rules
for Prometheus (`rule_files`). A test holds each name in both against this page.

## Labels

An agent is what scales together: `project`, `agent` (its name, empty for unnamed workers),
`agent_namespace` and `deployment`. Callers and workers choose these names, so at most
`metrics.agents_max` agents (100) have series of their own: those that have workers first, among them
those that were shown before. All others are summed in one series, `project="",agent="other"` (no project
is empty, so it is nobody's), and `callboard_agents_unshown` says how many they are. An agent of which
nothing is left is shown with zeros for an hour, so that an alert sees that it has no workers. Every
other label has values from a set of ours. Counters begin at 0 with the server.

## What they cost

A job costs {job_microseconds}: the counters are
plain numbers where things happen.

A scrape walks over the workers, and over jobs without a worker while there are some (after a loss, a
restart); jobs that are queued cost nothing, whatever their number. It does so in slices of half a
millisecond, between which the event loop serves others, and its result is used for twenty times as long as
it took: however often somebody asks, that costs at most a twentieth of a core.

{curve}

`prometheus_client` is not among the server's packages. Its counters take a lock ({inc_microseconds} each, some ten of
them a job), and we need of it what is two hundred lines here; in the tests its parsers judge every page.

## All metrics

"""

# Measured on the two cores of the machine that the project is built on; Python 3.11.
_JOB = "4 µs of CPU (one call, five moves and its share of commits; 1 % of a job)"
_INC = "0.5 to 1 µs"
_CURVE = """\
| workers | jobs they run | agents | jobs queued | CPU of a scrape | longest turn | size |
|---|---|---|---|---|---|---|
| 10 | 10 | 1 | 0 | 0.4 ms | 0.8 ms | 13 KiB |
| 100 | 500 | 1 | 0 | 0.5 ms | 0.6 ms | 13 KiB |
| 100 | 500 | 1 | 1,000,000 | 0.5 ms | 0.5 ms | 13 KiB |
| 1,000 | 5,000 | 1 | 0 | 1.6 ms | 1.1 ms | 13 KiB |
| 10,000 | 50,000 | 1 | 0 | 13.6 ms | 2.9 ms | 13 KiB |
| 10,000 | 50,000 | 1 | 1,000,000 | 13.6 ms | 2.9 ms | 13 KiB |
| 10,000 | 10,000 | 100 | 0 | 18.8 ms | 2.3 ms | 148 KiB |
| 10,000 | 10,000 | 10,000 | 0 | 42.6 ms | 2.8 ms | 148 KiB |
| 0 | 0 | 10,000, each called once | 10,000 | 42.7 ms | 6.8 ms | 149 KiB |
"""


def metrics_page() -> str:
    """Return docs/metrics.md."""
    introduction = _INTRODUCTION.format(
        job_microseconds=_JOB, inc_microseconds=_INC, curve=_CURVE.rstrip()
    )
    rows = [
        f"| `{metric.name}` | {metric.kind.value} | {_labels(metric.labels)} | {metric.help} |\n"
        for metric in METRICS
    ]
    head = "| metric | kind | labels | what it is |\n|---|---|---|---|\n"
    return introduction + head + "".join(rows)


def _labels(labels: tuple[str, ...]) -> str:
    return ", ".join(f"`{label}`" for label in labels)
