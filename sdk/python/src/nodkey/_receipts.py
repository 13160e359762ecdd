"""What the deployment signs when a trusonafication has ended: receipts, and results for a `callback_url`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

from nodkey import _claims as claims
from nodkey._json import Members
from nodkey._jws import RECEIPT, RESULT, Jwks, verify_with
from nodkey._keys import sha256
from nodkey._verification import VerificationError

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class ReceiptStatus(str, Enum):
    """How a trusonafication ended."""

    #: Accepted at the desired level.
    ACCEPTED = "ACCEPTED"
    #: Accepted, and more was proven than was desired.
    ACCEPTED_AT_HIGHER_LEVEL = "ACCEPTED_AT_HIGHER_LEVEL"
    #: Accepted, and less was proven than was desired.
    ACCEPTED_AT_LOWER_LEVEL = "ACCEPTED_AT_LOWER_LEVEL"
    #: Rejected, or accepted with a wrong number.
    REJECTED = "REJECTED"
    #: Nobody responded before it expired.
    EXPIRED = "EXPIRED"
    #: Canceled by the relying party, or no device was left that could respond.
    CANCELED = "CANCELED"

    @property
    def is_accepted(self) -> bool:
        """Whether it was accepted, at any level."""
        return self in (self.ACCEPTED, self.ACCEPTED_AT_HIGHER_LEVEL, self.ACCEPTED_AT_LOWER_LEVEL)

    @property
    def is_success(self) -> bool:
        """Whether it was accepted at the desired level or higher."""
        return self in (self.ACCEPTED, self.ACCEPTED_AT_HIGHER_LEVEL)


class Decision(str, Enum):
    """What a person decided."""

    ACCEPT = "accept"
    REJECT = "reject"


class ReceiptReason(str, Enum):
    """Why it was rejected."""

    #: The person did not start this.
    NOT_ME = "not_me"
    #: The person did, and no longer wants it.
    CHANGED_MIND = "changed_mind"
    #: The number was not the one shown.
    NUMBER_MISMATCH = "number_mismatch"


class KeyKind(str, Enum):
    """The role of a key on its device."""

    #: Signs without involving the person.
    DEVICE = "device"
    #: Signs after the person's fingerprint or face.
    BIOMETRIC = "biometric"
    #: Signs after the person's PIN, pattern or passcode.
    CREDENTIAL = "credential"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptKey:
    """The key that answered."""

    #: Its thumbprint (RFC 7638).
    jkt: str
    #: Its role on the device.
    kind: KeyKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptMembers:
    """What a receipt and a result of a trusonafication both state."""

    #: UUID of the relying party.
    rp: str
    #: When it ended, by the deployment's clock, in microseconds since 1970.
    at: int
    #: The level that the accept proved: 1, 2 or 3.
    level: int | None
    #: What the response counted as. A signed accept with a wrong number counts as a rejection.
    dec: Decision | None
    #: Why it was rejected, if that is known.
    why: ReceiptReason | None
    #: Device identifier of the device that answered; without a response of the target device, if there was one.
    dev: str | None
    #: The key that answered.
    key: ReceiptKey | None
    #: The user who answered; without a response the target user, if known. As the relying party named them.
    user: str | None
    #: Base64url of the SHA-256 of the challenge.
    chal: str
    #: Base64url of the SHA-256 of the response.
    resp: str | None

    @property
    def ended_at(self) -> datetime:
        """When it ended, by the deployment's clock."""
        return _EPOCH + timedelta(microseconds=self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptClaims(ReceiptMembers):
    """The deployment's statement of how a trusonafication ended (docs/guides/evidence.md)."""

    #: The deployment: the gateway's public URL.
    iss: str
    #: UUID of the result.
    jti: str
    #: UUID of the trusonafication.
    sub: str
    #: How it ended.
    status: ReceiptStatus
    #: Base64url of the SHA-256 of `data` of the webhook that reports it.
    data: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultClaims:
    """The result of a trusonafication, as it is sent to a `callback_url`."""

    #: The deployment: the gateway's public URL.
    iss: str
    #: UUID of the relying party, or a list with it.
    aud: str | tuple[str, ...]
    #: UUID of the trusonafication.
    sub: str
    #: The `webhook-id`: the same on every attempt.
    jti: str
    #: When it ended, in seconds since 1970.
    iat: int
    #: How it ended: `ACCEPTED` and so on. Deployments of later releases may know others.
    status: str
    #: 1, 2 or 3.
    desired_level: int
    #: The proven level; None without an accept.
    accepted_level: int | None
    #: The action that was shown.
    action: str
    #: The resource that was shown.
    resource: str
    #: The user who answered, or the target user.
    user_identifier: str | None
    #: Device identifier of the device that answered, or of the target device.
    device_identifier: str | None
    #: What the receipt states besides; None in results from before receipts.
    receipt: ReceiptMembers | None


def verify_receipt(receipt: str, jwks: Jwks) -> ReceiptClaims:
    """Verifies a receipt (JWS, `typ` `nodkey-receipt+jwt`), and that its members are consistent.

    A receipt is only the deployment's statement; `verify_evidence` also verifies what it rests on. Who has a receipt from elsewhere
    compares `iss`, `rp` and `sub` with what they expect.

    Raises:
        VerificationError: with the reasons of JWTs.
    """
    read = verify_with(jwks, receipt, RECEIPT)
    found = ReceiptClaims(
        **_shared(read),
        iss=claims.required(read, "iss", claims.text),
        jti=claims.required(read, "jti", claims.text),
        sub=claims.required(read, "sub", claims.text),
        status=claims.required(read, "status", claims.named(ReceiptStatus)),
        data=claims.optional(read, "data", claims.text),
    )
    if not _is_consistent(found):
        raise claims.wrong()
    return found


def verify_result(jwt: str, jwks: Jwks, *, issuer: str, relying_party: str) -> ResultClaims:
    """Verifies what a `callback_url` received (JWS, `typ` `nodkey-result+jwt`).

    Args:
        jwt: The body of the request.
        jwks: The deployment's keys.
        issuer: The gateway's public URL.
        relying_party: UUID of your relying party.

    Raises:
        VerificationError: with the reasons of JWTs.
    """
    read = verify_with(jwks, jwt, RESULT)
    found = ResultClaims(
        iss=claims.required(read, "iss", claims.text),
        aud=claims.required(read, "aud", claims.audience),
        sub=claims.required(read, "sub", claims.text),
        jti=claims.required(read, "jti", claims.text),
        iat=claims.required(read, "iat", claims.date),
        status=claims.required(read, "status", claims.text),
        desired_level=claims.required(read, "desired_level", claims.integer),
        accepted_level=claims.optional(read, "accepted_level", claims.integer),
        action=claims.required(read, "action", claims.text),
        resource=claims.required(read, "resource", claims.text),
        user_identifier=claims.optional(read, "user_identifier", claims.text),
        device_identifier=claims.optional(read, "device_identifier", claims.text),
        receipt=_members_of_result(read),
    )
    if found.iss != issuer or not claims.includes(found.aud, relying_party):
        raise claims.wrong()
    return found


def data_hash(data: str) -> str:
    """What a receipt says of the `data` of a webhook: base64url of the SHA-256 of its characters."""
    return sha256(data)


def _shared(read: Members) -> dict[str, Any]:
    return {
        "rp": claims.required(read, "rp", claims.text),
        "at": claims.required(read, "at", claims.integer),
        "level": claims.optional(read, "level", claims.level),
        "dec": claims.optional(read, "dec", claims.named(Decision)),
        "why": claims.optional(read, "why", claims.named(ReceiptReason)),
        "dev": claims.optional(read, "dev", claims.text),
        "key": claims.optional(read, "key", _key),
        "user": claims.optional(read, "user", claims.text),
        "chal": claims.required(read, "chal", claims.text),
        "resp": claims.optional(read, "resp", claims.text),
    }


def _key(value: object) -> ReceiptKey:
    read = claims.members(value)
    return ReceiptKey(jkt=claims.required(read, "jkt", claims.text), kind=claims.required(read, "kind", claims.named(KeyKind)))


def _members_of_result(read: Members) -> ReceiptMembers | None:
    """Results from before receipts have none of them, or not all."""
    try:
        return ReceiptMembers(**_shared(read))
    except VerificationError:
        return None


def _is_consistent(found: ReceiptClaims) -> bool:
    answer = (found.dec is not None, found.key is not None, found.resp is not None)
    answered = all(answer) and found.dev is not None and found.user is not None
    if found.status.is_accepted:
        return answered and found.dec is Decision.ACCEPT and found.level is not None and found.why is None
    if found.status is ReceiptStatus.REJECTED:
        return answered and found.dec is Decision.REJECT and found.level is None
    return not any(answer) and found.level is None and found.why is None
