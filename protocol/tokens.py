"""Access tokens: mint and verify LiveKit's JWTs (HS256 only).

A token names its key (`iss`), its bearer (`sub`) and its grants (`video`, `agent`). Verifying
trusts nothing before the signature is right, and refuses with TokenError whatever else comes: the
reason names a claim, never the token or the secret. Time is an argument. Which grant opens which
door is asked on `Grants`; who asks and what is answered is left to the server.

Claim names are those of LiveKit's AccessToken. The tokens of an assignment are as LiveKit's
BuildAgentToken makes them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from protocol.errors import TokenError
from protocol.limits import DEFAULT_LIMITS, WireLimits
from protocol.signing import decode_part, is_signed_with, sign
from protocol.values import quick
from protocol.wire_pb2 import ParticipantPermission

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AGENT_NAME_ATTRIBUTE",
    "DEV_KEY",
    "DEV_SECRET",
    "Grants",
    "check_body",
    "mint",
    "mint_api_token",
    "mint_assignment_token",
    "verify",
]

# The key that `--dev` means, as in livekit-server.
DEV_KEY = "devkey"
DEV_SECRET = "secret"  # noqa: S105 - public on purpose

# Set over the worker's own attributes on each agent participant (LiveKit: AgentNameAttributeKey).
AGENT_NAME_ATTRIBUTE = "lk.agent_name"

_NS_PER_SECOND = 1_000_000_000
# json's own functions make a reader and a writer for each text.
_read_json = json.JSONDecoder().decode
_write_json = json.JSONEncoder(separators=(",", ":")).encode
_NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})


@quick
@dataclass(frozen=True, slots=True)
class Grants:
    """What a verified token says. Claims that are absent have their empty value."""

    api_key: str
    identity: str = ""
    name: str = ""
    kind: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=lambda: _NO_ATTRIBUTES, hash=False)
    expires_at_seconds: float = 0.0
    # base64 SHA-256 of the body that came with the token (webhooks)
    sha256: str = ""
    # video.*
    room: str = ""
    room_join: bool = False
    room_admin: bool = False
    room_create: bool = False
    room_list: bool = False
    agent: bool = False
    can_publish: bool = True
    can_subscribe: bool = True
    can_publish_data: bool = True
    can_update_own_metadata: bool = False
    can_subscribe_metrics: bool = False
    hidden: bool = False
    # agent.dispatchAdmin
    dispatch_admin: bool = False

    def may_register_worker(self) -> bool:
        """Whether the bearer may connect as a worker (`video.agent`)."""
        return self.agent

    def may_administer_room(self, room: str) -> bool:
        """Whether the bearer may dispatch to `room` (`video.roomAdmin` and that very room).

        A token without a room opens only the empty room name, as in LiveKit.
        """
        return self.room_admin and self.room == room

    def may_administer_queue(self) -> bool:
        """Whether the bearer may read and change Callboard's own things (`agent.dispatchAdmin`)."""
        return self.dispatch_admin


def verify(
    token: str,
    keys: Mapping[str, str],
    now_ns: int,
    limits: WireLimits = DEFAULT_LIMITS,
) -> Grants:
    """The grants of `token`, signed with one of `keys` (API key to secret) and valid at `now_ns`.

    `exp` is required, `nbf` is not; both get `token_leeway_seconds`. Raises TokenError.
    """
    if not token:
        raise TokenError("the token is missing")
    if len(token) > limits.token_bytes_max:
        raise TokenError(f"the token is longer than {limits.token_bytes_max} bytes")
    if not token.isascii() or token.count(".") != 2:
        raise TokenError("the token is not a signed JWT")
    # Good for nothing but finding the key, until the signature is right.
    claims = _claims(decode_part(token.split(".", 2)[1]))
    api_key = _text(claims, "iss")
    secret = keys.get(api_key) if api_key else None
    if not secret:
        raise TokenError("the API key (iss) is not known")
    if not is_signed_with(token, secret):
        raise TokenError("the signature is wrong")
    expires_at_seconds = _check_times(claims, now_ns / _NS_PER_SECOND, limits.token_leeway_seconds)
    return _grants(claims, api_key, expires_at_seconds)


def check_body(grants: Grants, body: bytes) -> None:
    """Refuse a body that the token was not made for: TokenError.

    The claim `sha256` is the hash of the raw body in base64, and compared as LiveKit does, as text.
    """
    if not grants.sha256:
        raise TokenError("claim sha256 is missing")
    digest = base64.b64encode(hashlib.sha256(body).digest())
    if not hmac.compare_digest(digest, grants.sha256.encode()):
        raise TokenError("the body is not the one that was signed (sha256)")


def mint(
    api_key: str,
    secret: str,
    claims: Mapping[str, Any],
    now_ns: int,
    life_seconds: float = DEFAULT_LIMITS.token_life_seconds,
) -> str:
    """A signed token of any claims; iss, iat, nbf and exp are set here, over what `claims` says."""
    issued_at = now_ns // _NS_PER_SECOND
    body = dict(claims)
    body["iss"] = api_key
    body["iat"] = issued_at
    body["nbf"] = issued_at
    body["exp"] = issued_at + int(life_seconds)
    payload = _write_json(body).encode()
    return sign(payload, secret)


def mint_assignment_token(
    api_key: str,
    secret: str,
    *,
    room: str,
    identity: str,
    now_ns: int,
    name: str = "",
    metadata: str = "",
    attributes: Mapping[str, str] = _NO_ATTRIBUTES,
    agent_name: str = "",
    permissions: ParticipantPermission | None = None,
    life_seconds: float = DEFAULT_LIMITS.token_life_seconds,
) -> str:
    """The token with which an agent joins its room (LiveKit: BuildAgentToken).

    `name`, `metadata` and `attributes` are those of the worker's answer; `lk.agent_name` is set
    over them. `permissions` None: the worker sent none, and gets subscribe, publish, data and
    metadata. The sources to publish and the recorder flag are never passed on.
    """
    if permissions is None:
        permissions = ParticipantPermission(
            can_subscribe=True, can_publish=True, can_publish_data=True, can_update_metadata=True
        )
    video: dict[str, Any] = {
        "roomJoin": True,
        "agent": True,
        "room": room,
        "canSubscribe": permissions.can_subscribe,
        "canPublish": permissions.can_publish,
        "canPublishData": permissions.can_publish_data,
        "canUpdateOwnMetadata": permissions.can_update_metadata,
        "canSubscribeMetrics": permissions.can_subscribe_metrics,
    }
    if permissions.hidden:
        video["hidden"] = True
    claims: dict[str, Any] = {"sub": identity, "kind": "agent", "video": video}
    if name:
        claims["name"] = name
    if metadata:
        claims["metadata"] = metadata
    claims["attributes"] = {**attributes, AGENT_NAME_ATTRIBUTE: agent_name}
    return mint(api_key, secret, claims, now_ns, life_seconds)


def mint_api_token(
    api_key: str,
    secret: str,
    *,
    now_ns: int,
    identity: str = "",
    name: str = "",
    room: str = "",
    room_join: bool = False,
    room_admin: bool = False,
    room_create: bool = False,
    room_list: bool = False,
    agent: bool = False,
    dispatch_admin: bool = False,
    metadata: str = "",
    attributes: Mapping[str, str] = _NO_ATTRIBUTES,
    life_seconds: float = DEFAULT_LIMITS.token_life_seconds,
) -> str:
    """A token for a client, a worker or a participant; grants that are not asked are left out.

    `room_join` needs an identity and a room (as LiveKit's AccessToken asks): ValueError.
    """
    if room_join and not (identity and room):
        raise ValueError("a token that joins a room needs an identity and a room")
    video: dict[str, Any] = {
        claim: True
        for claim, granted in (
            ("roomJoin", room_join),
            ("roomAdmin", room_admin),
            ("roomCreate", room_create),
            ("roomList", room_list),
            ("agent", agent),
        )
        if granted
    }
    if room:
        video["room"] = room
    claims: dict[str, Any] = {"sub": identity}
    if name:
        claims["name"] = name
    if metadata:
        claims["metadata"] = metadata
    if attributes:
        claims["attributes"] = dict(attributes)
    if video:
        claims["video"] = video
    if dispatch_admin:
        claims["agent"] = {"dispatchAdmin": True}
    return mint(api_key, secret, claims, now_ns, life_seconds)


# ---- reading claims that may be hostile ----

# The fields of `Grants` by the claims that they come from: texts, and flags below `video`.
_TEXTS = {
    "sub": "identity",
    "name": "name",
    "kind": "kind",
    "metadata": "metadata",
    "sha256": "sha256",
}
_FLAGS = {
    "roomJoin": "room_join",
    "roomAdmin": "room_admin",
    "roomCreate": "room_create",
    "roomList": "room_list",
    "agent": "agent",
    "canPublish": "can_publish",
    "canSubscribe": "can_subscribe",
    "canPublishData": "can_publish_data",
    "canUpdateOwnMetadata": "can_update_own_metadata",
    "canSubscribeMetrics": "can_subscribe_metrics",
    "hidden": "hidden",
}
# Granted where the token does not say.
_GRANTED = frozenset({"canPublish", "canSubscribe", "canPublishData"})


def _claims(payload: bytes) -> Mapping[str, object]:
    try:
        claims = _read_json(payload.decode())
    except (ValueError, RecursionError):
        raise TokenError("the claims are not JSON") from None
    if not isinstance(claims, dict):
        raise TokenError("the claims are not a JSON object")
    return claims


def _text(claims: Mapping[str, object], name: str, shown: str = "") -> str:
    value = claims.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TokenError(f"claim {shown or name} is not a string")
    _check_unicode(value, shown or name)
    return value


def _check_unicode(value: str, shown: str) -> None:
    """Refuse half a surrogate pair: JSON can spell it, no other wire of ours can carry it."""
    if value.isascii():
        return
    try:
        value.encode()
    except UnicodeEncodeError:
        raise TokenError(f"claim {shown} is not Unicode text") from None


def _flag(claims: Mapping[str, object], group: str, name: str) -> bool:
    value = claims.get(name)
    if value is None:
        return name in _GRANTED
    if not isinstance(value, bool):
        raise TokenError(f"claim {group}.{name} is not a boolean")
    return value


def _group(claims: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = claims.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TokenError(f"claim {name} is not an object")
    return value


def _time(claims: Mapping[str, object], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenError(f"claim {name} is not a number")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = float("inf")
    # Not a number is equal to nothing, and an endless token is not a token with an end.
    if not -1e18 < seconds < 1e18:
        raise TokenError(f"claim {name} is out of range")
    return seconds


def _check_times(claims: Mapping[str, object], now_seconds: float, leeway_seconds: float) -> float:
    expires_at = _time(claims, "exp")
    if expires_at is None:
        raise TokenError("claim exp is missing")
    if now_seconds >= expires_at + leeway_seconds:
        raise TokenError("the token has expired")
    not_before = _time(claims, "nbf")
    if not_before is not None and now_seconds < not_before - leeway_seconds:
        raise TokenError("the token is not valid yet")
    return expires_at


def _attributes(claims: Mapping[str, object]) -> Mapping[str, str]:
    group = _group(claims, "attributes")
    if not group:
        return _NO_ATTRIBUTES
    attributes: dict[str, str] = {}
    for key, value in group.items():
        if not isinstance(value, str):
            raise TokenError("claim attributes holds something that is not a string")
        _check_unicode(key, "attributes")
        _check_unicode(value, "attributes")
        attributes[key] = value
    return MappingProxyType(attributes)


def _grants(claims: Mapping[str, object], api_key: str, expires_at_seconds: float) -> Grants:
    video = _group(claims, "video")
    # Most tokens have few claims: what is there is read, and nothing asked of what is not.
    said: dict[str, Any] = {}
    for name in claims:
        if name in _TEXTS:
            said[_TEXTS[name]] = _text(claims, name)
    for name in video:
        if name in _FLAGS:
            said[_FLAGS[name]] = _flag(video, "video", name)
    return Grants(
        api_key=api_key,
        attributes=_attributes(claims),
        expires_at_seconds=expires_at_seconds,
        room=_text(video, "room", "video.room"),
        dispatch_admin=_flag(_group(claims, "agent"), "agent", "dispatchAdmin"),
        **said,
    )
