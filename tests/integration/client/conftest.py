"""One server for the tests of this folder that need none of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.cli.callboard import Server, served


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server process."""
    with served(tmp_path_factory.mktemp("serve")) as running:
        yield running
