"""The tables that people read are the options that there are."""

from pathlib import Path

from dispatcher.config.page import configuration_page, flag_table

ROOT = Path(__file__).parents[4]


def test_the_page_of_options_is_the_table() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert page == configuration_page(), "python -m dispatcher.config > docs/configuration.md"


def test_the_readme_has_the_options_that_have_a_flag() -> None:
    readme = (ROOT / "README.md").read_text()
    inside = readme.split("<!-- options -->\n")[1].split("<!-- /options -->")[0]
    assert inside == flag_table(), "copy it from docs/configuration.md"
