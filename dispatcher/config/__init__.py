"""The server's configuration: every option once, from flags, environment and a YAML file.

`options` is the table of all options. `values` reads one value and says where it stood when it is
wrong. `sources` gathers flags over environment over file. `tree` is the frozen result, which every
other part reads. Secrets never enter a repr, a log or an error.
"""

from dispatcher.config.options import OPTIONS, Option
from dispatcher.config.sources import load_config
from dispatcher.config.tree import ApiKey, Config, LogFormat, LogLevel, Webhook

__all__ = [
    "OPTIONS",
    "ApiKey",
    "Config",
    "LogFormat",
    "LogLevel",
    "Option",
    "Webhook",
    "load_config",
]
