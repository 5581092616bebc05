"""Bytes and text from a wire to messages, and back.

Two wires: the worker socket, whose frames are binary protobuf or, in a text frame, its JSON form;
and Twirp, whose bodies are protobuf or JSON by their content type. Unknown fields of protobuf are
kept, those of JSON are ignored; field names in JSON may be camelCase or snake_case.

Whatever comes, the only errors are FrameError (socket) and TwirpError (Twirp). What a readable
message means, and whether its fields are within their limits, is left to the caller; so is a load
that is not a number (see `limits.bounded_load`).
"""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING, TypeVar, cast

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from protocol.errors import CloseCode, FrameError, TwirpCode, TwirpError
from protocol.limits import DEFAULT_LIMITS, WireLimits, text_bytes
from protocol.wire_pb2 import ServerMessage, WorkerMessage

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

__all__ = [
    "BodyFormat",
    "FrameFormat",
    "body_format",
    "decode_server_message",
    "decode_worker_message",
    "encode_server_message",
    "encode_worker_message",
    "frame_format",
    "parse_body",
    "print_body",
]

M = TypeVar("M", bound=Message)

# protobuf's own bound for binary messages, which no message of ours comes near.
_DEPTH_MAX = 100
_REASON_CHARACTERS_MAX = 200
_NAME_CHARACTERS_MAX = 60


class FrameFormat(Enum):
    """How the frames of one connection are written; a peer is answered as it speaks."""

    BINARY = "binary"
    JSON = "json"


class BodyFormat(Enum):
    """How a Twirp body is written; the value is its content type."""

    PROTOBUF = "application/protobuf"
    JSON = "application/json"

    @property
    def content_type(self) -> str:
        """The value of the Content-Type header."""
        return self.value


_BODY_FORMATS = {form.value: form for form in BodyFormat}


# ---- the worker socket ----


def frame_format(frame: bytes | str) -> FrameFormat:
    """JSON for a text frame, binary for any other."""
    return FrameFormat.JSON if isinstance(frame, str) else FrameFormat.BINARY


def decode_worker_message(frame: bytes | str, limits: WireLimits = DEFAULT_LIMITS) -> WorkerMessage:
    """What a worker sent, from a binary (`bytes`) or text (`str`) frame. Raises FrameError.

    An empty or unknown message is not an error: no field of its oneof is set then.
    """
    return _decode_frame(frame, WorkerMessage, limits)


def decode_server_message(frame: bytes | str, limits: WireLimits = DEFAULT_LIMITS) -> ServerMessage:
    """What a server sent, from a binary (`bytes`) or text (`str`) frame. Raises FrameError."""
    return _decode_frame(frame, ServerMessage, limits)


def encode_server_message(
    message: ServerMessage, form: FrameFormat = FrameFormat.BINARY
) -> bytes | str:
    """The frame of a server's message: `bytes` for a binary frame, `str` for a text frame."""
    return _encode_frame(message, form)


def encode_worker_message(
    message: WorkerMessage, form: FrameFormat = FrameFormat.BINARY
) -> bytes | str:
    """The frame of a worker's message: `bytes` for a binary frame, `str` for a text frame."""
    return _encode_frame(message, form)


# ---- Twirp ----


def body_format(content_type: str | None) -> BodyFormat:
    """The format of a body from its Content-Type header; TwirpError `bad_route` for any other."""
    form = _BODY_FORMATS.get(content_type or "")
    if form is not None:
        return form
    media_type = (content_type or "").partition(";")[0].strip().lower()
    form = _BODY_FORMATS.get(media_type)
    if form is not None:
        return form
    shown = _one_line(media_type) if media_type else ""
    known = " or ".join(candidate.value for candidate in BodyFormat)
    raise TwirpError(TwirpCode.BAD_ROUTE, f"unexpected Content-Type: {shown!r}; it must be {known}")


def parse_body(
    body: bytes,
    form: BodyFormat,
    message_type: type[M],
    limits: WireLimits = DEFAULT_LIMITS,
    *,
    ignore_unknown: bool = True,
    ignore_unknown_names: bool = True,
) -> M:
    """The request in a Twirp body. TwirpError `malformed`, or `invalid_argument` when too large.

    Without `ignore_unknown`, a JSON field that the message does not have is malformed; without
    `ignore_unknown_names`, the name of an enum's value that we do not know is. (LiveKit's server
    leaves both out; their numbers pass in any case.)
    """
    if len(body) > limits.body_bytes_max:
        raise TwirpError(
            TwirpCode.INVALID_ARGUMENT,
            f"the body has {len(body)} bytes, the limit is {limits.body_bytes_max}",
        )
    if form is BodyFormat.PROTOBUF:
        try:
            return message_type.FromString(body)
        except DecodeError as error:
            raise _malformed("protobuf", error) from None
    message = message_type()
    try:
        text = body.decode()
        _parse_json(text, message, ignore_unknown=ignore_unknown)
        descriptor = cast("Descriptor", message.DESCRIPTOR)
        if ignore_unknown and not ignore_unknown_names and _has_enums(descriptor):
            _check_names(json.loads(text), descriptor, "")
    except (UnicodeDecodeError, json_format.ParseError) as error:
        raise _malformed("JSON", error) from None
    return message


def print_body(message: Message, form: BodyFormat) -> bytes:
    """The body of an answer. JSON has snake_case names, defaults, enum names, int64 as text."""
    if form is BodyFormat.PROTOBUF:
        return message.SerializeToString()
    return json_format.MessageToJson(
        message,
        indent=None,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
        ensure_ascii=False,
    ).encode()


# ---- both ----


def _decode_frame(frame: bytes | str, message_type: type[M], limits: WireLimits) -> M:
    size = text_bytes(frame) if isinstance(frame, str) else len(frame)
    if size > limits.frame_bytes_max:
        raise FrameError(
            f"the frame has {size} bytes, the limit is {limits.frame_bytes_max}",
            CloseCode.TOO_BIG,
        )
    if isinstance(frame, str):
        message = message_type()
        try:
            _parse_json(frame, message)
        except json_format.ParseError as error:
            raise FrameError(f"the text frame cannot be read: {_one_line(error)}") from None
        return message
    try:
        return message_type.FromString(frame)
    except DecodeError as error:
        raise FrameError(f"the binary frame cannot be read: {_one_line(error)}") from None


def _encode_frame(message: Message, form: FrameFormat) -> bytes | str:
    if form is FrameFormat.BINARY:
        return message.SerializeToString()
    return json_format.MessageToJson(message, indent=None, ensure_ascii=False)


def _parse_json(text: str, message: Message, *, ignore_unknown: bool = True) -> None:
    """Fill `message` from `text`; whatever is wrong with it is a ParseError."""
    # json_format would take a list or a string for an object without fields.
    if not text.lstrip(" \t\r\n").startswith("{"):
        raise json_format.ParseError("not a JSON object")
    try:
        json_format.Parse(
            text,
            message,
            ignore_unknown_fields=ignore_unknown,
            max_recursion_depth=_DEPTH_MAX,
        )
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        raise json_format.ParseError(str(error)) from None
    except RecursionError:
        raise json_format.ParseError("nested too deeply") from None


def _has_enums(descriptor: Descriptor, above: frozenset[str] = frozenset()) -> bool:
    """Is there an enum in the message, or in one inside it?"""
    above |= {descriptor.full_name}
    return any(
        field.enum_type is not None
        or (
            field.message_type is not None
            and field.message_type.full_name not in above
            and _has_enums(field.message_type, above)
        )
        for field in descriptor.fields
    )


def _check_names(value: object, descriptor: Descriptor, path: str) -> None:
    """ParseError for the name of an enum's value that we do not know, in JSON that was parsed."""
    if not isinstance(value, dict):
        return
    by_name, by_camel_name = descriptor.fields_by_name, descriptor.fields_by_camelcase_name
    for name, inner in value.items():
        field = by_name.get(name) or by_camel_name.get(name)
        if field is None:
            continue
        for each in inner if isinstance(inner, list) else (inner,):
            if field.message_type is not None:
                _check_names(each, field.message_type, f"{path}{name}.")
            elif (
                field.enum_type is not None
                and isinstance(each, str)
                and each not in field.enum_type.values_by_name
                and not each.lstrip("-").isdecimal()
            ):
                known = ", ".join(field.enum_type.values_by_name)
                raise json_format.ParseError(
                    f"{path}{name}: {each[:_NAME_CHARACTERS_MAX]!r} is not one of {known}"
                )


def _malformed(format_name: str, error: Exception) -> TwirpError:
    return TwirpError(
        TwirpCode.MALFORMED,
        f"the {format_name} request could not be decoded: {_one_line(error)}",
    )


def _one_line(error: object) -> str:
    """The text of an error, in one line and bounded: it may quote what a peer sent."""
    text = str(error)[: 2 * _REASON_CHARACTERS_MAX]
    text = "".join(c if c.isprintable() else " " for c in text)
    return text[:_REASON_CHARACTERS_MAX].strip() or "no reason given"
