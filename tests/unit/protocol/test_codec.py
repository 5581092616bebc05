"""The codec: what is well formed is read, everything else is one clear error, never another."""

import json
import math
from collections.abc import Callable
from random import Random
from typing import Any, cast

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import codec
from protocol.api_pb2 import GetJobResponse, JobEvent, JobPhase, JobRecord, ListJobsRequest
from protocol.codec import BodyFormat, FrameFormat, body_format, parse_body, print_body
from protocol.errors import CloseCode, FrameError, TwirpCode, TwirpError
from protocol.limits import WireLimits
from protocol.wire_pb2 import (
    AgentDispatch,
    CreateAgentDispatchRequest,
    Job,
    JobRestartPolicy,
    JobStatus,
    JobType,
    MigrateVerdict,
    RegisterWorkerRequest,
    ServerMessage,
    UpdateJobStatus,
    UpdateWorkerStatus,
    WorkerMessage,
)
from tests.unit.protocol.random_messages import random_message

WORKER_DESCRIPTOR = cast("Descriptor", WorkerMessage.DESCRIPTOR)
SERVER_DESCRIPTOR = cast("Descriptor", ServerMessage.DESCRIPTOR)

SEEDS = st.integers(0, 2**32)
DENSITIES = st.sampled_from((0.1, 0.5, 1.0))

FIELD_NAMES = st.sampled_from(
    [
        *WORKER_DESCRIPTOR.fields_by_name,
        *(
            name
            for field in WORKER_DESCRIPTOR.fields
            for name in cast("Descriptor", field.message_type).fields_by_camelcase_name
        ),
        "nonsense",
    ]
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELD_NAMES, inner, max_size=3),
    max_leaves=8,
)


def _refusal(frame: bytes | str) -> FrameError:
    with pytest.raises(FrameError) as raised:
        codec.decode_worker_message(frame)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 300
    return raised.value


# ---- frames ----


@given(seed=SEEDS, density=DENSITIES)
def test_a_binary_frame_is_read_as_it_was_written(seed: int, density: float) -> None:
    sent = random_message(WORKER_DESCRIPTOR, seed, density).SerializeToString(deterministic=True)

    message = codec.decode_worker_message(sent)

    assert message.SerializeToString(deterministic=True) == sent


def test_a_worker_message_passes_both_ways_in_either_form() -> None:
    message = WorkerMessage(register=RegisterWorkerRequest(agent_name="greeter", capacity=0))

    for form, kind in ((FrameFormat.BINARY, bytes), (FrameFormat.JSON, str)):
        frame = codec.encode_worker_message(message, form)
        assert isinstance(frame, kind)
        assert codec.frame_format(frame) is form
        assert codec.decode_worker_message(frame) == message


def test_a_server_message_passes_both_ways_in_either_form() -> None:
    message = ServerMessage(
        migrate_verdicts=[MigrateVerdict(job_id="AJ_x", verdict=MigrateVerdict.Verdict.STOP_ENDED)]
    )

    for form in FrameFormat:
        assert codec.decode_server_message(codec.encode_server_message(message, form)) == message


def test_a_text_frame_may_have_names_in_either_case() -> None:
    camel = '{"updateWorker": {"status": "WS_FULL", "jobCount": 3}}'
    snake = '{"update_worker": {"status": 1, "job_count": "3"}}'
    expected = WorkerMessage(update_worker=UpdateWorkerStatus(status="WS_FULL", job_count=3))

    assert codec.decode_worker_message(camel) == expected
    assert codec.decode_worker_message(snake) == expected


def test_a_text_frame_may_have_fields_and_enum_names_that_we_do_not_know() -> None:
    frame = '{"later": [1], "updateJob": {"jobId": "AJ_x", "status": "JS_LATER", "later": {}}}'

    assert codec.decode_worker_message(frame) == WorkerMessage(
        update_job=UpdateJobStatus(job_id="AJ_x", status=JobStatus.JS_PENDING)
    )


@pytest.mark.parametrize("frame", [b"", "{}", " {} ", b"\xc2\x3e\x05later", '{"later": {}}'])
def test_an_empty_or_unknown_message_is_no_error(frame: bytes | str) -> None:
    assert codec.decode_worker_message(frame).WhichOneof("message") is None


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff",
        b"\x0a",
        b"\x0a\x05ab",
        b"\x0a\x03\x42\x01\xff",  # an agent name that is not UTF-8
        b"\x0a\xff\xff\xff\xff\x0f",  # a length of 4 GiB
        b"\x1b" * 100_000,  # groups without end
        b"\x00\x01",
    ],
)
def test_a_binary_frame_that_is_broken_is_refused(frame: bytes) -> None:
    assert _refusal(frame).close_code is CloseCode.INVALID_PAYLOAD


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "hello",
        "[]",
        "[{}]",
        "null",
        "7",
        '"register"',
        "{",
        '{"register": 5}',
        '{"register": {"agentName": "\\ud800"}}',
        '{"register": {"agentName": 5}}',
        '{"register": {}, "register": {}}',
        '{"register": {}, "ping": {}}',
        '{"updateWorker": {"load": NaN}}',
        '{"updateWorker": {"load": 1e999}}',
        '{"updateWorker": {"jobCount": -1}}',
        '{"ping": {"timestamp": 1e300}}',
        '{"ping": {"timestamp": true}}',
        '{"migrateJob": {"jobIds": {}}}',
        '{"migrateJob": {"jobIds": [null]}}',
        '{"availability": {"participantAttributes": {"a": null}}}',
        '{"ping": {"timestamp": ' + "9" * 6000 + "}}",
        "[" * 200_000,
        '{"a":' * 200_000,
        '{"register": "\ud800"}',
    ],
)
def test_a_text_frame_that_is_broken_is_refused(frame: str) -> None:
    assert _refusal(frame).close_code is CloseCode.INVALID_PAYLOAD


def test_a_frame_over_the_limit_is_refused_unread() -> None:
    limits = WireLimits(frame_bytes_max=10)

    for frame in (b"\xff" * 11, "{" * 11, "é" * 6):
        with pytest.raises(FrameError, match=r"has 1[12] bytes, the limit is 10") as raised:
            codec.decode_worker_message(frame, limits)
        assert raised.value.close_code is CloseCode.TOO_BIG


@pytest.mark.parametrize("text", ['"NaN"', '"Infinity"', '"-Infinity"'])
def test_a_load_that_is_not_a_number_is_left_to_the_reader(text: str) -> None:
    message = codec.decode_worker_message('{"updateWorker": {"load": ' + text + "}}")

    assert not math.isfinite(message.update_worker.load)


def test_an_id_of_a_megabyte_is_read_and_left_to_the_checks() -> None:
    sent = WorkerMessage(update_job=UpdateJobStatus(job_id="x" * 1_000_000))

    assert len(codec.decode_worker_message(sent.SerializeToString()).update_job.job_id) == 1_000_000


# ---- whatever comes ----


def _read_or_refuse(decode: Callable[..., object], *arguments: object) -> None:
    reason = ""
    try:
        decode(*arguments)
    except (FrameError, TwirpError) as error:
        reason = str(error)
    assert reason.isprintable()
    assert len(reason) < 300


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(frame: bytes) -> None:
    _read_or_refuse(codec.decode_worker_message, frame)
    _read_or_refuse(codec.decode_server_message, frame)
    for form in BodyFormat:
        _read_or_refuse(parse_body, frame, form, CreateAgentDispatchRequest)


@settings(max_examples=300)
@given(seed=SEEDS, density=DENSITIES, edits=st.integers(1, 4), cut=st.floats(0, 1))
def test_a_damaged_frame_is_read_or_refused(
    seed: int, density: float, edits: int, cut: float
) -> None:
    random = Random(seed)
    for descriptor in (WORKER_DESCRIPTOR, SERVER_DESCRIPTOR):
        frame = bytearray(random_message(descriptor, seed, density).SerializeToString())
        for _ in range(edits if frame else 0):
            frame[random.randrange(len(frame))] = random.randrange(256)
        damaged = bytes(frame[: round(len(frame) * cut)])
        _read_or_refuse(codec.decode_worker_message, damaged)
        _read_or_refuse(codec.decode_server_message, damaged)


@settings(max_examples=300)
@given(st.text() | JSON_VALUES.map(json.dumps))
def test_any_text_is_read_or_refused(frame: str) -> None:
    _read_or_refuse(codec.decode_worker_message, frame)


@settings(max_examples=200)
@given(st.dictionaries(FIELD_NAMES, JSON_VALUES, max_size=3))
def test_any_object_is_read_or_refused(value: dict[str, Any]) -> None:
    text = json.dumps(value)
    _read_or_refuse(codec.decode_worker_message, text)
    _read_or_refuse(parse_body, text.encode(), BodyFormat.JSON, AgentDispatch)


@given(seed=SEEDS, density=DENSITIES)
def test_whatever_was_read_can_be_printed(seed: int, density: float) -> None:
    message = random_message(cast("Descriptor", GetJobResponse.DESCRIPTOR), seed, density)

    for form in BodyFormat:
        assert isinstance(print_body(message, form), bytes)


# ---- Twirp bodies ----


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("application/json", BodyFormat.JSON),
        ("application/json; charset=utf-8", BodyFormat.JSON),
        ("Application/JSON", BodyFormat.JSON),
        ("application/protobuf", BodyFormat.PROTOBUF),
    ],
)
def test_the_content_type_says_the_format(header: str, form: BodyFormat) -> None:
    assert body_format(header) is form


@pytest.mark.parametrize(
    "header", [None, "", "text/plain", "application/jsonx", "application/x-protobuf", "\x00" * 999]
)
def test_another_content_type_is_a_bad_route(header: str | None) -> None:
    with pytest.raises(TwirpError) as raised:
        body_format(header)

    assert raised.value.code is TwirpCode.BAD_ROUTE
    assert raised.value.http_status == 404
    assert len(raised.value.msg) < 300


@pytest.mark.parametrize(
    "body",
    [
        b'{"agent_name": "a", "room": "r", "restart_policy": "JRP_NEVER", "later": 1}',
        b'{"agentName": "a", "room": "r", "restartPolicy": 1}',
    ],
)
def test_a_json_body_may_have_names_in_either_case_and_unknown_fields(body: bytes) -> None:
    assert parse_body(body, BodyFormat.JSON, CreateAgentDispatchRequest) == (
        CreateAgentDispatchRequest(
            agent_name="a", room="r", restart_policy=JobRestartPolicy.JRP_NEVER
        )
    )


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b"", BodyFormat.JSON),
        (b"[]", BodyFormat.JSON),
        (b"nonsense", BodyFormat.JSON),
        (b'{"room": 5}', BodyFormat.JSON),
        (b"\xff\xfe{}", BodyFormat.JSON),
        (b"[" * 200_000, BodyFormat.JSON),
        (b"{}", BodyFormat.PROTOBUF),
        (b"\x12\x05r", BodyFormat.PROTOBUF),
        (b"\x12\x01\xff", BodyFormat.PROTOBUF),
    ],
)
def test_a_body_that_is_broken_is_malformed(body: bytes, form: BodyFormat) -> None:
    with pytest.raises(TwirpError) as raised:
        parse_body(body, form, CreateAgentDispatchRequest)

    assert raised.value.code is TwirpCode.MALFORMED
    assert raised.value.msg.isprintable()


def test_a_body_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(TwirpError, match="has 11 bytes, the limit is 10") as raised:
        parse_body(b"\xff" * 11, BodyFormat.JSON, ListJobsRequest, WireLimits(body_bytes_max=10))

    assert raised.value.code is TwirpCode.INVALID_ARGUMENT


def test_a_json_answer_has_snake_case_defaults_enum_names_and_int64_as_text() -> None:
    record = JobRecord(
        job=Job(id="AJ_x", type=JobType.JT_PUBLISHER),
        phase=JobPhase.RUNNING,
        epoch=2,
        created_at=1_800_000_000_000_000_000,
        timeline=[JobEvent(seq=1, kind="created", phase=JobPhase.QUEUED)],
    )

    answer = json.loads(print_body(GetJobResponse(job=record), BodyFormat.JSON))["job"]

    assert answer["job"]["type"] == "JT_PUBLISHER"
    assert answer["job"]["agent_name"] == ""
    assert answer["job"]["enable_recording"] is False
    assert answer["phase"] == "RUNNING"
    assert answer["epoch"] == "2"
    assert answer["created_at"] == "1800000000000000000"
    assert answer["attempt"] == 0
    assert answer["timeline"][0]["worker_id"] == ""
    assert "state" not in answer["job"]


def test_an_answer_comes_back_as_it_was() -> None:
    message: Message = AgentDispatch(id="AD_x", room="größe", attributes={"a": "b"})

    for form in BodyFormat:
        assert parse_body(print_body(message, form), form, AgentDispatch) == message


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (
            b'{"restartPolicy": "JRP_SOMETIMES"}',
            "restartPolicy: 'JRP_SOMETIMES' is not one of JRP_",
        ),
        (b'{"restart_policy": "never"}', "restart_policy: 'never' is not one of"),
    ],
)
def test_the_name_of_an_enums_value_that_is_unknown_is_malformed_where_it_is_asked_for(
    body: bytes, field: str
) -> None:
    with pytest.raises(TwirpError, match=field) as raised:
        parse_body(body, BodyFormat.JSON, CreateAgentDispatchRequest, ignore_unknown_names=False)
    assert raised.value.code is TwirpCode.MALFORMED
    assert parse_body(body, BodyFormat.JSON, CreateAgentDispatchRequest).restart_policy == 0


def test_unknown_names_are_found_in_lists_and_in_inner_messages() -> None:
    for body, message_type, place in (
        (b'{"phases": ["QUEUED", "SLEEPING"]}', ListJobsRequest, "phases: 'SLEEPING'"),
        (b'{"state": {"jobs": [{"type": "JT_X"}]}}', AgentDispatch, "state.jobs.type: 'JT_X'"),
    ):
        with pytest.raises(TwirpError, match=place):
            parse_body(body, BodyFormat.JSON, message_type, ignore_unknown_names=False)


@pytest.mark.parametrize("value", ['"JRP_NEVER"', "1", '"1"', "77", "null"])
def test_known_names_and_all_numbers_of_an_enum_pass(value: str) -> None:
    body = b'{"restart_policy": %b, "room": "r", "unknown": "field"}' % value.encode()
    parsed = parse_body(
        body, BodyFormat.JSON, CreateAgentDispatchRequest, ignore_unknown_names=False
    )
    assert parsed.room == "r"


def test_a_body_without_a_content_type_is_told_which_there_are() -> None:
    for content_type in ("", None):
        with pytest.raises(
            TwirpError, match="Content-Type: ''; it must be application/protobuf or"
        ):
            body_format(content_type)
