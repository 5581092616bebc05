"""`callboard serve`: the server, from flags, environment and file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dispatcher.cli.completing import words

if TYPE_CHECKING:
    from dispatcher.config import Config

# HS256 asks for a key as long as its digest (RFC 7518, section 3.2).
SECRET_BYTES_MIN = 32

PANEL = "How it listens and where it writes"
KEYS_PANEL = "Keys"
ROOM_PANEL = "The SFU behind it"
LOG_PANEL = "Logs"


def serve(
    dev: Annotated[
        bool,
        typer.Option(
            "--dev",
            help="Key devkey, secret secret, and debug logs for people.",
            show_default=False,
        ),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="YAML file of options; CALLBOARD_CONFIG names it too."
        ),
    ] = None,
    bind: Annotated[
        str | None,
        typer.Option(
            "--bind",
            metavar="ADDR",
            help="The address to listen on. Default 127.0.0.1.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(
            "--port",
            metavar="N",
            help="The port to listen on. Default 7880.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    data_dir: Annotated[
        str | None,
        typer.Option(
            "--data-dir",
            metavar="DIR",
            help="The folder of the store. Default ./callboard-data.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    keys: Annotated[
        str | None,
        typer.Option(
            "--keys",
            metavar="'KEY: SECRET'",
            help="API keys and their secrets. Other users of this machine can read the command"
            " line: CALLBOARD_KEYS or keys: in the file are hidden from them.",
            rich_help_panel=KEYS_PANEL,
        ),
    ] = None,
    room_url: Annotated[
        str | None,
        typer.Option(
            "--room-url",
            metavar="URL",
            help="The SFU's address, which workers are sent to.",
            rich_help_panel=ROOM_PANEL,
        ),
    ] = None,
    room_key: Annotated[
        str | None,
        typer.Option(
            "--room-key",
            metavar="KEY",
            help="The SFU's API key, where ours do not open it.",
            rich_help_panel=ROOM_PANEL,
        ),
    ] = None,
    room_secret: Annotated[
        str | None,
        typer.Option(
            "--room-secret",
            metavar="SECRET",
            help="The secret of --room-key.",
            rich_help_panel=ROOM_PANEL,
        ),
    ] = None,
    bridge: Annotated[
        bool,
        typer.Option(
            "--bridge",
            help="Register with the SFU as its worker: what makes it dispatch comes to us.",
            rich_help_panel=ROOM_PANEL,
        ),
    ] = False,
    log_level: Annotated[
        str | None,
        typer.Option(
            "--log-level",
            metavar="LEVEL",
            help="debug, info, warning or error. Default info.",
            autocompletion=words("debug", "info", "warning", "error"),
            rich_help_panel=LOG_PANEL,
        ),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option(
            "--log-format",
            metavar="FORM",
            help="auto, human or json. Default auto.",
            autocompletion=words("auto", "human", "json"),
            rich_help_panel=LOG_PANEL,
        ),
    ] = None,
) -> None:
    """Run the server.

    SIGTERM drains it; a second one stops it at once.

    Each option, and many more, is also in the file and in the environment (CALLBOARD_PORT ...).
    Flags win over the environment, the environment over the file.
    """
    from dispatcher.config import load_config
    from dispatcher.logs import configure_logs

    flags = {
        "--dev": "true" if dev else None,
        "--bind": bind,
        "--port": port,
        "--data-dir": data_dir,
        "--keys": keys,
        "--room-url": room_url,
        "--room-key": room_key,
        "--room-secret": room_secret,
        "--bridge": "true" if bridge else None,
        "--log-level": log_level,
        "--log-format": log_format,
    }
    settings = load_config(
        {flag: value for flag, value in flags.items() if value is not None}, os.environ, config
    )
    configure_logs(settings.log_level, settings.log_format)
    _warn_of_short_secrets(settings)
    from dispatcher.app import run

    run(settings)


def _warn_of_short_secrets(settings: Config) -> None:
    import structlog

    log = structlog.get_logger()
    for name, key in settings.keys.items():
        if len(key.secret.encode()) < SECRET_BYTES_MIN and not settings.dev:
            log.warning("api_secret_short", api_key=name, bytes_min=SECRET_BYTES_MIN)
