"""How a worker names its functions, and how a job process finds them by these names.

The names are module and qualified name, as pickle has it, and checked before anything starts: what
the job process will find is the very function that was decorated. A function of the main program
(`__main__`) is found by loading that program again, under the name that multiprocessing uses too
(`__mp_main__`), so that its `if __name__ == "__main__":` does not run, and so that a job may use
multiprocessing.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING

from protocol import executor_pb2
from protocol.errors import ConfigError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["find_function", "load_program", "name_function", "name_program"]

MAIN = "__main__"
SCRIPT_MODULE = "__mp_main__"
_ADVICE = "define it with `async def` or `def` at the top level of a module"


def name_function(function: Callable[..., object], role: str) -> executor_pb2.FunctionName:
    """Name a function. `role` is what messages call it. Raises ConfigError."""
    module_name = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    if not isinstance(module_name, str) or not isinstance(name, str):
        raise ConfigError(
            f"{role} {function!r} has no name by which a job process could find it: {_ADVICE}"
        )
    if "<locals>" in name:
        outer, _, inner = name.rpartition(".<locals>.")
        raise ConfigError(
            f"{role} {inner} is defined inside {outer}, where a job process cannot find it: {_ADVICE}"
        )
    module = sys.modules.get(module_name)
    if module is None or _attribute(module, name) is not function:
        raise ConfigError(
            f"{role} is not what {module_name}.{name} is when a job process looks it up: {_ADVICE},"
            " with the worker's decorator outermost"
        )
    return executor_pb2.FunctionName(module="" if module_name == MAIN else module_name, name=name)


def name_program() -> executor_pb2.Program:
    """Name the program that runs, for functions that are in it. Raises ConfigError."""
    main = sys.modules[MAIN]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != MAIN:  # MAIN: a folder or an archive, run by its path
        return executor_pb2.Program(main_module=spec.name)
    path = getattr(main, "__file__", None)
    if path is None or not Path(path).is_file():
        raise ConfigError(
            "the worker's functions were typed or piped in, and a job process cannot load them:"
            " put them in a file"
        )
    return executor_pb2.Program(main_path=str(Path(path).absolute()))


def load_program(program: executor_pb2.Program) -> None:
    """Load the main program again; it becomes this process's `__main__`. Raises what it raises."""
    if program.WhichOneof("main") == "main_module":
        module = importlib.import_module(program.main_module)
    else:
        path = program.main_path
        spec = importlib.util.spec_from_file_location(SCRIPT_MODULE, path)
        if spec is None:  # a script without .py
            loader = SourceFileLoader(SCRIPT_MODULE, path)
            spec = importlib.util.spec_from_file_location(SCRIPT_MODULE, path, loader=loader)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # As of a script: multiprocessing then goes by the path.
        module.__spec__ = None
        sys.modules[SCRIPT_MODULE] = sys.modules[MAIN] = module
        spec.loader.exec_module(module)
    sys.modules[MAIN] = module


def find_function(name: executor_pb2.FunctionName) -> Callable[..., object]:
    """The function of that name. Raises ConfigError, and what the import of its module raises."""
    module = importlib.import_module(name.module) if name.module else sys.modules[MAIN]
    function = _attribute(module, name.name)
    if not callable(function):
        raise ConfigError(
            f"{module.__name__} has no {name.name} when a job process loads it:"
            ' define it outside of `if __name__ == "__main__":`'
        )
    return function


def _attribute(module: ModuleType, name: str) -> object:
    found: object = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found
