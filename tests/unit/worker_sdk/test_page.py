"""docs/worker.md is what the tables say, and its examples run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from worker_sdk.page import worker_page

PAGE = Path(__file__).parents[3] / "docs" / "worker.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", worker_page(), re.DOTALL)


def test_the_page_is_the_one_that_the_tables_make() -> None:
    assert PAGE.read_text() == worker_page(), "python -m worker_sdk.page > docs/worker.md"


@pytest.mark.parametrize("example", EXAMPLES, ids=["program", "load"])
def test_an_example_runs(example: str) -> None:
    exec(compile(example, str(PAGE), "exec"), {"__name__": "example"})  # its own main is not run
