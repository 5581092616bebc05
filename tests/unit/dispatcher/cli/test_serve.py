"""The flags of `serve` are those of the table of options."""

from dispatcher.cli.commands import command
from dispatcher.config import OPTIONS
from dispatcher.config.options import CONFIG_FLAG


def flags() -> dict[str, str]:
    """Return the help of each flag of `serve`."""
    serve = command().commands["serve"]
    return {option.opts[0]: option.help for option in serve.params if option.name != "help"}


def test_every_option_with_a_flag_has_it() -> None:
    assert set(flags()) - {CONFIG_FLAG} == {option.flag for option in OPTIONS if option.flag}


def test_the_help_names_the_default_of_the_table() -> None:
    helps = flags()
    for option in OPTIONS:
        if option.flag and option.default:
            assert f"Default {option.default}." in helps[option.flag]
