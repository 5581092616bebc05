"""docs/worker.md is what the tables say, and names all that a worker program can use.

Its examples are run by tests/integration/worker_sdk/test_worker_page.py, and what needs an SFU by
tests/integration/examples.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

import worker_sdk
from worker_sdk import Job, JobContext, JobParticipant, JobRequest, Worker
from worker_sdk.page import worker_page

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "worker.md"


def public_names(of: type) -> set[str]:
    """What a program may use of an object."""
    fields = (
        {each.name for each in dataclasses.fields(of)} if dataclasses.is_dataclass(of) else set()
    )
    return {name for name in {*vars(of), *fields} if not name.startswith("_")}


def test_the_page_is_the_one_that_the_tables_make() -> None:
    assert PAGE.read_text() == worker_page(), "python -m worker_sdk.page > docs/worker.md"


def test_every_name_that_the_sdk_exports_is_explained_to_its_users() -> None:
    told = "".join((DOCS / name).read_text() for name in ("worker.md", "client.md"))
    for name in worker_sdk.__all__:
        assert re.search(rf"\b{name}\b", told), name


@pytest.mark.parametrize("of", [Worker, JobContext, Job, JobParticipant, JobRequest])
def test_everything_that_it_has_is_explained(of: type) -> None:
    # For the worker and `worker_sdk.testing`, not for programs.
    internal = {"from_message", "decision", "participation", "serve_over"}
    for name in public_names(of) - internal:
        assert re.search(rf"\b{name}\b", worker_page()), name
