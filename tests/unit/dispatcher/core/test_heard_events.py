"""Events without sids that are sent again, also after a restart."""

from __future__ import annotations

from dispatcher.core.effects import Outcome, Reply
from dispatcher.core.jobs import JobType
from dispatcher.core.notes import NoteKind
from dispatcher.core.room_events import Participant, RoomEventKind, RoomInfo
from dispatcher.core.room_states import RoomLimits
from tests.support.engine_bench import EngineBench
from tests.support.room_words import ROOM, bare_person, outcome, room_info

STARTED, FINISHED = RoomEventKind.ROOM_STARTED, RoomEventKind.ROOM_FINISHED
JOINED, LEFT = RoomEventKind.PARTICIPANT_JOINED, RoomEventKind.PARTICIPANT_LEFT
BARE = RoomInfo(ROOM)


def tell(
    bench: EngineBench,
    kind: RoomEventKind,
    event_id: str,
    who: Participant | None = None,
    room: RoomInfo = BARE,
) -> Reply | None:
    return bench.tell_room(kind, room, who, event_id=event_id)


def heard(bench: EngineBench) -> list[str]:
    """Return the ids that the store keeps."""
    notes = bench.database.open().notes
    return sorted(note.key for note in notes if note.kind is NoteKind.HEARD)


def test_a_start_that_is_told_again_after_the_end_and_a_restart_makes_no_second_job(
    bench: EngineBench,
) -> None:
    bench.rule()
    tell(bench, STARTED, "EV_one")
    tell(bench, FINISHED, "EV_two")
    bench.restart()
    assert outcome(tell(bench, STARTED, "EV_one")) is Outcome.EXISTED
    assert len(bench.jobs_of()) == 1
    tell(bench, STARTED, "EV_three")
    assert outcome(tell(bench, FINISHED, "EV_two")) is Outcome.EXISTED
    assert len(bench.live_jobs_of()) == 1


def test_a_join_without_a_sid_that_is_told_again_is_old_also_in_a_room_that_has_one(
    bench: EngineBench,
) -> None:
    bench.rule(job_type=JobType.PARTICIPANT)
    ann = Participant("ann")
    tell(bench, JOINED, "EV_one", ann, room_info())
    tell(bench, LEFT, "EV_two", ann, room_info())
    bench.restart()
    assert outcome(tell(bench, JOINED, "EV_one", ann, room_info())) is Outcome.EXISTED
    assert bench.live_jobs_of() == []


def test_ids_of_another_project_are_other_ids(bench: EngineBench) -> None:
    tell(bench, STARTED, "EV_one")
    other = bench.tell_room(STARTED, BARE, project="other", event_id="EV_one")
    assert outcome(other) is Outcome.DONE


def test_what_sids_protect_costs_no_note(bench: EngineBench) -> None:
    tell(bench, STARTED, "EV_one", room=room_info())
    tell(bench, JOINED, "EV_two", bare_person("ann"), room_info())
    tell(bench, STARTED, "")
    assert heard(bench) == []


def test_ids_are_forgotten_when_nobody_sends_them_again(bench: EngineBench) -> None:
    tell(bench, STARTED, "EV_one")
    bench.pass_time(400)
    bench.restart()
    tell(bench, FINISHED, "EV_two")
    bench.pass_time(300)
    assert heard(bench) == ["EV_two"]
    bench.pass_time(400)
    assert heard(bench) == []
    assert outcome(tell(bench, STARTED, "EV_one")) is Outcome.DONE


def test_of_more_ids_than_the_bound_the_oldest_are_forgotten() -> None:
    bench = EngineBench(room_limits=RoomLimits(heard_max=3))
    for number in range(5):
        tell(bench, STARTED, f"EV_{number}")
    assert heard(bench) == ["EV_2", "EV_3", "EV_4"]
    assert outcome(tell(bench, STARTED, "EV_0")) is Outcome.DONE
