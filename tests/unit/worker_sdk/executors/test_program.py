"""Functions are named in a way in which a job process finds them, or are refused at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import pytest

from protocol import executor_pb2
from protocol.errors import ConfigError
from worker_sdk.executors.program import find_function, name_function

F = TypeVar("F", bound=Callable[..., object])


def job() -> None:
    """A function at the top level."""


class Namespace:
    """A class with a function that its name leads to."""

    @staticmethod
    def job() -> None:
        """A function in a class."""

    def method(self) -> None:
        """A function that needs an object."""


def _wrapped(function: F) -> F:
    @functools.wraps(function)
    def wrapper() -> None:
        function()

    return wrapper  # type: ignore[return-value]


@_wrapped
def decorated() -> None:
    """Its name leads to the wrapper."""


@pytest.mark.parametrize(
    "function", [job, Namespace.job, decorated], ids=["module", "class", "decorated"]
)
def test_a_function_is_found_by_its_name(function: Callable[..., object]) -> None:
    name = name_function(function, "the job function")
    assert name.module == __name__
    assert find_function(name) is function


def test_a_function_inside_another_is_refused() -> None:
    def inside() -> None:
        pass

    with pytest.raises(ConfigError, match="the job function inside is defined inside test_a_func"):
        name_function(inside, "the job function")


@pytest.mark.parametrize(
    "function",
    [lambda: None, Namespace().method, decorated.__wrapped__],  # type: ignore[attr-defined]
    ids=["lambda", "method", "inner"],
)
def test_a_function_that_its_name_does_not_lead_to_is_refused(
    function: Callable[..., object],
) -> None:
    with pytest.raises(ConfigError, match=r"is not what .* is when a job process looks it up"):
        name_function(function, "the job function")


def test_a_thing_without_a_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="has no name by which a job process could find it"):
        name_function(functools.partial(job), "the prewarm function")


def test_a_name_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(ConfigError, match="has no gone when a job process loads it"):
        find_function(executor_pb2.FunctionName(module=__name__, name="gone"))
