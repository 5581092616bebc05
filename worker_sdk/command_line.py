"""The command line of a worker program: `python my_worker.py start|dev|console|--help`.

    start     serve in production; also what no command at all means
    dev       serve while the program is being written: logs for people, a reload at each change,
              and the keys of `callboard serve --dev` where nothing else is said
    console   run one job here, without any server

Every option of the table in `options` is a flag. A wrong one is one line on standard error and exit
code 2. What is heavy to import is imported by the command that needs it; `start` without flags
needs none of it, so that an idle worker stays small.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from protocol.errors import ConfigError
from worker_sdk.console import ConsoleJob
from worker_sdk.executor_choice import EXECUTOR_OPTIONS
from worker_sdk.job import JobType
from worker_sdk.logs import LogFormat, LogLevel, configure_logs
from worker_sdk.options import OPTIONS
from worker_sdk.settings import Settings

if TYPE_CHECKING:
    import typer

__all__ = ["Commands", "run"]

WRONG_USAGE = 2

# Where `dev` looks for a server, and with which key: those of `callboard serve --dev`.
DEV_FALLBACKS: Mapping[str, object] = {
    "url": "ws://127.0.0.1:7880",
    "api_key": "devkey",
    "api_secret": "secret",
    "log_level": LogLevel.DEBUG,
    "log_format": LogFormat.HUMAN,
}
CONSOLE_FALLBACKS: Mapping[str, object] = {
    **DEV_FALLBACKS,
    "log_level": LogLevel.INFO,
}


@dataclass(frozen=True, slots=True)
class Commands:
    """What a worker does for its command line."""

    # the settings of these flags and fallbacks, over what code and environment say
    resolve: Callable[[Mapping[str, str], Mapping[str, object]], Settings]
    # serve until told to end
    serve: Callable[[Settings], None]
    # run one job, and return the exit code
    console: Callable[[Settings, ConsoleJob], int]


def run(arguments: Sequence[str], commands: Commands) -> None:
    """Carry out one command. Raises SystemExit for a failure; returns when all went well."""
    try:
        code = _run(list(arguments), commands)
    except ConfigError as error:
        code = _say(str(error), WRONG_USAGE)
    if code:
        raise SystemExit(code)


def _run(arguments: list[str], commands: Commands) -> int:
    if not arguments or arguments == ["start"]:
        return _start(commands, {})
    if arguments[0].startswith("-") and arguments[0] not in ("--help", "-h"):
        arguments = ["start", *arguments]
    import typer

    try:
        code = _app(commands)(arguments, prog_name=_program(), standalone_mode=False)
    except typer.Exit as error:
        return error.exit_code
    except typer.TyperException as error:
        message = getattr(error, "format_message", error.__str__)()
        return _say(f"{message.rstrip('.')}; try --help", WRONG_USAGE)
    return code if isinstance(code, int) else 0


# ---- the commands ----


def _start(commands: Commands, flags: Mapping[str, str]) -> int:
    """Serve until SIGTERM: take no more jobs, let those that run end, end."""
    settings = commands.resolve(flags, {})
    configure_logs(settings.log_level, settings.log_format)
    commands.serve(settings)
    return 0


def _dev(commands: Commands, flags: Mapping[str, str], *, reloads: bool) -> int:
    from worker_sdk.reloading import Reloader, end_with_parent, is_reloaded

    settings = commands.resolve(flags, DEV_FALLBACKS)
    configure_logs(settings.log_level, settings.log_format)
    if reloads and not is_reloaded():
        return Reloader(_watched_folder()).run()
    if is_reloaded():
        end_with_parent()
    commands.serve(settings)
    return 0


def _console(commands: Commands, flags: Mapping[str, str], job: ConsoleJob) -> int:
    settings = commands.resolve(flags, CONSOLE_FALLBACKS)
    configure_logs(settings.log_level, settings.log_format)
    return commands.console(settings, job)


def _watched_folder() -> Path:
    """The folder of the program; of `python -m package.module` the folder that it was started in."""
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    if path is None or getattr(main, "__spec__", None) is not None:
        return Path.cwd()
    return Path(path).resolve().parent


# ---- how they are typed ----


def _app(commands: Commands) -> typer.Typer:
    import typer

    app = typer.Typer(
        add_completion=False,
        help="A Callboard worker. Without a command it is `start`.",
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def _() -> None:
        """A Callboard worker. Without a command it is `start`."""

    def start(**flags: str) -> int:
        return _start(commands, flags)

    def dev(*, reload: bool, **flags: str) -> int:
        return _dev(commands, flags, reloads=reload)

    def console(
        *,
        room: str,
        metadata: str,
        attribute: list[str] | None,
        type: str,  # noqa: A002 - as the flag is called
        participant: str,
        **flags: str,
    ) -> int:
        return _console(
            commands,
            flags,
            ConsoleJob(room, metadata, _pairs(attribute or []), _job_type(type), participant),
        )

    every = [option.name for option in OPTIONS]
    _add(
        app,
        start,
        "Serve until SIGTERM, which drains: no more jobs are taken, and those that run go on. A"
        " second one hands them over and ends within seconds, a third ends at once.",
        every,
    )
    reload_flag = typer.Option(
        "--reload/--no-reload", help="Start anew when a Python file of the program changes."
    )
    _add(
        app,
        dev,
        "Serve while you write it: logs for people, a reload at each change, and the server, key"
        " and secret of `callboard serve --dev` where you say no other.",
        every,
        _parameter("reload", bool, reload_flag, True),
    )
    of_job = {
        "room": typer.Option("--room", metavar="NAME", help="The job's room."),
        "metadata": typer.Option("--metadata", metavar="TEXT", help="The job's metadata."),
        "type": typer.Option(
            "--type", metavar="TYPE", help="The job's type: room, publisher or participant."
        ),
        "participant": typer.Option(
            "--participant", metavar="IDENTITY", help="Whom the job is for, where it is for one."
        ),
    }
    defaults = {"room": "console", "metadata": "", "type": "room", "participant": ""}
    attribute = typer.Option(
        "--attribute", metavar="KEY=VALUE", help="An attribute of the job. Repeat it."
    )
    _add(
        app,
        console,
        "Run one job here, without any server or room, and say how it ended.",
        ["agent_name", "deployment", "log_level", "log_format", "executor", *EXECUTOR_OPTIONS],
        *(_parameter(name, str, option, defaults[name]) for name, option in of_job.items()),
        _parameter("attribute", list[str] | None, attribute, None),
    )
    return app


def _add(
    app: typer.Typer,
    function: Callable[..., int],
    help: str,  # noqa: A002
    options: Sequence[str],
    *own: inspect.Parameter,
) -> None:
    """Make a command of a function: typer reads its flags from a signature, made of the table."""
    import typer

    parameters = list(own)
    for option in OPTIONS:
        if option.name not in options:
            continue
        default = f"Default {option.default}. " if option.default else ""
        flag = typer.Option(
            option.flag,
            metavar=option.metavar,
            help=f"{option.help} {default}({option.env})",
            show_default=False,
            rich_help_panel=option.panel,
        )
        parameters.append(_parameter(option.name, str | None, flag, None))

    def command(**given: Any) -> int:  # noqa: ANN401 - what typer has read
        kept = {parameter.name for parameter in own}
        return function(**{k: v for k, v in given.items() if v is not None or k in kept})

    command.__name__ = function.__name__
    command.__doc__ = help
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    app.command(function.__name__)(command)


def _parameter(name: str, kind: Any, option: Any, default: object) -> inspect.Parameter:  # noqa: ANN401
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        key, mark, value = text.partition("=")
        if not key or not mark:
            raise ConfigError(f"--attribute: must be KEY=VALUE, not {text!r}")
        pairs[key] = value
    return pairs


def _job_type(text: str) -> JobType:
    by_name = {job_type.name.lower(): job_type for job_type in JobType}
    try:
        return by_name[text.lower()]
    except KeyError:
        raise ConfigError(f"--type: must be {', '.join(by_name)}, not {text!r}") from None


def _program() -> str:
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "worker"


def _say(text: str, code: int) -> int:
    line = " ".join(text.split())
    print(f"{_program()}: {line}", file=sys.stderr)
    return code
