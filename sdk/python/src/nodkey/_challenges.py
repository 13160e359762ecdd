"""Parts of evidence that are not receipts: the challenge, the phone's response, and its key statement."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from nodkey import _claims as claims
from nodkey._json import Json, Members
from nodkey._jws import KEYS, Jws
from nodkey._keys import PublicKey
from nodkey._receipts import Decision, KeyKind

#: A statement names at most as many keys.
_MAX_KEYS = 8


class RejectedBecause(str, Enum):
    """What a phone may say of a rejection."""

    #: The person did not start this.
    NOT_ME = "not_me"
    #: The person did, and no longer wants it.
    CHANGED_MIND = "changed_mind"


@dataclass(frozen=True, slots=True, kw_only=True)
class RelyingPartyClaim:
    """The relying party in a challenge."""

    #: UUID.
    id: str
    #: Display name.
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberMatchClaim:
    """How a number is matched. The right one is never in a challenge."""

    #: `choose` or `enter`.
    mode: str
    #: With `choose`: the numbers that the person picks from.
    choices: tuple[str, ...] = ()
    #: With `enter`: how many digits the person types.
    digits: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContextClaim:
    """Where the request came from, as the backend saw it. Only the backend vouches for it; empty is what it did not say."""

    #: IP address.
    address: str
    #: Name of the browser, or its user agent.
    browser: str
    #: Approximate place of the address.
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeClaims:
    """What the deployment sent to the phone, which shows this and nothing else."""

    #: The gateway's public URL.
    iss: str
    #: UUID of the trusonafication.
    jti: str
    #: When it was issued, in seconds since 1970.
    iat: int
    #: When it expires, in seconds since 1970.
    exp: int
    #: The relying party that requests it.
    rp: RelyingPartyClaim
    #: Action, exactly as shown.
    act: str
    #: Resource, exactly as shown.
    res: str
    #: Desired level: 1, 2 or 3.
    lvl: int
    #: Whether the phone has to show it.
    prompt: bool
    #: Whether presence has to be proven.
    presence: bool
    #: Whether the identity document has to be proven.
    document: bool
    #: Custom fields as they were read. Their exact characters are in the challenge itself.
    fields: dict[str, Json] | None
    #: Number matching; `match` in the challenge.
    number_match: NumberMatchClaim | None
    #: Where the request came from; `from` in the challenge.
    request_context: RequestContextClaim | None
    #: Random value.
    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseClaims:
    """What the phone signed."""

    #: Device identifier.
    iss: str
    #: `iss` of the challenge, or a list with it.
    aud: str | tuple[str, ...]
    #: UUID of the trusonafication.
    sub: str
    #: Base64url of the SHA-256 of the challenge.
    chal: str
    #: What the person decided. The receipt says what it counted as.
    dec: Decision
    #: Why it was rejected.
    why: RejectedBecause | None
    #: The number that was chosen or entered.
    num: str | None
    #: Hash of the identity document.
    doc: str | None
    #: When it was signed by the phone's clock, in seconds since 1970.
    iat: int
    #: Random value.
    jti: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStatement:
    """The device key states which presence keys the device has."""

    iss: str
    aud: str | tuple[str, ...]
    seq: int
    keys: tuple[tuple[KeyKind, str], ...]
    nonce: str
    iat: int


def read_challenge(read: Members) -> ChallengeClaims:
    """Reads the claims of a challenge."""
    party = claims.required(read, "rp", claims.members)
    return ChallengeClaims(
        iss=claims.required(read, "iss", claims.text),
        jti=claims.required(read, "jti", claims.text),
        iat=claims.required(read, "iat", claims.date),
        exp=claims.required(read, "exp", claims.date),
        rp=RelyingPartyClaim(id=claims.required(party, "id", claims.text), name=claims.required(party, "name", claims.text)),
        act=claims.required(read, "act", claims.text),
        res=claims.required(read, "res", claims.text),
        lvl=claims.required(read, "lvl", claims.integer),
        prompt=claims.required(read, "prompt", claims.flag),
        presence=claims.required(read, "presence", claims.flag),
        document=claims.required(read, "document", claims.flag),
        fields=claims.optional(read, "fields", _fields),
        number_match=claims.optional(read, "match", _number_match),
        request_context=claims.optional(read, "from", _request_context),
        nonce=claims.required(read, "nonce", claims.text),
    )


def read_response(read: Members) -> ResponseClaims:
    """Reads the claims of a response."""
    return ResponseClaims(
        iss=claims.required(read, "iss", claims.text),
        aud=claims.required(read, "aud", claims.audience),
        sub=claims.required(read, "sub", claims.text),
        chal=claims.required(read, "chal", claims.text),
        dec=claims.required(read, "dec", claims.named(Decision)),
        why=claims.optional(read, "why", claims.named(RejectedBecause)),
        num=claims.optional(read, "num", claims.text),
        doc=claims.optional(read, "doc", claims.text),
        iat=claims.required(read, "iat", claims.date),
        jti=claims.required(read, "jti", claims.text),
    )


def verify_key_statement(text: str, device: PublicKey, audience: str) -> KeyStatement:
    """Verifies a statement by the key of the device it is about, for the deployment at that URL."""
    statement = _read_statement(Jws.parse(text).verify(device, KEYS))
    named = [jkt for _, jkt in statement.keys]
    presence_keys = len(named) <= _MAX_KEYS and len(set(named)) == len(named) and statement.iss not in named
    if not presence_keys or statement.iss != device.thumbprint or not claims.includes(statement.aud, audience):
        raise claims.wrong()
    return statement


def verify_key_signature(text: str, statement: KeyStatement, presence: PublicKey) -> None:
    """Verifies a presence key's signature over the claims of a statement."""
    if _read_statement(Jws.parse(text).verify(presence, KEYS)) != statement:
        raise claims.wrong()


def _read_statement(read: Members) -> KeyStatement:
    return KeyStatement(
        iss=claims.required(read, "iss", claims.text),
        aud=claims.required(read, "aud", claims.audience),
        seq=claims.required(read, "seq", claims.natural),
        keys=claims.required(read, "keys", _stated_keys),
        nonce=claims.required(read, "nonce", claims.text),
        iat=claims.required(read, "iat", claims.date),
    )


def _stated_keys(value: Json) -> tuple[tuple[KeyKind, str], ...]:
    return tuple(_stated_key(claims.members(key)) for key in claims.items(value))


def _stated_key(read: Members) -> tuple[KeyKind, str]:
    kind = claims.required(read, "kind", claims.named(KeyKind))
    if kind is KeyKind.DEVICE:
        raise claims.wrong()
    return kind, claims.required(read, "jkt", claims.text)


def _fields(value: Json) -> dict[str, Json]:
    # Earlier releases allowed repeated members here.
    if not isinstance(value, Members):
        raise claims.wrong()
    return value


def _number_match(value: Json) -> NumberMatchClaim:
    read = claims.members(value)
    match claims.required(read, "mode", claims.text):
        case "choose":
            return NumberMatchClaim(mode="choose", choices=tuple(map(claims.text, claims.required(read, "choices", claims.items))))
        case "enter":
            digits = claims.optional(read, "digits", claims.natural)
            return NumberMatchClaim(mode="enter", digits=2 if digits is None else digits)
        case _:
            raise claims.wrong()


def _request_context(value: Json) -> RequestContextClaim:
    read = claims.members(value)
    address, browser, place = (claims.optional(read, name, claims.text) or "" for name in ("address", "browser", "place"))
    return RequestContextClaim(address=address, browser=browser, place=place)
