"""HS256, the one way in which tokens are signed here: a JWS of three parts (RFC 7515, RFC 7518).

Small on purpose. A library for every algorithm costs 60 µs a token, a tenth of what a whole job
costs, mostly for what one algorithm does not need. Nothing is trusted before the signature is
right; a header that names another algorithm, or an extension that must be understood, is refused.
PyJWT stays, in the tests, as what this is held against.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
from functools import lru_cache

from protocol.errors import TokenError

__all__ = ["decode_part", "is_signed_with", "sign"]

ALGORITHM = "HS256"

# URL-safe base64 to the plain alphabet; plain base64's own two characters become none at all.
_TO_PLAIN = bytes.maketrans(b"-_+/", b"+/!!")
_BLOCK_BYTES = 64  # of SHA-256
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))
_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def sign(payload: bytes, secret: str) -> str:
    """Return the token with this payload."""
    signed = _HEADER + b"." + _encode_part(payload)
    return (signed + b"." + _signature(signed, secret)).decode("ascii")


def is_signed_with(token: str, secret: str) -> bool:
    """Whether the signature is right. Raises TokenError for a header that is not plain HS256.

    `token` is ASCII and has three parts.
    """
    signed, _, signature = token.encode("ascii").rpartition(b".")
    _check_header(signed[: signed.index(b".")])
    # As text: another spelling of the same signature is not the same token.
    return hmac.compare_digest(_signature(signed, secret), signature)


def decode_part(part: str) -> bytes:
    """Return the bytes of one part. Raises TokenError."""
    text = part.encode("ascii").translate(_TO_PLAIN)
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except ValueError:
        raise TokenError("the token is not a signed JWT") from None


def _encode_part(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL_SAFE)


def _signature(signed: bytes, secret: str) -> bytes:
    """HMAC-SHA256 (RFC 2104), from where the key has been taken in: that is the same each time."""
    inner_begun, outer_begun = _begun(secret)
    inner, outer = inner_begun.copy(), outer_begun.copy()
    inner.update(signed)
    outer.update(inner.digest())
    return _encode_part(outer.digest())


@lru_cache(maxsize=64)  # as many keys as are in use
def _begun(secret: str) -> tuple[hashlib._Hash, hashlib._Hash]:
    key = secret.encode()
    if len(key) > _BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    key = key.ljust(_BLOCK_BYTES, b"\0")
    return hashlib.sha256(key.translate(_INNER_PAD)), hashlib.sha256(key.translate(_OUTER_PAD))


@lru_cache(maxsize=64)  # each client library writes the same header every time
def _check_header(part: bytes) -> None:
    try:
        header = json.loads(decode_part(part.decode("ascii")))
    except (ValueError, RecursionError):
        raise TokenError("the token is not a signed JWT") from None
    if not isinstance(header, dict):
        raise TokenError("the token is not a signed JWT")
    if header.get("alg") != ALGORITHM:
        raise TokenError("the algorithm is not HS256")
    if not isinstance(header.get("kid", ""), str):
        raise TokenError("the token is not a signed JWT")
    if "crit" in header or "b64" in header:
        raise TokenError("the token's header asks for an extension")


_HEADER = _encode_part(b'{"alg":"HS256","typ":"JWT"}')
