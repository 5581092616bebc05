"""Tokens: LiveKit's own are understood, ours are understood by LiveKit, everything else is refused."""

import base64
import datetime
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit import api

from protocol import tokens
from protocol.errors import TokenError, TwirpCode
from protocol.limits import WireLimits
from protocol.tokens import Grants, check_body, verify
from protocol.wire_pb2 import ParticipantPermission, TrackSource

KEY = "devkey"
SECRET = "a-secret-that-is-long-enough-for-hs256"
KEYS = {KEY: SECRET, "other": "another-secret-that-is-long-enough!!"}
NOW_NS = 1_800_000_000_000_000_000
NOW_SECONDS = 1_800_000_000

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _signed(payload: bytes, header: bytes = b'{"alg":"HS256","typ":"JWT"}') -> str:
    """A token with a right signature over anything."""
    signed = f"{_base64(header)}.{_base64(payload)}"
    signature = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_base64(signature)}"


def _token(**claims: Any) -> str:
    """A token that is valid at NOW_NS but for what `claims` changes; None leaves a claim out."""
    body = {"iss": KEY, "nbf": NOW_SECONDS, "exp": NOW_SECONDS + 60} | claims
    return _signed(json.dumps({k: v for k, v in body.items() if v is not None}).encode())


def _reason(token: str, now_ns: int = NOW_NS) -> str:
    with pytest.raises(TokenError) as raised:
        verify(token, KEYS, now_ns)
    error = raised.value
    assert error.twirp_code is TwirpCode.UNAUTHENTICATED
    assert SECRET not in str(error)
    assert not token or token not in str(error)
    # The chain must not show them either: PyJWT's own errors are cut off.
    assert error.__suppress_context__ or error.__context__ is None
    return error.reason


# ---- what is understood ----


def test_a_token_of_livekits_api_is_understood() -> None:
    token = (
        api.AccessToken(KEY, SECRET)
        .with_identity("backend")
        .with_name("Backend")
        .with_metadata("m")
        .with_attributes({"a": "b"})
        .with_grants(api.VideoGrants(room_admin=True, room="lobby", agent=True, room_list=True))
        .with_agent_grants(api.access_token.AgentGrants(dispatch_admin=True))
        .with_sha256("digest")
        .to_jwt()
    )

    grants = verify(token, KEYS, time.time_ns())

    assert (grants.api_key, grants.identity, grants.name) == (KEY, "backend", "Backend")
    assert (grants.metadata, dict(grants.attributes), grants.sha256) == ("m", {"a": "b"}, "digest")
    assert grants.room == "lobby"
    assert grants.room_admin
    assert grants.room_list
    assert grants.agent
    assert grants.dispatch_admin
    assert not grants.room_join
    assert not grants.room_create


def test_a_worker_token_of_livekits_api_registers_a_worker_and_nothing_else() -> None:
    token = api.AccessToken(KEY, SECRET).with_grants(api.VideoGrants(agent=True)).to_jwt()

    grants = verify(token, KEYS, time.time_ns())

    assert grants.may_register_worker()
    assert not grants.may_administer_room("")
    assert not grants.may_administer_queue()


def test_a_room_admin_administers_that_room_only() -> None:
    grants = verify(_token(video={"roomAdmin": True, "room": "lobby"}), KEYS, NOW_NS)

    assert grants.may_administer_room("lobby")
    assert not grants.may_administer_room("Lobby")
    assert not grants.may_administer_room("")


def test_a_room_admin_without_a_room_opens_no_named_room() -> None:
    grants = verify(_token(video={"roomAdmin": True}), KEYS, NOW_NS)

    assert grants.may_administer_room("")
    assert not grants.may_administer_room("lobby")


def test_a_token_without_grants_opens_nothing() -> None:
    grants = verify(_token(), KEYS, NOW_NS)

    assert grants == Grants(api_key=KEY, expires_at_seconds=NOW_SECONDS + 60)
    assert not grants.may_register_worker()
    assert not grants.may_administer_room("")
    assert not grants.may_administer_queue()


def test_a_claim_that_we_do_not_know_is_ignored() -> None:
    token = _token(video={"agent": True, "later": [1]}, later={"x": 1}, sip=7)

    assert verify(token, KEYS, NOW_NS).agent


def test_a_claim_that_is_null_is_absent() -> None:
    payload = {"iss": KEY, "exp": NOW_SECONDS, "video": None, "sub": None, "attributes": None}

    grants = verify(_signed(json.dumps(payload).encode()), KEYS, NOW_NS)

    assert grants.identity == ""
    assert dict(grants.attributes) == {}


@pytest.mark.parametrize("now_seconds", [NOW_SECONDS - 60, NOW_SECONDS, NOW_SECONDS + 119])
def test_a_minute_of_difference_between_clocks_is_forgiven(now_seconds: int) -> None:
    verify(_token(), KEYS, now_seconds * 1_000_000_000)


# ---- what is refused ----


def test_an_expired_token_is_refused() -> None:
    assert _reason(_token(), (NOW_SECONDS + 120) * 1_000_000_000) == "the token has expired"


def test_a_token_of_the_future_is_refused() -> None:
    assert _reason(_token(), (NOW_SECONDS - 61) * 1_000_000_000) == "the token is not valid yet"


def test_a_token_without_an_end_is_refused() -> None:
    assert _reason(_token(exp=None)) == "claim exp is missing"


def test_an_unsigned_token_is_refused() -> None:
    claims = {"iss": KEY, "exp": NOW_SECONDS + 60, "video": {"agent": True}}

    assert _reason(jwt.encode(claims, None, algorithm="none")) == "the algorithm is not HS256"


@pytest.mark.parametrize("algorithm", ["none", "None", "HS384", "HS512", "RS256", "ES256", ""])
def test_another_algorithm_is_refused_even_with_an_hs256_signature(algorithm: str) -> None:
    header = json.dumps({"alg": algorithm, "typ": "JWT"}).encode()
    payload = json.dumps({"iss": KEY, "exp": NOW_SECONDS + 60}).encode()

    assert _reason(_signed(payload, header)) in (
        "the algorithm is not HS256",
        "the token is not a signed JWT",
    )


def test_a_token_of_hs512_with_the_right_secret_is_refused() -> None:
    secret = SECRET * 2
    token = jwt.encode({"iss": KEY, "exp": NOW_SECONDS + 60}, secret, algorithm="HS512")

    with pytest.raises(TokenError, match="not HS256"):
        verify(token, {KEY: secret}, NOW_NS)


def test_a_token_signed_with_another_secret_is_refused() -> None:
    token = jwt.encode({"iss": KEY, "exp": NOW_SECONDS + 60}, KEYS["other"], algorithm="HS256")

    assert _reason(token) == "the signature is wrong"


@pytest.mark.parametrize("issuer", ["stranger", "", None])
def test_a_token_of_an_unknown_key_is_refused(issuer: str | None) -> None:
    assert _reason(_token(iss=issuer)) == "the API key (iss) is not known"


def test_a_key_without_a_secret_opens_nothing() -> None:
    token = jwt.encode({"iss": KEY, "exp": NOW_SECONDS + 60}, SECRET, algorithm="HS256")

    with pytest.raises(TokenError, match="not known"):
        verify(token, {KEY: ""}, NOW_NS)


def test_a_token_whose_claims_were_changed_is_refused() -> None:
    header, _, signature = _token(video={"room": "lobby"}).split(".")
    changed = _base64(json.dumps({"iss": KEY, "exp": NOW_SECONDS + 999}).encode())

    assert _reason(f"{header}.{changed}.{signature}") == "the signature is wrong"


def test_a_token_whose_signature_is_cut_off_is_refused() -> None:
    assert _reason(_token().rpartition(".")[0] + ".") == "the signature is wrong"


def test_a_missing_token_is_refused() -> None:
    assert _reason("") == "the token is missing"


def test_a_huge_token_is_refused_unread() -> None:
    assert _reason("x" * 70_000) == "the token is longer than 65536 bytes"
    with pytest.raises(TokenError, match="longer than 10 bytes"):
        verify(_token(), KEYS, NOW_NS, WireLimits(token_bytes_max=10))


@pytest.mark.parametrize(
    "token", ["x", "a.b", "a.b.c", "a.b.c.d", "..", "é.é.é", "\ud800..", "eyJ9.!!.x", "\x00.\x00."]
)
def test_text_that_is_no_token_is_refused(token: str) -> None:
    _reason(token)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"{",
        b"[" * 40_000,
        b'{"iss":' + b"9" * 5000 + b"}",
        b'{"iss":["devkey"]}',
        b'{"iss":{"a":1}}',
    ],
)
def test_claims_that_are_no_object_with_a_key_are_refused(payload: bytes) -> None:
    _reason(_signed(payload))


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b'{"alg":["HS256"]}',
        b'{"alg":null}',
        b'{"alg":"HS256","b64":false}',
        b'{"alg":"HS256","b64":false,"crit":["b64"]}',
        b'{"alg":"HS256","crit":["later"]}',
        b'{"alg":"HS256","kid":7}',
        b"[" * 40_000,
    ],
)
def test_a_strange_header_is_refused(header: bytes) -> None:
    _reason(_signed(json.dumps({"iss": KEY, "exp": NOW_SECONDS + 60}).encode(), header))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": "soon"}, "claim exp is not a number"),
        ({"exp": True}, "claim exp is not a number"),
        ({"exp": []}, "claim exp is not a number"),
        ({"exp": float("nan")}, "claim exp is out of range"),
        ({"exp": float("inf")}, "claim exp is out of range"),
        ({"exp": 10**400}, "claim exp is out of range"),
        ({"nbf": "now"}, "claim nbf is not a number"),
        ({"nbf": float("nan")}, "claim nbf is out of range"),
        ({"sub": 7}, "claim sub is not a string"),
        ({"name": []}, "claim name is not a string"),
        ({"metadata": {}}, "claim metadata is not a string"),
        ({"kind": 1}, "claim kind is not a string"),
        ({"sha256": 1}, "claim sha256 is not a string"),
        ({"sub": "\ud800"}, "claim sub is not Unicode text"),
        ({"video": {"room": "\udfff"}}, "claim video.room is not Unicode text"),
        ({"attributes": {"a": "\ud800"}}, "claim attributes is not Unicode text"),
        ({"attributes": {"\ud800": "a"}}, "claim attributes is not Unicode text"),
        ({"video": []}, "claim video is not an object"),
        ({"video": "agent"}, "claim video is not an object"),
        ({"video": {"agent": "true"}}, "claim video.agent is not a boolean"),
        ({"video": {"agent": 1}}, "claim video.agent is not a boolean"),
        ({"video": {"roomAdmin": {}}}, "claim video.roomAdmin is not a boolean"),
        ({"video": {"room": 5}}, "claim video.room is not a string"),
        ({"agent": True}, "claim agent is not an object"),
        ({"agent": {"dispatchAdmin": "yes"}}, "claim agent.dispatchAdmin is not a boolean"),
        ({"attributes": []}, "claim attributes is not an object"),
        (
            {"attributes": {"a": 1}},
            "claim attributes holds something that is not a string",
        ),
    ],
    ids=repr,
)
def test_a_claim_of_the_wrong_type_is_refused_by_name(claims: dict[str, Any], reason: str) -> None:
    assert _reason(_token(**claims)) == reason


# ---- whatever comes ----


def _verify_or_refuse(token: str) -> None:
    reason = ""
    try:
        verify(token, KEYS, NOW_NS)
    except TokenError as error:
        reason = str(error)
    assert reason.isprintable()
    assert len(reason) < 200


@given(st.text() | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True))
def test_any_text_is_refused_and_nothing_else_happens(token: str) -> None:
    with pytest.raises(TokenError):
        verify(token, KEYS, NOW_NS)


@given(header=st.binary(max_size=40), payload=st.binary(max_size=60))
def test_any_signed_bytes_are_refused(header: bytes, payload: bytes) -> None:
    with pytest.raises(TokenError):
        verify(_signed(payload, header), KEYS, NOW_NS)


@settings(max_examples=300)
@given(
    claims=st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("iss", "sub", "exp", "nbf", "video", "agent", "attributes", "name", "kind"),
            JSON_VALUES,
        ),
    ),
    video=st.dictionaries(
        st.sampled_from(("agent", "room", "roomAdmin", "canPublish")), JSON_VALUES, max_size=3
    ),
)
def test_any_signed_claims_are_read_or_refused(
    claims: dict[str, Any], video: dict[str, Any]
) -> None:
    body = {"iss": KEY, "exp": NOW_SECONDS + 60, "video": video} | claims
    _verify_or_refuse(_signed(json.dumps(body).encode()))


@settings(max_examples=300)
@given(data=st.data())
def test_a_valid_token_with_any_character_changed_is_refused(data: st.DataObject) -> None:
    token = _token(video={"agent": True})
    place = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.characters(max_codepoint=255))
    changed = token[:place] + character + token[place + 1 :]

    # The last character of a base64 text has bits that mean nothing.
    try:
        grants = verify(changed, KEYS, NOW_NS)
    except TokenError:
        return
    assert changed == token or place == len(token) - 1
    assert grants == verify(token, KEYS, NOW_NS)


# ---- what we mint ----


def _claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(
        token,
        SECRET,
        algorithms=["HS256"],
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )
    return claims


def test_an_assignment_token_has_exactly_livekits_claims() -> None:
    token = tokens.mint_assignment_token(
        KEY,
        SECRET,
        room="lobby",
        identity="agent-AJ_x",
        now_ns=NOW_NS,
        name="Greeter",
        metadata="m",
        attributes={"lk.agent.name": "greeter", "lk.agent_name": "an impostor"},
        agent_name="greeter",
    )

    assert _claims(token) == {
        "iss": KEY,
        "sub": "agent-AJ_x",
        "iat": NOW_SECONDS,
        "nbf": NOW_SECONDS,
        "exp": NOW_SECONDS + 3600,
        "kind": "agent",
        "name": "Greeter",
        "metadata": "m",
        "attributes": {"lk.agent.name": "greeter", "lk.agent_name": "greeter"},
        "video": {
            "roomJoin": True,
            "agent": True,
            "room": "lobby",
            "canSubscribe": True,
            "canPublish": True,
            "canPublishData": True,
            "canUpdateOwnMetadata": True,
            "canSubscribeMetrics": False,
        },
    }


def test_an_assignment_token_says_what_livekits_own_access_token_says() -> None:
    ours = _claims(
        tokens.mint_assignment_token(
            KEY,
            SECRET,
            room="lobby",
            identity="me",
            now_ns=NOW_NS,
            name="n",
            metadata="m",
            attributes={"a": "b"},
            agent_name="greeter",
            permissions=ParticipantPermission(can_publish=True, hidden=True),
        )
    )
    theirs = _claims(
        api.AccessToken(KEY, SECRET)
        .with_identity("me")
        .with_name("n")
        .with_kind("agent")
        .with_metadata("m")
        .with_attributes({"a": "b", "lk.agent_name": "greeter"})
        .with_grants(
            api.VideoGrants(
                room_join=True,
                agent=True,
                room="lobby",
                can_subscribe=False,
                can_publish=True,
                can_publish_data=False,
                can_update_own_metadata=False,
                can_subscribe_metrics=False,
                hidden=True,
            )
        )
        .with_ttl(datetime.timedelta(hours=1))
        .to_jwt()
    )
    times = {"iat", "nbf", "exp"}

    assert {k: v for k, v in ours.items() if k not in times} == {
        k: v for k, v in theirs.items() if k not in times
    }
    assert ours["exp"] - ours["nbf"] == theirs["exp"] - theirs["nbf"]


def test_publish_sources_and_the_recorder_flag_are_never_passed_on() -> None:
    permissions = ParticipantPermission(
        can_publish=True, recorder=True, can_publish_sources=[TrackSource.CAMERA]
    )

    token = tokens.mint_assignment_token(
        KEY, SECRET, room="r", identity="i", now_ns=NOW_NS, permissions=permissions
    )

    video = _claims(token)["video"]
    assert "recorder" not in video
    assert "canPublishSources" not in video
    assert "hidden" not in video


def test_permissions_that_were_sent_empty_are_empty() -> None:
    token = tokens.mint_assignment_token(
        KEY, SECRET, room="r", identity="i", now_ns=NOW_NS, permissions=ParticipantPermission()
    )

    video = _claims(token)["video"]
    assert [video[claim] for claim in ("canSubscribe", "canPublish", "canPublishData")] == [
        False,
        False,
        False,
    ]


def test_livekits_verifier_understands_an_assignment_token() -> None:
    token = tokens.mint_assignment_token(
        KEY, SECRET, room="lobby", identity="me", now_ns=time.time_ns(), agent_name="greeter"
    )

    claims = api.TokenVerifier(KEY, SECRET).verify(token)

    assert claims.identity == "me"
    assert claims.kind == "agent"
    assert claims.attributes == {"lk.agent_name": "greeter"}
    assert claims.video is not None
    assert claims.video.room == "lobby"
    assert claims.video.room_join
    assert claims.video.agent
    assert claims.video.can_update_own_metadata


def test_livekits_verifier_understands_an_api_token() -> None:
    token = tokens.mint_api_token(
        KEY,
        SECRET,
        now_ns=time.time_ns(),
        identity="cli",
        room="lobby",
        room_admin=True,
        agent=True,
        dispatch_admin=True,
    )

    claims = api.TokenVerifier(KEY, SECRET).verify(token)

    assert claims.identity == "cli"
    assert claims.video is not None
    assert (claims.video.room, claims.video.room_admin, claims.video.agent) == ("lobby", True, True)
    assert claims.agent is not None
    assert claims.agent.dispatch_admin
    assert not claims.agent.admin


def test_our_own_tokens_say_what_was_asked() -> None:
    token = tokens.mint_api_token(
        KEY,
        SECRET,
        now_ns=NOW_NS,
        identity="i",
        name="n",
        room="r",
        room_join=True,
        room_create=True,
        room_list=True,
        metadata="m",
        attributes={"a": "b"},
        life_seconds=10,
    )

    grants = verify(token, KEYS, NOW_NS)

    assert grants == Grants(
        api_key=KEY,
        identity="i",
        name="n",
        room="r",
        room_join=True,
        room_create=True,
        room_list=True,
        metadata="m",
        attributes={"a": "b"},
        expires_at_seconds=NOW_SECONDS + 10,
    )


def test_a_token_with_no_grants_asked_has_no_grants() -> None:
    claims = _claims(tokens.mint_api_token(KEY, SECRET, now_ns=NOW_NS))

    assert set(claims) == {"iss", "sub", "iat", "nbf", "exp"}


@pytest.mark.parametrize(("identity", "room"), [("", "r"), ("i", ""), ("", "")])
def test_a_token_that_joins_a_room_needs_identity_and_room(identity: str, room: str) -> None:
    with pytest.raises(ValueError, match="identity and a room"):
        tokens.mint_api_token(
            KEY, SECRET, now_ns=NOW_NS, identity=identity, room=room, room_join=True
        )


def test_claims_cannot_lengthen_their_own_life() -> None:
    token = tokens.mint(KEY, SECRET, {"exp": 9e17, "iss": "other"}, NOW_NS, life_seconds=5)

    assert verify(token, KEYS, NOW_NS) == Grants(api_key=KEY, expires_at_seconds=NOW_SECONDS + 5)


def test_the_secret_of_a_development_key_may_be_short() -> None:
    token = tokens.mint_api_token("devkey", "secret", now_ns=NOW_NS, agent=True)

    assert verify(token, {"devkey": "secret"}, NOW_NS).agent


# --- bodies that a token signs ---


def test_a_body_that_livekit_signed_is_the_one_that_was_signed() -> None:
    body = b'{"event": "room_started"}'
    claim = base64.b64encode(hashlib.sha256(body).digest()).decode()
    token = api.AccessToken(KEY, SECRET).with_sha256(claim).to_jwt()
    check_body(verify(token, KEYS, time.time_ns()), body)


@pytest.mark.parametrize("claim", ["", "c2hhMjU2", hashlib.sha256(b"body").hexdigest(), "é"])
def test_another_body_than_the_signed_one_is_refused(claim: str) -> None:
    with pytest.raises(TokenError):
        check_body(Grants(KEY, sha256=claim), b"body")
