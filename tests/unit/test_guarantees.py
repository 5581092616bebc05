"""docs/guarantees.md names tests that exist, and has one for each promise.

A test is named as `path::test_name`, or `path::test_name[id]` for one case of a parametrised test.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guarantees.md"
NAMED = re.compile(r"`(?P<path>tests/[\w/]+\.py)::(?P<name>test_\w+)(?:\[(?P<case>[^\]`]+)\])?`")


def promises() -> dict[str, list[re.Match[str]]]:
    """Return each promise of the page with the tests that it names."""
    found: dict[str, list[re.Match[str]]] = {}
    promise = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("- "):
            promise = line.removeprefix("- ")
            assert promise not in found, f"promised twice: {promise}"
            found[promise] = []
        elif line.startswith("  - "):
            named = NAMED.fullmatch(line.removeprefix("  - "))
            assert named, f"names no test: {line}"
            found[promise].append(named)
    return found


@cache
def named_tests(path: str) -> dict[str, str]:
    """Return the tests of a file by name, each with the source of its decorators."""
    module = ast.parse((ROOT / path).read_text())
    return {
        node.name: "\n".join(ast.unparse(decorator) for decorator in node.decorator_list)
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


@pytest.mark.parametrize("promise", promises())
def test_every_test_that_a_promise_names_exists(promise: str) -> None:
    for named in promises()[promise]:
        path, name, case = named["path"], named["name"], named["case"]
        assert (ROOT / path).is_file(), f"{path} is gone"
        assert name in named_tests(path), f"{path} has no {name}"
        if case is not None:
            decorators = named_tests(path)[name]
            assert "parametrize" in decorators, f"{name} has no cases"
            assert all(part in decorators for part in case.split("-")), f"{name} has no {case}"


def test_every_promise_names_a_test() -> None:
    assert promises()
    assert [promise for promise, tests in promises().items() if not tests] == []


def test_every_promise_is_one_sentence() -> None:
    for promise in promises():
        assert promise[0].isupper(), promise
        assert promise.endswith("."), promise
        assert not re.search(r"\. [A-Z]", promise), f"more than one sentence: {promise}"


def test_nothing_that_looks_like_a_test_is_overlooked() -> None:
    text = PAGE.read_text()
    named = sum(len(tests) for tests in promises().values())
    assert text.count("::test_") == named
