"""The processes of a test: our server, and workers of LiveKit's SDKs.

Each runs in a process group of its own with its output in a file, so that a test may kill it as
hard as it likes, nothing outlives the test, and a failure shows what the process said.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.conformance.waiting import eventually

API_KEY = "devkey"
API_SECRET = "secret-of-at-least-thirty-two-bytes"
WORKERS = Path(__file__).parent / "workers"
NODE = Path(__file__).parent / "node"

# Below the range from which systems take the ports of outgoing connections: a server that was
# killed gets its own port back.
FIRST_PORT, PORTS = 20_000, 1_000


def free_port() -> int:
    """A port that nothing listens on; each parallel run of tests has a range of its own."""
    run = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    start = FIRST_PORT + PORTS * run + os.getpid() % (PORTS // 2)
    for port in range(start, start + PORTS // 2):
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise RuntimeError("no free port")


_given: set[int] = set()


class Process:
    """A child process with its output in a file."""

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    def output(self) -> str:
        """All that it has printed until now."""
        return self.log.read_text(errors="replace")

    def lines(self) -> list[str]:
        """The lines that it has printed; what follows the last line break is still being written."""
        return self.output().split("\n")[:-1]

    def is_running(self) -> bool:
        return self._child.poll() is None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process alone."""
        self._child.send_signal(number)

    def send_signal_to_all(self, number: signal.Signals) -> None:
        """Send a signal to the process and all that it started."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    def kill(self) -> None:
        """Kill the process itself at once, as a crash would, and see it gone."""
        self._child.kill()
        self._child.wait(60)

    async def exit_code(self, *, seconds: float = 60.0) -> int:
        """Wait for the end of the process."""
        await eventually(
            f"the end of process {self.pid}", lambda: not self.is_running(), seconds=seconds
        )
        return self._child.wait()

    def clean_up(self) -> None:
        """Kill whatever is left, and show the end of its output if the test failed."""
        self.send_signal_to_all(signal.SIGCONT)
        self.send_signal_to_all(signal.SIGKILL)
        self._child.wait(60)
        tail = "\n".join(self.output().splitlines()[-80:])
        print(f"--- {self.log.name}: exit {self._child.returncode}\n{tail}")


@dataclass
class Server:
    """Our server on a data folder and a port that stay the same when it is started again."""

    folder: Path
    settings: Mapping[str, object] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: Process | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        config = self.folder / "callboard.yaml"
        config.write_text(json.dumps(self.settings))
        self.process = Process(
            [
                *(sys.executable, "-m", "dispatcher.cli", "serve"),
                *("--port", str(self.port)),
                *("--data-dir", str(self.folder / "data")),
                *("--keys", f"{API_KEY}: {API_SECRET}"),
                *("--config", str(config)),
            ],
            self.folder / "server.log",
            {},
        )
        await eventually("the server answers", self._is_ready)

    async def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.is_running(), f"the server ended: {self.process.output()[-2000:]}"
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{self.http_url}/readyz") as response,
            ):
                return response.status == 200
        except aiohttp.ClientError:
            return False

    def kill(self) -> None:
        """SIGKILL: whatever is not on disk is lost."""
        assert self.process is not None
        self.process.kill()

    async def stop(self) -> int:
        """SIGTERM, and wait for its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await self.process.exit_code()

    def clean_up(self) -> None:
        """Kill what is left of it."""
        if self.process is not None:
            self.process.clean_up()


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that a worker program wrote down."""

    event: str
    job_id: str
    pid: int
    fields: Mapping[str, object]

    def text(self, name: str) -> str:
        value = self.fields[name]
        assert isinstance(value, str)
        return value

    def texts(self, name: str) -> dict[str, str]:
        value = self.fields[name]
        assert isinstance(value, dict)
        return {str(key): str(item) for key, item in value.items()}


class Worker(Process):
    """A worker program of livekit-agents, and what its jobs wrote down."""

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        script: str = "obedient.py",
        mode: str = "dev",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._records = folder / "records.jsonl"
        super().__init__(
            self._command(script, mode),
            folder / "worker.log",
            {
                "LIVEKIT_URL": url,
                "LIVEKIT_API_KEY": API_KEY,
                "LIVEKIT_API_SECRET": API_SECRET,
                "CONFORMANCE_RECORDS": str(self._records),
                "PYTHONUNBUFFERED": "1",
                **(settings or {}),
            },
        )

    def _command(self, script: str, mode: str) -> list[str]:
        return [sys.executable, str(WORKERS / script), mode]

    def registrations(self) -> int:
        """How often it has registered."""
        return self.output().count("registered worker")

    async def registered(self, *, times: int = 1, seconds: float = 60.0) -> None:
        """Wait until it has registered, or registered again."""

        def is_registered() -> bool:
            assert self.is_running(), f"the worker ended: {self.output()[-2000:]}"
            return self.registrations() >= times

        await eventually(
            f"registration {times} of the worker in {self.folder.name}",
            is_registered,
            seconds=seconds,
        )

    def records(self, event: str | None = None, job_id: str | None = None) -> list[Record]:
        """What it wrote down, in order; of one event or of one job where asked."""
        if not self._records.exists():
            return []
        found = []
        # What follows the last line break is still being written.
        for line in self._records.read_text().split("\n")[:-1]:
            fields: dict[str, object] = json.loads(line)
            record = Record(
                str(fields.pop("event")), str(fields.pop("job_id")), _pid(fields), fields
            )
            if event in (None, record.event) and job_id in (None, record.job_id):
                found.append(record)
        return found

    async def job_started(self, *, jobs: int = 1, seconds: float = 60.0) -> Record:
        """Wait until it has started as many jobs, and return the record of the last of these."""
        started = await eventually(
            f"job {jobs} started in {self.folder.name}",
            lambda: self.records("started")[jobs - 1 :],
            seconds=seconds,
        )
        return started[0]

    def finish_jobs(self) -> None:
        """Let the jobs that hold end."""
        (self.folder / "finish").touch()


def _pid(fields: dict[str, object]) -> int:
    pid = fields.pop("pid")
    assert isinstance(pid, int)
    return pid


class NodeWorker(Worker):
    """A worker program of @livekit/agents."""

    def _command(self, script: str, mode: str) -> list[str]:
        return ["node", str(NODE / script), mode]
