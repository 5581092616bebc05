"""What a user installs: the wheel, in an environment with nothing of this checkout, runs the README.

The wheel is built without a network, by the build backend itself. There is no index either: the
packages that it depends on are those of this environment, by a path, which brings no editable install
along.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conformance.processes import free_port
from tests.integration.cli.callboard import environment

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
SECONDS_MAX = 60.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the environment in `venv`, and the README's worker."""
    folder = tmp_path_factory.mktemp("wheel")
    output([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], ROOT)
    (wheel,) = folder.glob("callboard-*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    install = [*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    output(install, folder, {"PYTHONWARNINGS": "default"})  # pip's own
    packages = output([str(python), "-c", "import site; print(site.getsitepackages()[0])"], folder)
    dependencies = sysconfig.get_path("purelib")
    (Path(packages.strip()) / "dependencies.pth").write_text(dependencies + "\n")
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (folder / "greeter.py").write_text(program.replace("sleep(5)", "sleep(0.05)"))
    return folder


def outside(changes: dict[str, str] | None) -> dict[str, str]:
    """An environment in which nobody finds this checkout by its path."""
    env = environment(changes)
    env.pop("PYTHONPATH", None)
    return env


def output(command: list[str], folder: Path, env: dict[str, str] | None = None) -> str:
    """Run a command to its end, which must be a good one."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=outside(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done
    return done.stdout


@contextmanager
def running(command: list[str], folder: Path, env: dict[str, str], name: str) -> Iterator[Path]:
    """Run a command meanwhile; yields the path of its log."""
    log = folder / f"{name}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=outside(env),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        yield log
    finally:
        process.kill()
        process.wait()
        print(f"--- {name}\n{log.read_text()[-4000:]}")


def test_the_wheel_holds_the_types_and_the_protocol(folder: Path) -> None:
    code = "import worker_sdk, protocol, pathlib as p; print(p.Path(worker_sdk.__file__).parent)"
    package = Path(output([str(folder / "venv/bin/python"), "-c", code], folder).strip())
    assert package.is_relative_to(folder / "venv")
    assert (package / "py.typed").exists()
    assert list((package.parent / "protocol").rglob("*.proto"))


def test_the_extra_that_joins_rooms_is_named_in_it(folder: Path) -> None:
    code = "import importlib.metadata as m; print('\\n'.join(m.requires('callboard')))"
    required = output([str(folder / "venv/bin/python"), "-c", code], folder).splitlines()
    assert [each for each in required if each.endswith("extra == 'room'")] == [
        "livekit>=1.1; extra == 'room'"
    ]


def test_the_ten_lines_of_the_readme_run_a_job(folder: Path) -> None:
    bin_folder = folder / "venv" / "bin"
    callboard = str(bin_folder / "callboard")
    port = free_port()
    env = {
        "LIVEKIT_URL": f"ws://127.0.0.1:{port}",
        "LIVEKIT_API_KEY": "devkey",
        "LIVEKIT_API_SECRET": "secret",
    }
    serve = [callboard, "serve", "--dev", "--port", str(port)]
    with (
        running(serve, folder, {}, "server"),
        running([str(bin_folder / "python"), "greeter.py"], folder, env, "greeter") as log,
    ):
        wait_for(log, "worker_registered")
        create = ["dispatch", "create", "--room", "lobby", "--agent-name", "greeter"]
        output([callboard, *create], folder, env)
        wait_for(log, "job_ended")
        listed = output([callboard, "job", "list", "--phase", "succeeded"], folder, env)
    assert "lobby" in listed


def wait_for(log: Path, event: str) -> None:
    """Wait until a program has logged something."""
    deadline = time.monotonic() + SECONDS_MAX
    while event not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
