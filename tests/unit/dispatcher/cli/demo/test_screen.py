"""The screen of the demo fits a terminal, and shows what matters."""

import io
from pathlib import Path

from rich.console import Console

from dispatcher.cli.demo.scenario import new_scene
from dispatcher.cli.demo.scene import Mood, Scene, ServerState, WorkerRow
from dispatcher.cli.demo.screen import picture, save_svg


def busy_scene() -> Scene:
    scene = new_scene()
    scene.seconds = 4.2
    scene.server, scene.server_pid, scene.url = ServerState.KILLED, 99999, "ws://127.0.0.1:65535"
    scene.headline, scene.mood = "SIGKILL to the server", Mood.ALARM
    phases = ["running", "orphaned", "queued", "succeeded", "calling", ""]
    for number, row in enumerate(scene.rooms.values()):
        row.phase = phases[number % len(phases)]
        row.worker, row.attempt = ("w1", 2) if row.phase == "running" else ("", 1)
    list(scene.rooms.values())[3].is_over = True
    scene.rules = {"greet-calls": "room call-* → demo", "greet-again": "room call-07 → demo"}
    scene.matched, scene.rooms_there, scene.people, scene.reports = 20, 19, 25, 44
    for name in ("w1", "w2", "w3", "w4", "w5"):
        scene.workers[name] = WorkerRow(name, 99999, 3, state="starting", running=2, finished=10)
    return scene


def painted(scene: Scene) -> list[str]:
    console = Console(width=80, file=io.StringIO(), color_system=None)
    with console.capture() as capture:
        console.print(picture(scene))
    return capture.get().splitlines()


def test_the_screen_fits_a_terminal_of_80_by_24() -> None:
    lines = painted(busy_scene())
    assert len(lines) <= 24
    assert max(len(line) for line in lines) <= 80


def test_each_room_is_shown_with_its_phase_worker_and_attempt() -> None:
    text = "\n".join(painted(busy_scene()))
    assert all(f"call-{number:02d}" in text for number in range(1, 25))
    assert "call-01 ● running   w1 #2" in text
    assert "call-05 ○ calling" in text


def test_a_room_that_is_over_is_shown_as_over() -> None:
    assert "call-04 ✓ room over" in "\n".join(painted(busy_scene()))


def test_the_rules_their_matches_and_the_rooms_are_shown() -> None:
    text = " ".join("\n".join(painted(busy_scene())).split())
    assert (
        "greet-calls: room call-* → demo greet-again: room call-07 → demo matched 20 rooms" in text
    )
    assert "19 rooms with 25 people, 1 over; 44 events reported" in text


def test_a_server_without_a_rule_is_shown_so() -> None:
    scene = busy_scene()
    scene.rules = {}
    assert "rule none so far" in "\n".join(painted(scene))


def test_the_count_of_each_kind_of_job_is_shown() -> None:
    assert "4/24 ended  4 run  4 wait  4 orphaned" in painted(busy_scene())[-1]


def test_the_picture_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "demo.svg"
    save_svg(picture(busy_scene()), path)
    drawn = path.read_text()
    assert "SIGKILL" in drawn
    assert "url(" not in drawn.replace("url(#", "")
