"""The table of options: each one once, with its name, kind, bounds, unit, default and help.

A row's `key` is its place in the file (dots are nesting); the environment variable follows from it
(`policy.grace_seconds` is CALLBOARD_POLICY_GRACE_SECONDS). Only what people change from one start to
the next has a flag. Defaults are those of the trees that the values go to, so none is written
twice. The README's table is checked against this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dispatcher.config.tree import Config, LogFormat, LogLevel
from dispatcher.core.jobs import SECOND
from dispatcher.core.policy import Policy
from dispatcher.metrics.settings import MetricsAccess
from dispatcher.server.limits import ServerLimits

_CONFIG = Config(keys={})
_POLICY = Policy()
_LIMITS = ServerLimits()

ENV_PREFIX = "CALLBOARD_"
# The file itself is found by a flag or a variable, so it is no option of the file.
CONFIG_FLAG = "--config"
CONFIG_ENV = "CALLBOARD_CONFIG"


class Kind(Enum):
    """What a value is, and so how it is read."""

    TEXT = "text"
    SECRET = "secret"  # noqa: S105 - a kind
    SWITCH = "switch"
    INTEGER = "integer"
    NUMBER = "number"
    SECONDS = "seconds"
    DURATION = "duration"  # seconds for people, nanoseconds in the tree
    PATH = "path"
    URL = "url"
    URLS = "urls"
    CHOICE = "choice"
    KEYS = "keys"
    PROJECTS = "projects"
    AGENTS = "agents"
    WEBHOOKS = "webhooks"
    ROOM_CONFIGURATIONS = "room_configurations"


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table. `field` is its name in the tree that it goes to."""

    key: str
    kind: Kind
    help: str
    default: str | float | bool = ""
    unit: str = ""
    flag: str = ""
    field: str = ""
    least: float = 0
    most: float = 0
    choices: tuple[str, ...] = ()

    @property
    def env(self) -> str:
        """The environment variable that sets it."""
        return ENV_PREFIX + self.key.upper().replace(".", "_")

    @property
    def section(self) -> str:
        """The first part of the key where there are two: "policy", "limits" ...; else ""."""
        head, dot, _ = self.key.partition(".")
        return head if dot else ""


_COUNT_MAX = 1_000_000_000
_BYTES_MAX = 1 << 30
_SECONDS_MAX = 10 * 365 * 86_400.0


def _duration(name: str, help: str, least: float = 0.001) -> Option:  # noqa: A002
    default = getattr(_POLICY, name) / SECOND
    key = f"{name.removesuffix(_end(name))}_seconds{_end(name)}"
    return Option(f"policy.{key}", Kind.DURATION, help, default, "s", "", name, least, _SECONDS_MAX)


def _end(name: str) -> str:
    return next((end for end in ("_min", "_max") if name.endswith(end)), "")


def _policy(name: str, help: str, most: float, least: float = 1) -> Option:  # noqa: A002
    default = getattr(_POLICY, name)
    kind = Kind.INTEGER if isinstance(default, int) else Kind.NUMBER
    return Option(f"policy.{name}", kind, help, default, "", "", name, least, most)


def _limit(name: str, help: str, most: float = 0) -> Option:  # noqa: A002
    holder = _LIMITS if hasattr(_LIMITS, name) else _LIMITS.wire
    default = getattr(holder, name)
    key = f"limits.{name}"
    if isinstance(default, float):
        return Option(key, Kind.SECONDS, help, default, "s", "", name, 0.001, most or _SECONDS_MAX)
    unit = "bytes" if "_bytes_" in name else "s" if name.endswith("_seconds") else ""
    return Option(key, Kind.INTEGER, help, default, unit, "", name, 1, most or _BYTES_MAX)


def _runtime(name: str, help: str, most: float = _SECONDS_MAX) -> Option:  # noqa: A002
    default = getattr(_CONFIG.runtime, name)
    key = f"runtime.{name}"
    if isinstance(default, float):
        return Option(key, Kind.SECONDS, help, default, "s", "", name, 0.001, most)
    return Option(key, Kind.INTEGER, help, default, "", "", name, 1, most)


def _sfu(name: str, help: str, most: float = 0) -> Option:  # noqa: A002
    default = getattr(_CONFIG.sfu, name)
    key = f"sfu.{name}"
    if isinstance(default, float):
        return Option(key, Kind.SECONDS, help, default, "s", "", name, 0.001, most or _SECONDS_MAX)
    unit = "bytes" if "_bytes_" in name else ""
    return Option(key, Kind.INTEGER, help, default, unit, "", name, 1, most or _BYTES_MAX)


def _bridging(name: str, help: str, most: float = 0) -> Option:  # noqa: A002
    default = getattr(_CONFIG.bridging, name)
    key = f"bridging.{name}"
    if isinstance(default, float):
        return Option(key, Kind.SECONDS, help, default, "s", "", name, 0.001, most or _SECONDS_MAX)
    return Option(key, Kind.INTEGER, help, default, "", "", name, 1, most or _COUNT_MAX)


def _notifier(name: str, help: str) -> Option:  # noqa: A002
    default = getattr(_CONFIG.notifier, name)
    key = f"notifier.{name}"
    if isinstance(default, float):
        return Option(key, Kind.SECONDS, help, default, "s", "", name, 0.001, _SECONDS_MAX)
    unit = "bytes" if "_bytes_" in name else ""
    return Option(key, Kind.INTEGER, help, default, unit, "", name, 1, _BYTES_MAX)


def _metrics(name: str, help: str, most: float = _SECONDS_MAX) -> Option:  # noqa: A002
    default = getattr(_CONFIG.metrics, name)
    key = f"metrics.{name}"
    if isinstance(default, float):
        return Option(key, Kind.SECONDS, help, default, "s", "", name, 0.001, most)
    return Option(key, Kind.INTEGER, help, default, "", "", name, 1, most)


def _rules(name: str, help: str, most: float = _COUNT_MAX) -> Option:  # noqa: A002
    default = getattr(_CONFIG.rules, name)
    key = f"rules.{name}"
    if isinstance(default, float):
        return Option(key, Kind.SECONDS, help, default, "s", "", name, 0.001, _SECONDS_MAX)
    unit = "bytes" if "_bytes_" in name else ""
    return Option(key, Kind.INTEGER, help, default, unit, "", name, 1, most)


def _rooms(name: str, help: str) -> Option:  # noqa: A002
    default = getattr(_CONFIG.rooms, name)
    if name.endswith("_time"):
        key = f"rooms.{name}_seconds"
        return Option(key, Kind.DURATION, help, default / SECOND, "s", "", name, 0.001, 86_400)
    unit = "bytes" if name == "bytes_max" else ""
    return Option(f"rooms.{name}", Kind.INTEGER, help, default, unit, "", name, 1, _COUNT_MAX)


def _configurations(name: str, help: str, most: float) -> Option:  # noqa: A002
    default = getattr(_CONFIG.room_configuration_limits, name)
    key = f"room_configuration_limits.{name}"
    unit = "bytes" if "_bytes_" in name else ""
    return Option(key, Kind.INTEGER, help, default, unit, "", name, 1, most)


def _retention(name: str, help: str) -> Option:  # noqa: A002
    default = getattr(_CONFIG.retention, name)
    if name.endswith("_age"):
        key = f"retention.{name}_seconds"
        return Option(
            key, Kind.DURATION, help, default / SECOND, "s", "", name, 1, 100 * _SECONDS_MAX
        )
    return Option(f"retention.{name}", Kind.INTEGER, help, default, "", "", name, 0, _COUNT_MAX)


OPTIONS: tuple[Option, ...] = (
    Option(
        "dev",
        Kind.SWITCH,
        "Key devkey, secret secret (where no keys are given), and debug logs for people.",
        _CONFIG.dev,
        flag="--dev",
    ),
    Option("bind", Kind.TEXT, "The address to listen on.", _CONFIG.bind, flag="--bind"),
    Option(
        "port",
        Kind.INTEGER,
        "The port to listen on; 0 takes a free one and logs it.",
        _CONFIG.port,
        flag="--port",
        most=65_535,
    ),
    Option(
        "data_dir",
        Kind.PATH,
        "The folder of the store; created, for this user alone, where it is missing.",
        f"./{_CONFIG.data_dir}",
        flag="--data-dir",
    ),
    Option(
        "keys",
        Kind.KEYS,
        "API keys and their secrets, all of one project. LIVEKIT_KEYS is read too.",
        flag="--keys",
    ),
    Option(
        "projects",
        Kind.PROJECTS,
        "Keys grouped by project: `NAME: {keys: {KEY: SECRET}}`. Projects see nothing of each other.",
    ),
    Option(
        "room_url",
        Kind.URL,
        "The SFU's address, sent to workers as the address of the room.",
        flag="--room-url",
    ),
    Option(
        "room_key", Kind.TEXT, "The SFU's API key, where ours do not open it.", flag="--room-key"
    ),
    Option("room_secret", Kind.SECRET, "The secret of room_key.", flag="--room-secret"),
    Option(
        "bridge",
        Kind.SWITCH,
        "Register with the SFU as its worker, so that all that makes it dispatch comes to us.",
        _CONFIG.bridge,
        flag="--bridge",
    ),
    Option(
        "bridge_urls",
        Kind.URLS,
        "The SFU's nodes, each to be registered with: a list of addresses; room_url if empty.",
    ),
    Option(
        "log_level",
        Kind.CHOICE,
        "The least important event that is logged; debug with --dev.",
        _CONFIG.log_level.value,
        flag="--log-level",
        choices=tuple(LogLevel),
    ),
    Option(
        "log_format",
        Kind.CHOICE,
        "auto is for people on a terminal or with --dev, JSON lines otherwise.",
        _CONFIG.log_format.value,
        flag="--log-format",
        choices=tuple(LogFormat),
    ),
    Option(
        "agents",
        Kind.AGENTS,
        "By agent name: `capacity` (most jobs at once on one worker) and `grace_seconds`.",
    ),
    Option(
        "webhooks",
        Kind.WEBHOOKS,
        "Who is told when a job starts and ends: a list of `{url: URL, key: KEY}`. KEY is the API key"
        " that signs; told are the jobs of its project.",
    ),
    Option(
        "room_configurations",
        Kind.ROOM_CONFIGURATIONS,
        "What rooms are created with: `NAME: {agents: [{agent_name: NAME}], empty_timeout: 60, ...}`."
        " A CreateRoom names one by `room_preset`; what it leaves open is of the one named default.",
    ),
    # ---- how jobs are given out ----
    _duration("grace", "How long a worker that declares nothing may be away and keep its jobs."),
    _duration("grace_max", "The longest grace time that a worker may declare."),
    _duration("offer_timeout", "A worker that has not answered an offer by then is passed over."),
    _duration(
        "late_answer_time", "A job is still given, by then, to a worker that accepted it too late."
    ),
    _duration(
        "assignment_time",
        "An assignment that is not on disk by then is not sent, and the job goes to another.",
    ),
    _duration("queue_time", "A job that found no worker by then fails: no capacity."),
    _policy("attempts_max", "Tries of one job, the first one included.", 1_000_000),
    _policy(
        "losses_max", "Tries of one that was lost with workers others may have killed.", 1_000_000
    ),
    _duration("pause_min", "A server so late for a deadline was stopped itself."),
    _duration("resume_time", "How long workers may take to be heard after that."),
    _duration(
        "hand_over_retry", "How often it is looked whether others have room for handed over jobs."
    ),
    _duration("retry_backoff_min", "Wait before a failed job is tried again; doubles each time."),
    _duration("retry_backoff_max", "The longest such wait."),
    _duration("settle_time", "How long a new worker may take to claim its jobs before any offer."),
    _duration("decline_backoff_min", "How long a worker that declined is left alone; doubles."),
    _duration("decline_backoff_max", "The longest such rest."),
    _duration("silence_backoff_min", "How long a worker that let an offer lapse is left alone."),
    _duration("silence_backoff_max", "The longest such rest."),
    _duration("stop_timeout", "A job told to stop counts against its worker for at most so long."),
    Option(
        "policy.automatic_dispatch",
        Kind.SWITCH,
        "Call workers without an agent name for every room or participant, as LiveKit does.",
        _POLICY.automatic_dispatch,
        field="automatic_dispatch",
    ),
    _duration("unnamed_memory", "How long they are called after the last of them left."),
    _duration("parting_time", "How long an agent that left its room may take to come back."),
    _duration("status_stale_time", "A worker that told no status for so long is offered nothing."),
    _duration("status_timeout", "One that told none for so long hangs, and is disconnected."),
    _duration(
        "uncounted_time", "A worker that counts no job for so long has lost those it was given."
    ),
    _duration(
        "start_timeout",
        "A job that was assigned and did not start by then is lost, if there is evidence.",
    ),
    _duration("silence_time", "A job of which nothing at all was heard for so long fails."),
    _policy(
        "out_of_service_max",
        "Drained worker processes that are known when they come back.",
        _COUNT_MAX,
    ),
    _policy(
        "cut_offers_max", "Offers of lost connections that may be accepted on new ones.", _COUNT_MAX
    ),
    _duration("takeover_silence", "How long the older of two claimants must be silent to lose."),
    _policy("target_load", "Workers at or above this load are chosen last.", 1.0, 0.0),
    _policy(
        "load_per_job", "The load that one more job is taken to cost, until measured.", 1.0, 0.0
    ),
    _policy("offers_in_flight_max", "Unanswered offers to one worker at once.", 100_000),
    _policy("claim_max", "Jobs asked of the store at once.", 100_000),
    _policy("due_max", "Jobs that are due, looked at in one turn.", 100_000),
    # ---- what a peer may send ----
    _limit("frame_bytes_max", "One websocket frame."),
    _limit("body_bytes_max", "The body of one API call."),
    _limit("metadata_bytes_max", "Metadata of a dispatch."),
    _limit("attributes_bytes_max", "Attributes, keys and values together."),
    _limit("deployment_bytes_max", "A deployment's name."),
    _limit("id_bytes_max", "An id."),
    _limit("agent_name_bytes_max", "An agent's name."),
    _limit("namespace_bytes_max", "A namespace."),
    _limit("room_name_bytes_max", "A room's name."),
    _limit("identity_bytes_max", "A participant's identity."),
    _limit("participant_name_bytes_max", "A participant's name."),
    _limit("label_bytes_max", "Versions, instance ids and other short texts of a peer."),
    _limit("error_bytes_max", "The error of a job; a longer one is cut."),
    _limit("migrate_job_ids_max", "Jobs that one message claims or hands over.", _COUNT_MAX),
    _limit("endpoints_max", "Endpoints of one worker.", _COUNT_MAX),
    _limit("job_types_max", "Job types of one worker.", _COUNT_MAX),
    _limit("capacity_max", "Most jobs at once that a worker may declare.", _COUNT_MAX),
    _limit("token_bytes_max", "A token."),
    _limit("page_size_max", "Rows on one page of a list.", 100_000),
    _limit("page_size_default", "Rows on a page where the caller names no number.", 100_000),
    _limit("page_token_bytes_max", "A page token."),
    _limit("token_leeway_seconds", "How far the clock of a token's maker may be off.", 3600),
    _limit("token_life_seconds", "How long the token of an assignment is valid."),
    _limit("register_timeout_seconds", "From a worker's connection to its first message."),
    _limit("ping_interval_seconds", "Between two pings of a worker."),
    _limit("ping_timeout_seconds", "A worker that is silent for so long is disconnected."),
    # ---- what the sockets bear ----
    _limit("refused_upgrades_max", "Upgrades refused to one address in a window, before 429."),
    _limit("refused_upgrades_window_seconds", "That window."),
    _limit(
        "bad_start_hold_seconds", "A worker that registers badly is closed after this; doubles."
    ),
    _limit("bad_start_hold_seconds_max", "The longest such wait."),
    _limit("held_sockets_max", "Connections that wait so at once.", _COUNT_MAX),
    _limit("remembered_addresses_max", "Addresses remembered for either reason.", _COUNT_MAX),
    _limit("unregistered_sockets_max", "Open sockets that have not registered.", _COUNT_MAX),
    _limit("unregistered_sockets_per_address_max", "The same, of one address.", _COUNT_MAX),
    _limit("outbound_bytes_max", "What one worker may leave unread before it is cut off."),
    _limit("outbound_frames_max", "The same, in frames.", _COUNT_MAX),
    _limit("unreadable_frames_max", "Frames of one connection that cannot be read.", _COUNT_MAX),
    _limit("close_timeout_seconds", "How long a closing handshake may take."),
    _limit("read_turn_bytes_max", "What is read of one worker before others have their turn."),
    _limit(
        "heavy_turn_seconds",
        "How long claims and losses, or upgrades, are taken in before others have a turn.",
    ),
    _limit("events_behind_max", "What one worker may say meanwhile before it is heard at once."),
    _limit("head_bytes_max", "The head of a request."),
    _limit("head_timeout_seconds", "How long it may take to come in."),
    _limit("body_timeout_seconds", "How long a caller may take to send the body of its call."),
    _limit("keep_alive_seconds", "How long an idle connection of a caller stays open.", 86_400),
    _limit("backlog_connections", "Connections that the kernel holds for us.", 65_535),
    _limit("accepts_in_turn_max", "New connections taken in before others have a turn.", 1_000),
    _limit("unread_timeout_seconds", "How long a client may leave its answer unread."),
    _limit("event_streams_max", "Open event streams of one project.", _COUNT_MAX),
    _limit("event_keepalive_seconds", "How often a quiet event stream is sent a comment."),
    _limit("event_page_rows", "Rows of the event log that are read at once.", 100_000),
    _limit("event_pause_seconds", "How often those who follow it look for new ones, at most."),
    _limit("list_dispatches_max", "Dispatches in one answer of ListDispatch.", _COUNT_MAX),
    _limit("explained_workers_max", "Workers that one explanation of a job tells of.", 100_000),
    _limit(
        "room_event_ids_max", "Room events that are known again when they come twice.", _COUNT_MAX
    ),
    _limit("stop_timeout_seconds", "How long a stop waits for open connections.", 86_400),
    # ---- rules ----
    _rules("rules_max", "Rules of one project."),
    _rules("name_bytes_max", "A rule's name.", 4096),
    _rules("conditions_max", "Conditions of one rule; each entry of its match counts as one."),
    _rules("condition_bytes_max", "One glob, one path into metadata, one wanted value.", 65_536),
    _rules("path_steps_max", "Steps of one path into metadata.", 256),
    _rules("places_max", "Values that one template takes.", 10_000),
    _rules("uniqueness_key_bytes_max", "The template of a uniqueness key.", 65_536),
    _rules("priority_max", "The highest priority; the lowest is as far below 0."),
    _rules("concurrency_limit_max", "The highest concurrency limit."),
    _rules("queue_deadline_seconds_max", "The longest queue deadline of a rule."),
    _rules("delay_seconds_max", "The longest delay of a rule."),
    _rules("verdicts_max", "Verdicts of one explanation; what needs more has to name a rule."),
    # ---- rooms ----
    _rooms("rooms_max", "Rooms that are known at once."),
    _rooms("participants_max", "Participants of one room."),
    _rooms(
        "bytes_max", "What is said of the participants of one room: metadata, attributes, names."
    ),
    _rooms("tracks_max", "Tracks of one participant, and as many that are gone."),
    _rooms("gone_max", "Participants of one room that are known to be gone."),
    _rooms("over_max", "Sessions of rooms that are known to be over."),
    _rooms("announced_max", "Rooms that are being created with agents and have not started."),
    _rooms("announced_time", "How long their start is waited for."),
    _rooms("succession_time", "How long who takes the place of a connection may take to come."),
    _rooms("over_time", "How long late news of a session that is over is known as that."),
    _rooms(
        "reopened_time", "How long an empty room that an agent may have opened waits for people."
    ),
    _rooms("heard_max", "Events without sids whose ids are known after a restart."),
    _rooms("heard_time", "How long their ids are known."),
    _configurations("configurations_max", "Room configurations of one project.", 100_000),
    _configurations("name_bytes_max", "The name of one.", 4096),
    _configurations("configuration_bytes_max", "One of them, as a message.", 1 << 20),
    _configurations("agents_max", "Agents of one, and of one CreateRoom.", 10_000),
    # ---- the loop between engine and store ----
    _runtime(
        "backlog_max", "Moves that wait for the store before callers are refused.", _COUNT_MAX
    ),
    _runtime("ask_timeout_seconds", "A call is answered within this."),
    _runtime("ask_poll_seconds", "How often it is looked which call has waited for too long."),
    _runtime("crowded_batch", "After a commit of so many requests the store rests.", _COUNT_MAX),
    _runtime("rest_seconds", "For so long, so that the next commit has as many."),
    _runtime("patience_seconds", "For so long, a job's move that no call waits for finds company."),
    _runtime("commit_retry_seconds", "First pause before a failed commit is tried again; doubles."),
    _runtime("commit_retry_seconds_max", "The longest such pause."),
    _runtime("drain_seconds", "How long a drain waits for offers in flight and for running jobs."),
    _runtime("drain_poll_seconds", "How often a drain looks."),
    _runtime(
        "prune_interval_seconds", "How often, at least, it is looked for what is past retention."
    ),
    _runtime("prune_rest_seconds", "The shortest rest before the next look, where much is to go."),
    _runtime("prune_rows", "Rows that one look deletes at most, where that suffices.", _COUNT_MAX),
    _runtime("prune_rows_max", "The same where it does not suffice for seconds.", _COUNT_MAX),
    # ---- the SFU at room_url ----
    _sfu("reconcile_seconds", "Between two looks at the SFU's rooms, for webhooks that were lost."),
    _sfu("reconcile_pause_seconds", "The same when jobs were lost with their worker."),
    _sfu("reconcile_calls_max", "Rooms whose participants are asked for at the same time.", 1_000),
    _sfu("call_timeout_seconds", "The SFU answers a call of ours within this, or not at all."),
    _sfu("connect_timeout_seconds", "A connection to the SFU is there within this."),
    _sfu("answer_bytes_max", "One answer of the SFU's."),
    _sfu("token_life_seconds", "How long the token of a call of ours is valid."),
    _sfu("connections_max", "Connections to the SFU for our calls.", 65_535),
    _sfu("keep_alive_seconds", "How long an idle connection to the SFU stays open."),
    _sfu("passthrough_timeout_seconds", "A call that is passed on is answered within this."),
    _sfu("passthrough_calls_max", "Calls passed on at once, each on a connection.", 65_535),
    _sfu("passthrough_body_bytes_max", "The body of a call that is passed on."),
    _sfu("passthrough_bytes_max", "The bodies of all calls that are being passed on."),
    # ---- the bridge ----
    _bridging(
        "answer_seconds",
        "An offer of the SFU's is committed by then, or declined; LiveKit waits for 3 s.",
        10,
    ),
    _bridging("policy_seconds", "Of that, at most, to read the dispatch's restart policy.", 10),
    _bridging("offers_max", "Offers of one socket that are being committed."),
    _bridging("sockets_each", "Sockets for each agent name, job type and deployment.", 64),
    _bridging("names_max", "Agent names, job types and deployments that are registered."),
    _bridging("status_seconds", "Between two statuses of a socket."),
    _bridging("look_seconds", "How often it is looked whom workers serve, and what has ended."),
    _bridging("sweep_seconds", "Between two looks at the SFU's dispatches."),
    _bridging("sweep_calls_max", "Calls of such a look that are under way at once.", 1_000),
    _bridging("silent_seconds_min", "A room on a node that is away is asked for again; doubles."),
    _bridging("silent_seconds_max", "The longest such pause."),
    _bridging("outage_seconds", "How long after an outage of the SFU its rooms may come back."),
    _bridging("open_timeout_seconds", "A socket is open within this."),
    _bridging("register_timeout_seconds", "And registered within this."),
    _bridging("close_timeout_seconds", "How long the end of a socket may take."),
    _bridging("ping_interval_seconds", "Between two pings of a socket."),
    _bridging("ping_timeout_seconds", "A socket that is silent for so long is made anew."),
    _bridging("retry_seconds_min", "First pause before a socket is made anew; doubles."),
    _bridging("retry_seconds_max", "The longest such pause."),
    # ---- outgoing webhooks ----
    _notifier("timeout_seconds", "A receiver that has not answered by then has failed."),
    _notifier("backoff_seconds_min", "First pause before a webhook is sent again; doubles."),
    _notifier("backoff_seconds_max", "The longest such pause."),
    _notifier("trying_seconds_max", "A webhook that was not taken by then is skipped."),
    _notifier("refusals_max", "One that was refused so often (3xx, 4xx) is skipped too."),
    _notifier("answer_bytes_max", "What is read of a receiver's answer."),
    _notifier("position_seconds", "How often each place in the log is stored, at most."),
    _notifier("stop_seconds", "How long a stop waits for webhooks that are still to be sent."),
    # ---- metrics ----
    Option(
        "metrics.access",
        Kind.CHOICE,
        "Who may read /metrics and /scaling without a token: local (programs on this machine), token"
        " (nobody), open (whoever reaches the port).",
        _CONFIG.metrics.access.value,
        field="access",
        choices=tuple(MetricsAccess),
    ),
    Option(
        "metrics.token",
        Kind.SECRET,
        "What opens both, as a bearer token or as the password of basic auth.",
        field="token",
    ),
    _metrics("agents_max", "Agents with series of their own; the others share one.", 10_000),
    _metrics("agent_memory_seconds", "How long an agent that is gone is shown, with zeros."),
    _metrics("store_timeout_seconds", "How long a scrape waits for the store.", 60),
    # ---- what is kept ----
    _retention("ended_jobs_age", "How long a job is kept after its end."),
    _retention("ended_jobs_max", "How many ended jobs are kept."),
    _retention("events_age", "How long a row of the event log is kept."),
    _retention("events_max", "How many rows of the event log are kept."),
)

BY_KEY = {option.key: option for option in OPTIONS}
