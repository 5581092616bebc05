"""The options as tables in Markdown, for the README and for docs/configuration.md.

Both are checked against this by a test. `python -m dispatcher.config` writes the page.
"""

from __future__ import annotations

from collections.abc import Iterable

from dispatcher.config.options import OPTIONS, Kind, Option

_SECTION_TITLES = {
    "": "Where it listens, who may come in",
    "policy": "How jobs are given out",
    "limits": "What peers may send, and what the sockets bear",
    "rules": "What rules may be",
    "rooms": "What is remembered of rooms",
    "room_configuration_limits": "What room configurations may be",
    "runtime": "Between engine and store",
    "sfu": "The LiveKit server at room_url",
    "bridging": "The bridge",
    "notifier": "Outgoing webhooks",
    "metrics": "Metrics, and signals for who scales workers",
    "retention": "What is kept",
}

_INTRODUCTION = """\
# Configuration

Every option of `callboard serve`. Written by `python -m dispatcher.config` from the table in
`dispatcher/config/options.py`; a test holds both together.

Each option is a key of the YAML file (`--config FILE` or `CALLBOARD_CONFIG`), where a dot is
nesting, and an environment variable. A flag wins over the environment, the environment over the
file. An unknown name, a value out of bounds and a missing key end the start with one line and exit
code 2. Times are in seconds.

```yaml
port: 7880
data_dir: /var/lib/callboard
room_url: wss://sfu.example.org
keys:
  my-key: the secret of my-key, 32 bytes or more
policy:
  queue_time_seconds: 120
agents:
  greeter: {capacity: 4, grace_seconds: 30}
webhooks:
  - {url: https://calls.example.org/hook, key: my-key}
room_configurations:
  default: {empty_timeout: 60, agents: [{agent_name: greeter}]}
```

In the environment, `keys`, `projects`, `agents`, `webhooks` and `room_configurations` are YAML too:
`CALLBOARD_KEYS='my-key: secret'`.
"""


def configuration_page() -> str:
    """Return docs/configuration.md."""
    parts = [_INTRODUCTION]
    for section, title in _SECTION_TITLES.items():
        rows = [option for option in OPTIONS if option.section == section]
        parts.append(f"## {title}\n\n{table(rows)}")
    return "\n".join(parts)


def table(options: Iterable[Option]) -> str:
    """Return the rows of these options, with a head."""
    head = "| option | flag | environment | default | what it is |\n|---|---|---|---|---|\n"
    return head + "".join(_row(option) for option in options)


def flag_table() -> str:
    """Return the rows of those options that have a flag."""
    return table(option for option in OPTIONS if option.flag)


def _row(option: Option) -> str:
    flag = f"`{option.flag}`" if option.flag else ""
    return f"| `{option.key}` | {flag} | `{option.env}` | {_default(option)} | {option.help} |\n"


def _default(option: Option) -> str:
    if option.kind is Kind.SWITCH:
        return "true" if option.default else "false"
    if isinstance(option.default, str):
        return f"`{option.default}`" if option.default else ""
    shown = f"{option.default:,}" if isinstance(option.default, int) else f"{option.default:,g}"
    # A port is a name, not a number to read out.
    plain = shown.replace(",", "" if option.key == "port" else " ")
    return f"{plain} {option.unit}".rstrip()
