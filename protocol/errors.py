"""Every error that Callboard raises on purpose, and how each one looks on a wire.

    CallboardError                      retryable: may the same call succeed later?
    ├── ConfigError                     a setting is wrong; the message names it
    ├── WireError                       a peer's fault: a close code and a Twirp code
    │   ├── FrameError                  a websocket frame that cannot be read
    │   ├── TwirpError                  an answer of the Twirp API, as such
    │   ├── TokenError                  a token that opens nothing
    │   ├── InvalidField                a field whose value is not allowed
    │   └── LimitExceeded               a field that is larger than its limit
    └── StoreError                      the store's fault: cause, place, remedy in one line
        ├── StoreUnavailable            (retryable) busy, locked, unreachable
        ├── StoreFull                   (retryable) no space left
        ├── StoreReadOnly
        ├── StoreInUse                  another server holds it
        ├── StoreCorrupt
        └── StoreTooNew                 written by a newer version

Messages are one line and hold no secret: never a token, a key or a body. "Declined", "no worker",
"not in this list" are results, not exceptions. All arguments are positional and kept in `args`,
so that each error survives a pickle between processes.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, ClassVar, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CallboardError",
    "CloseCode",
    "ConfigError",
    "FrameError",
    "InvalidField",
    "LimitExceeded",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreInUse",
    "StoreReadOnly",
    "StoreTooNew",
    "StoreUnavailable",
    "TokenError",
    "TwirpCode",
    "TwirpError",
    "TwirpErrorBody",
    "WireError",
]


class CloseCode(IntEnum):
    """Websocket close codes (RFC 6455, section 7.4.1) that we send."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_PAYLOAD = 1007
    POLICY_VIOLATION = 1008
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    TRY_AGAIN_LATER = 1013


class TwirpCode(StrEnum):
    """Error codes of the Twirp wire protocol v7; `http_status` is the protocol's own table."""

    CANCELED = "canceled"
    UNKNOWN = "unknown"
    INVALID_ARGUMENT = "invalid_argument"
    MALFORMED = "malformed"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    NOT_FOUND = "not_found"
    BAD_ROUTE = "bad_route"
    ALREADY_EXISTS = "already_exists"
    PERMISSION_DENIED = "permission_denied"
    UNAUTHENTICATED = "unauthenticated"
    RESOURCE_EXHAUSTED = "resource_exhausted"
    FAILED_PRECONDITION = "failed_precondition"
    ABORTED = "aborted"
    OUT_OF_RANGE = "out_of_range"
    UNIMPLEMENTED = "unimplemented"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"
    DATALOSS = "dataloss"

    @property
    def http_status(self) -> int:
        """The HTTP status that carries this code."""
        return _HTTP_STATUS[self]


_HTTP_STATUS: Mapping[TwirpCode, int] = {
    TwirpCode.CANCELED: 408,
    TwirpCode.UNKNOWN: 500,
    TwirpCode.INVALID_ARGUMENT: 400,
    TwirpCode.MALFORMED: 400,
    TwirpCode.DEADLINE_EXCEEDED: 408,
    TwirpCode.NOT_FOUND: 404,
    TwirpCode.BAD_ROUTE: 404,
    TwirpCode.ALREADY_EXISTS: 409,
    TwirpCode.PERMISSION_DENIED: 403,
    TwirpCode.UNAUTHENTICATED: 401,
    TwirpCode.RESOURCE_EXHAUSTED: 429,
    TwirpCode.FAILED_PRECONDITION: 412,
    TwirpCode.ABORTED: 409,
    TwirpCode.OUT_OF_RANGE: 400,
    TwirpCode.UNIMPLEMENTED: 501,
    TwirpCode.INTERNAL: 500,
    TwirpCode.UNAVAILABLE: 503,
    TwirpCode.DATALOSS: 503,
}


class _TwirpErrorBodyRequired(TypedDict):
    code: str
    msg: str


class TwirpErrorBody(_TwirpErrorBodyRequired, total=False):
    """The JSON body of a Twirp error; `meta` is there only when it is not empty."""

    meta: dict[str, str]


class CallboardError(Exception):
    """Root of every error that Callboard raises on purpose; `str()` is one line for a person."""

    retryable: ClassVar[bool] = False

    @property
    def for_caller(self) -> str:
        """What somebody may read who calls over the network: nothing of this machine."""
        return str(self)


class ConfigError(CallboardError):
    """A setting that cannot be used; the message names the setting and its source."""


# ---- a peer's fault ----


class WireError(CallboardError):
    """Something that a peer sent; carries the close code and the Twirp code that answer it."""

    close_code: CloseCode = CloseCode.POLICY_VIOLATION
    twirp_code: TwirpCode = TwirpCode.INVALID_ARGUMENT

    def as_twirp(self) -> TwirpError:
        """The same error as an answer of the Twirp API."""
        return TwirpError(self.twirp_code, str(self))


class FrameError(WireError):
    """A websocket frame that cannot be read; its content never enters the message."""

    twirp_code = TwirpCode.MALFORMED

    def __init__(self, reason: str, close_code: CloseCode = CloseCode.INVALID_PAYLOAD) -> None:
        super().__init__(reason, close_code)
        self.reason = reason
        self.close_code = close_code

    def __str__(self) -> str:
        return self.reason


class TwirpError(WireError):
    """An error answer of the Twirp API: code, message, and `meta` for programs."""

    def __init__(self, code: TwirpCode, msg: str, meta: Mapping[str, str] | None = None) -> None:
        super().__init__(code, msg, dict(meta) if meta else {})
        self.code = code
        self.twirp_code = code
        self.msg = msg
        self.meta: Mapping[str, str] = dict(meta) if meta else {}

    def __str__(self) -> str:
        return f"{self.code.value}: {self.msg}"

    @property
    def http_status(self) -> int:
        """The HTTP status that carries this error."""
        return self.code.http_status

    def as_twirp(self) -> TwirpError:
        return self

    def to_json(self) -> TwirpErrorBody:
        """The body as a JSON-able object: code, msg, and meta only when it is not empty."""
        body: TwirpErrorBody = {"code": self.code.value, "msg": self.msg}
        if self.meta:
            body["meta"] = dict(self.meta)
        return body


class TokenError(WireError):
    """A token that opens nothing; the reason names the claim, never the token or a secret."""

    twirp_code = TwirpCode.UNAUTHENTICATED

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"invalid token: {self.reason}"


class InvalidField(WireError):
    """A field whose value is not allowed; `reason` says what would be."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field} {self.reason}"


class LimitExceeded(WireError):
    """A field that is larger than its limit; sizes are in `unit` (bytes, jobs ...)."""

    def __init__(self, field: str, size: int, limit: int, unit: str = "bytes") -> None:
        super().__init__(field, size, limit, unit)
        self.field = field
        self.size = size
        self.limit = limit
        self.unit = unit

    def __str__(self) -> str:
        return f"{self.field} has {self.size} {self.unit}, the limit is {self.limit}"


# ---- the store's fault ----


class StoreError(CallboardError):
    """The store cannot do its work: what happened, where, and what a person can do about it."""

    def __init__(self, cause: str, place: str, remedy: str) -> None:
        super().__init__(cause, place, remedy)
        self.cause = cause
        self.place = place
        self.remedy = remedy

    def __str__(self) -> str:
        return " ".join(f"{self.place}: {self.cause}; {self.remedy}".split())

    @property
    def for_caller(self) -> str:
        # its place is a path, and the remedy is for who runs the server: both are in its log
        cause = self.cause.replace(self.place, "...") if self.place else self.cause
        return " ".join(f"the server's store: {cause}".split())


class StoreUnavailable(StoreError):
    """The store does not answer now: busy, locked or unreachable."""

    retryable = True


class StoreFull(StoreError):
    """No space is left where the store writes; what was acknowledged is safe."""

    retryable = True


class StoreReadOnly(StoreError):
    """The store's place cannot be written."""


class StoreInUse(StoreError):
    """Another server holds the store."""


class StoreCorrupt(StoreError):
    """The store's content is damaged; nothing was changed."""


class StoreTooNew(StoreError):
    """The store was written by a newer version of Callboard; nothing was changed."""
