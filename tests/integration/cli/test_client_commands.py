"""Client commands against a real server: what they show, as JSON, in a pipe and on a terminal."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.integration.cli.callboard import (
    KEY,
    SECRET,
    Server,
    callboard,
    callboard_on_terminal,
    eventually,
)
from worker_sdk import DispatchClient

SHORT_JOB = '{"seconds": 0.05}'


def create(server: Server, room: str, agent: str = "nobody", metadata: str = "") -> str:
    """Create a dispatch, without the command line, and return its id."""

    async def call() -> str:
        async with DispatchClient(server.env["LIVEKIT_URL"], KEY, SECRET) as client:
            return (await client.create_dispatch(room, agent, metadata=metadata)).id

    return anyio.run(call)


def created(server: Server, *arguments: str) -> str:
    """Run `dispatch create` and return the dispatch's id."""
    result = callboard("dispatch", "create", *arguments, "--json", env=server.env)
    assert result.code == 0, result
    dispatch_id: str = result.json["id"]
    return dispatch_id


def test_a_dispatch_is_created_listed_and_deleted(server: Server) -> None:
    made = created(server, "-r", "lobby", "-a", "nobody", "--metadata", "m", "--attribute", "a=b=c")
    listed = callboard("dispatch", "list", "lobby", "--json", env=server.env).json
    (dispatch,) = listed["agent_dispatches"]
    assert (dispatch["id"], dispatch["metadata"]) == (made, "m")
    assert dispatch["attributes"] == {"a": "b=c"}
    gone = callboard("dispatch", "delete", "lobby", made, env=server.env)
    assert (gone.code, gone.out) == (0, f"{made} deleted\n")
    after = eventually(
        ["dispatch", "list", "lobby", "--json"],
        server.env,
        lambda result: not result.json["agent_dispatches"],
    )
    assert after.code == 0


def test_the_same_request_id_makes_one_dispatch(server: Server) -> None:
    command = ["-r", "twice", "-a", "nobody", "--request-id", "once"]
    assert created(server, *command) == created(server, *command)


def test_a_restart_policy_reaches_the_server(server: Server) -> None:
    created(server, "-r", "never", "-a", "nobody", "--restart", "never")
    (job,) = callboard("job", "list", "--room", "never", "--json", env=server.env).json["jobs"]
    assert job["restart_policy"] == "JRP_NEVER"


def test_jobs_are_listed_newest_first_and_filtered(server: Server) -> None:
    first, second = create(server, "news"), create(server, "news")
    jobs = callboard("job", "list", "--room", "news", "--json", env=server.env).json["jobs"]
    assert [job["job"]["dispatch_id"] for job in jobs] == [second, first]
    only = callboard("job", "list", "--dispatch", first, "--json", env=server.env).json["jobs"]
    assert [job["job"]["dispatch_id"] for job in only] == [first]
    ended = callboard(
        "job", "list", "--room", "news", "--phase", "failed", "--json", env=server.env
    )
    assert ended.json["jobs"] == []


def test_a_list_stops_at_its_limit(server: Server) -> None:
    for _ in range(3):
        create(server, "limited")
    listed = callboard("job", "list", "--room", "limited", "-n", "2", "--json", env=server.env)
    assert len(listed.json["jobs"]) == 2
    assert listed.err == "only the first 2 are shown, there are more: --limit N, or --all\n"


def test_a_list_that_is_whole_hints_at_nothing(server: Server) -> None:
    for _ in range(2):
        create(server, "whole")
    for limit in ("2", "3"):
        assert callboard("job", "list", "--room", "whole", "-n", limit, env=server.env).err == ""


@pytest.mark.usefixtures("worker")
def test_a_job_is_shown_with_its_timeline(server: Server) -> None:
    made = create(server, "shown", "demo", SHORT_JOB)
    listed = eventually(
        ["job", "list", "--dispatch", made, "--phase", "succeeded", "--json"],
        server.env,
        lambda result: result.json["jobs"],
    )
    job_id = listed.json["jobs"][0]["job"]["id"]
    shown = callboard("job", "show", job_id, "--json", env=server.env).json
    assert [event["phase"] for event in shown["timeline"]][-1] == "SUCCEEDED"
    assert isinstance(shown["created_at"], str)  # exact: nanoseconds, as the API has them
    text = callboard("job", "show", job_id, env=server.env).out
    assert "phase:" in text
    assert "succeeded" in text


@pytest.mark.usefixtures("worker")
def test_a_job_is_ended_and_says_so_wherever_it_is_listed(server: Server) -> None:
    create(server, "ended")
    (job,) = callboard("job", "list", "--room", "ended", "--json", env=server.env).json["jobs"]
    job_id = job["job"]["id"]
    done = callboard("job", "terminate", job_id, "--reason", "a test", env=server.env)
    told = "terminated by an operator: a test"
    assert (done.code, done.out) == (0, f"{job_id} cancelled: {told}\n")
    again = callboard("job", "terminate", job_id, "--json", env=server.env)
    assert (again.code, again.json["phase"]) == (0, "CANCELLED")
    row = callboard("job", "list", "--room", "ended", env=server.env).out.splitlines()[1]
    assert row.endswith(f"\t{told}")


def test_why_a_job_waits_is_told_for_people_and_as_json(server: Server) -> None:
    create(server, "waits", "nobody-at-all")
    (job,) = callboard("job", "list", "--room", "waits", "--json", env=server.env).json["jobs"]
    job_id = job["job"]["id"]
    told = callboard("job", "why", job_id, env=server.env)
    assert told.code == 0
    fields = dict(line.split(":", 1) for line in told.out.splitlines() if ":" in line)
    assert fields["why"].strip() == "no worker of this agent is connected"
    assert fields["lane"].strip() == "agent nobody-at-all, room"
    assert told.err == ""
    assert "start its workers" in fields["what to do"]
    assert fields["place"].strip() == "1 of 1: the next"
    answer = callboard("job", "why", job_id, "--json", env=server.env).json
    assert (answer["summary"], answer["workers"]) == (fields["why"].strip(), [])
    callboard("job", "terminate", job_id, env=server.env)
    course = callboard("job", "why", job_id, env=server.env).out
    assert "it has ended, cancelled: terminated by an operator" in course
    assert f"\tmade by dispatch {job['job']['dispatch_id']}: queued\t" in course


def test_why_a_job_waits_again_is_told_with_what_happened_before(
    server: Server, tmp_path: Path
) -> None:
    rule = tmp_path / "rule.yaml"
    rule.write_text("name: late\nmatch: {room: late}\nagent_name: nobody\ndelay_seconds: 0.2\n")
    assert callboard("rule", "apply", "-f", str(rule), env=server.env).code == 0
    callboard("room", "event", "room_started", "-r", "late", env=server.env)
    (job,) = callboard("job", "list", "--room", "late", "--json", env=server.env).json["jobs"]
    told = eventually(
        ["job", "why", job["job"]["id"]],
        server.env,
        lambda result: "its time came: queued" in result.out,
    ).out
    before, after = told.split("\tmade by rule 'late': delayed\t")
    assert "\tits time came: queued\t" in after
    assert "no worker of this agent" in before
    callboard("job", "terminate", job["job"]["id"], env=server.env)


def test_a_job_shows_all_that_was_asked_for(server: Server) -> None:
    created(server, "-r", "all-of-it", "-a", "nobody", "--attribute", "tier=vip")
    (job,) = callboard("job", "list", "--room", "all-of-it", "--json", env=server.env).json["jobs"]
    shown = callboard("job", "show", job["job"]["id"], env=server.env).out
    fields = dict(line.split(":", 1) for line in shown.splitlines() if ":" in line)
    assert fields["attributes"].strip() == "tier=vip"
    assert fields["made by"].strip() == "dispatch"
    assert (fields["priority"].strip(), fields["namespace"].strip()) == ("0", "-")
    assert fields["queue deadline"].strip().endswith("after 5 min")


@pytest.mark.parametrize("command", ["why", "terminate"])
def test_an_unknown_job_has_no_reason_and_no_end(server: Server, command: str) -> None:
    assert "AJ_none" in callboard("job", command, "AJ_none", env=server.env).failed_with(1)


@pytest.mark.usefixtures("worker")
def test_workers_are_listed(server: Server) -> None:
    listed = eventually(["worker", "list", "--json"], server.env, lambda r: r.json["workers"])
    (worker,) = listed.json["workers"]
    assert (worker["agent_name"], worker["capacity"]) == ("demo", 3)
    text = callboard("worker", "list", env=server.env).out
    assert worker["id"] in text
    assert "s ago" in text


@pytest.mark.usefixtures("worker")
def test_a_worker_is_shown_with_its_jobs(server: Server) -> None:
    listed = eventually(["worker", "list", "--json"], server.env, lambda r: r.json["workers"])
    worker_id = listed.json["workers"][0]["id"]
    created(server, "-r", "shown", "-a", "demo", "--metadata", '{"seconds": 60}')
    told = eventually(["worker", "show", worker_id], server.env, lambda r: "AJ_" in r.out).out
    fields = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    assert (fields["id"].strip(), fields["agent"].strip()) == (worker_id, "demo")
    (job_id,) = callboard("worker", "show", worker_id, "--json", env=server.env).json["job_ids"]
    assert job_id in told
    callboard("job", "terminate", job_id, env=server.env)
    missing = callboard("worker", "show", "AW_none", env=server.env).failed_with(1)
    assert missing == "there is no worker AW_none: `callboard worker list` shows who is here"


def test_a_pipe_gets_columns_between_tabs_and_no_colour(server: Server) -> None:
    made = create(server, "piped")
    out = callboard("job", "list", "--dispatch", made, env=server.env).out
    header, row = out.splitlines()
    assert header.split("\t")[:4] == ["id", "room", "agent", "phase"]
    assert row.split("\t")[1:4] == ["piped", "nobody", "queued"]
    assert "\x1b" not in out


def test_a_terminal_gets_a_table_with_colour(server: Server) -> None:
    made = create(server, "tabled")
    shown = callboard_on_terminal("job", "list", "--dispatch", made, env=server.env)
    assert shown.code == 0
    assert "\x1b[" in shown.out
    assert "tabled" in shown.out


def test_a_name_cannot_steer_the_terminal(server: Server) -> None:
    made = create(server, "evil\x1b[2Jroom\n", "nobody")
    for shown in (
        callboard("job", "list", "--dispatch", made, env=server.env),
        callboard_on_terminal("job", "list", "--dispatch", made, env=server.env),
    ):
        assert "\x1b[2J" not in shown.out
        assert "evil\\x1b[2Jroom\\n" in shown.out


def test_a_name_that_the_terminal_cannot_show_is_no_failure(server: Server) -> None:
    made = create(server, "grüße", "nobody")
    env = {**server.env, "PYTHONIOENCODING": "ascii"}
    shown = callboard("job", "list", "--dispatch", made, env=env)
    assert "gr\\xfc\\xdfe" in shown.out


def test_an_empty_list_says_so_beside_the_output(server: Server) -> None:
    empty = callboard("job", "list", "--room", "nowhere", env=server.env)
    assert (empty.code, empty.err) == (0, "no jobs\n")
    assert len(empty.out.splitlines()) == 1


def test_options_win_over_the_environment_and_http_is_an_address_too(server: Server) -> None:
    wrong = {"LIVEKIT_URL": "ws://127.0.0.1:1", "LIVEKIT_API_KEY": "x", "LIVEKIT_API_SECRET": "y"}
    options = ["--url", f"http://127.0.0.1:{server.port}", "--api-key", KEY, "--api-secret", SECRET]
    assert callboard("worker", "list", "--json", *options, env=wrong).code == 0


# ---- failures ----


def test_a_job_that_does_not_exist_is_one_line_and_exit_code_1(server: Server) -> None:
    assert "AJ_none" in callboard("job", "show", "AJ_none", env=server.env).failed_with(1)


def test_deleting_an_unknown_dispatch_is_one_line_and_exit_code_1(server: Server) -> None:
    gone = callboard("dispatch", "delete", "lobby", "AD_none", env=server.env)
    assert "no dispatch AD_none in lobby" in gone.failed_with(1)


def test_a_wrong_secret_says_what_to_check(server: Server) -> None:
    wrong = {**server.env, "LIVEKIT_API_SECRET": "wrong-secret-hushhush-wrong-secret-hush"}
    for command in (["worker", "list"], ["dispatch", "list", "lobby"]):
        line = callboard(*command, env=wrong).failed_with(1)
        assert line.count("LIVEKIT_API_SECRET") == 1
        assert line.count("both clocks") == 1
        assert "hushhush" not in line


def test_a_server_that_is_not_there_is_named() -> None:
    env = {"LIVEKIT_URL": "ws://127.0.0.1:1", "LIVEKIT_API_KEY": "k", "LIVEKIT_API_SECRET": "s"}
    line = callboard("worker", "list", env=env).failed_with(1)
    assert "http://127.0.0.1:1" in line


def test_missing_settings_are_a_usage_error_that_names_them() -> None:
    line = callboard("worker", "list").failed_with(2)
    assert "--url (LIVEKIT_URL), --api-key (LIVEKIT_API_KEY), --api-secret" in line


@pytest.mark.parametrize("url", ["nowhere", "ftp://h", "ws://", "ws://h:port"])
def test_an_address_that_is_none_is_a_usage_error(url: str) -> None:
    line = callboard("worker", "list", "--dev", "--url", url).failed_with(2)
    assert line.startswith("--url: must be an address")


def test_an_address_of_the_environment_wins_over_that_of_dev() -> None:
    elsewhere = {"LIVEKIT_URL": "ws://127.0.0.1:1", "LIVEKIT_API_KEY": "of another server"}
    line = callboard("worker", "list", "--dev", env=elsewhere).failed_with(1)
    assert "http://127.0.0.1:1" in line


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["job", "list", "--limit", "0"], "'--limit' / '-n': must be at least 1"),
        (["job", "list", "--limit", "many"], "'--limit' / '-n': must be a whole number"),
        (
            ["dispatch", "create", "-r", "r", "-a", "a", "--restart", "sometimes"],
            "'--restart': 'sometimes' is not one of 'on-failure', 'never'",
        ),
        (["dispatch", "list", ""], "ROOM: must not be empty"),
        (["dispatch", "delete", "room", ""], "ID: must not be empty"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_value_is_named_in_our_own_words(arguments: list[str], wrong: str) -> None:
    line = callboard(*arguments, "--dev").failed_with(2)
    assert wrong in line
    assert "Input" not in line
    assert "error" not in line


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["job"],
        ["job", "show"],
        ["job", "list", "--limit", "many"],
        ["job", "list", "--phase", "sleeping", "--dev"],
        ["dispatch", "create", "--room", "r"],
        ["dispatch", "create", "-r", "r", "-a", "a", "--attribute", "x", "--dev"],
        ["dispatch", "create", "-r", "r", "-a", "a", "--restart", "often", "--dev"],
        ["worker", "list", "--colour"],
        ["serve", "--prot", "1"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str]) -> None:
    callboard(*arguments).failed_with(2)


def test_a_reader_that_goes_away_is_no_traceback(server: Server) -> None:
    import subprocess

    from tests.integration.cli.callboard import COMMAND, environment

    process = subprocess.Popen(
        [*COMMAND, "job", "list", "--json"],
        env=environment(server.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(60)
