"""Verifying evidence, offline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from time import time
from typing import Any, Literal

from nodkey._challenges import (
    ChallengeClaims,
    KeyStatement,
    RejectedBecause,
    ResponseClaims,
    read_challenge,
    read_response,
    verify_key_signature,
    verify_key_statement,
)
from nodkey._claims import includes
from nodkey._json import InvalidJson, Json, parse
from nodkey._jws import CHALLENGE, RESPONSE, Jwks, Jws, verify_with
from nodkey._keys import PublicKey, sha256
from nodkey._receipts import Decision, KeyKind, ReceiptClaims, ReceiptReason, ReceiptStatus, verify_receipt
from nodkey._verification import VerificationError

#: Maximum time by which the deployment's clock may be ahead of the verifier's, in microseconds.
_MAX_AHEAD = 60_000_000


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a deployment provides about an answered trusonafication (docs/guides/evidence.md). It proves nothing until it is verified.

    Keep `to_json()` of it: anyone can verify it later, with the keys of `client.jwks.archive()`.
    """

    #: The challenge: a compact JWS by the deployment.
    challenge: str
    #: The response: a compact JWS by the phone.
    response: str
    #: The device key, followed by the presence key that answered, if one did: JWKs.
    keys: tuple[dict[str, Any], ...]
    #: The receipt: a compact JWS by the deployment. None in evidence from before receipts.
    receipt: str | None = None
    #: Which presence keys are the device's: a compact JWS by the device key. None if the phone stated none.
    key_statement: str | None = None
    #: Compact JWSs over the same claims, by the keys that vouched for the statement.
    key_signatures: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, document: str | bytes | dict[str, Any]) -> Evidence:
        """Reads evidence that was kept, as JSON or as an object. ValueError: it is not evidence."""
        kept = parse(document) if isinstance(document, str | bytes) else document
        if not isinstance(kept, dict) or getattr(kept, "repeats", False):
            raise InvalidJson("not evidence: an object without repeated members")
        return cls(
            challenge=_text(kept, "challenge", required=True) or "",
            response=_text(kept, "response", required=True) or "",
            keys=tuple(_list(kept, "keys", dict, required=True)),
            receipt=_text(kept, "receipt"),
            key_statement=_text(kept, "key_statement"),
            key_signatures=tuple(_list(kept, "key_signatures", str)),
        )

    def to_json(self) -> dict[str, Any]:
        """The document that is kept; `json.dumps` makes text of it."""
        document: dict[str, Any] = {"challenge": self.challenge, "response": self.response, "keys": list(self.keys)}
        optional = {"receipt": self.receipt, "key_statement": self.key_statement, "key_signatures": list(self.key_signatures)}
        return document | {name: value for name, value in optional.items() if value}


def _text(kept: dict[str, Json], name: str, *, required: bool = False) -> str | None:
    value = kept.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str):
        raise InvalidJson(f"not evidence: `{name}` has to be a string")
    return value


def _list(kept: dict[str, Json], name: str, kind: type, *, required: bool = False) -> list[Any]:
    value = kept.get(name, None if required else [])
    if not isinstance(value, list) or not all(isinstance(one, kind) for one in value):
        raise InvalidJson(f"not evidence: `{name}` has to be a list")
    return value


class CertifiedBy(str, Enum):
    """Who certifies that the key that answered is the device's."""

    #: Nobody has to: it is the device key, whose thumbprint is the device identifier.
    DEVICE_KEY = "device_key"
    #: The device key, by its statement. The deployment cannot have replaced the key.
    KEY_STATEMENT = "key_statement"
    #: Only the deployment.
    DEPLOYMENT = "deployment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certification:
    """Who certifies that the key that answered is the device's."""

    by: CertifiedBy
    #: Sequence number of the key statement.
    seq: int | None = None
    #: When the key statement was made by the phone's clock, in seconds since 1970.
    iat: int | None = None
    #: Whether the key that answered signed the key statement itself.
    co_signed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedEvidence:
    """Genuine evidence. The receipt's decision is the one that counts: the response is an accept even where its number was wrong."""

    #: How it ended, signed by the deployment.
    receipt: ReceiptClaims
    #: What was requested, signed by the deployment.
    challenge: ChallengeClaims
    #: What was answered, signed by the key that the receipt names.
    response: ResponseClaims
    #: Who certifies that this key is the device's.
    certification: Certification

    @property
    def is_success(self) -> bool:
        """Whether it was accepted at the desired level or higher."""
        return self.receipt.status.is_success


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a verifier expects of evidence; None is anything. Name what you know: evidence of somebody else's accept is genuine, too."""

    #: `accept` at the desired level or higher (at any, with `level`), `rejection`, or `any`, which says nothing about the decision.
    outcome: Literal["accept", "rejection", "any"] = "accept"
    #: UUID of the trusonafication.
    trusonafication: str | None = None
    #: UUID of the relying party that sent the challenge.
    party: str | None = None
    #: The user who answered, as the relying party named them.
    user: str | None = None
    #: Device identifier of the device that answered.
    device: str | None = None
    #: The least level that has to be proven, whatever level was desired: 1, 2 or 3.
    level: int | None = None
    #: How long ago it may have ended. The deployment's clock may be a minute ahead.
    max_age: timedelta | None = None
    #: Accept a key that the device does not certify: the deployment alone vouches for it. For phones whose apps make no key statements.
    allow_uncertified: bool = False


class EvidenceError(VerificationError):
    """Evidence does not show what was expected.

    ``reason`` is ``not_genuine``: a signature is invalid, or the parts do not belong together; ``detail`` is the part. ``not_proven``: the
    signatures are valid, but do not show who answered; ``detail`` is ``no_receipt`` or ``uncertified``. ``unexpected``: it is genuine, and
    shows something else; ``detail`` names what differs, separated by commas, and ``evidence`` is what it does show.
    """

    def __init__(self, reason: str, detail: str, evidence: VerifiedEvidence | None = None) -> None:
        super().__init__(reason, detail)
        self.evidence = evidence

    @property
    def is_unknown_key(self) -> bool:
        """Whether a key is missing in the JWKS, which may be an old copy: get the keys again, once."""
        return self.detail in ("challenge", "receipt") and super().is_unknown_key


def verify_evidence(
    evidence: Evidence | dict[str, Any], jwks: Jwks, expected: Expected | None = None, *, now: float | None = None
) -> VerifiedEvidence:
    """Verifies evidence offline: it is genuine, was answered by a key that the device itself certifies, and is what was expected.

    Args:
        evidence: From `client.trusonafications.evidence`, or what was kept of it.
        jwks: The deployment's keys as you know them, never keys that came with the evidence. `client.jwks.archive()` has those of all ages.
        expected: An accept at the desired level or higher, of anything by anyone, unless you say more. Say more.
        now: Seconds since 1970, for `max_age`; the clock's if not given.

    Raises:
        EvidenceError: It is not genuine, not proven, or not what was expected.
        ValueError: A dict that is not evidence.
    """
    kept = evidence if isinstance(evidence, Evidence) else Evidence.from_json(evidence)
    expected = expected or Expected()
    answer = _verify_answer(kept, jwks)
    if kept.receipt is None:
        raise EvidenceError("not_proven", "no_receipt")
    genuine = _verify_receipt(answer, kept, kept.receipt, jwks)
    if genuine.certification.by is CertifiedBy.DEPLOYMENT and not expected.allow_uncertified:
        raise EvidenceError("not_proven", "uncertified", genuine)
    differs = _compare(expected, genuine.receipt, time() if now is None else now)
    if differs:
        raise EvidenceError("unexpected", ",".join(differs), genuine)
    return genuine


@dataclass(frozen=True, slots=True)
class _Answer:
    challenge: ChallengeClaims
    response: ResponseClaims
    device: PublicKey
    signer: PublicKey


def _not_genuine(part: str, cause: VerificationError | None = None) -> EvidenceError:
    error = EvidenceError("not_genuine", part)
    error.__cause__ = cause
    return error


def _first(parts: list[tuple[str, bool]]) -> None:
    for name, same in parts:
        if not same:
            raise _not_genuine(name)


def _verify_answer(evidence: Evidence, jwks: Jwks) -> _Answer:
    try:
        challenge = read_challenge(verify_with(jwks, evidence.challenge, CHALLENGE))
    except VerificationError as error:
        raise _not_genuine("challenge", error) from error
    try:
        keys = [PublicKey.from_jwk(jwk) for jwk in evidence.keys]
    except VerificationError as error:
        raise _not_genuine("device", error) from error
    try:
        jws = Jws.parse(evidence.response)
        signer = next((key for key in keys if key.thumbprint == jws.kid), None)
        claims = None if signer is None else read_response(jws.verify(signer, RESPONSE))
    except VerificationError as error:
        raise _not_genuine("response", error) from error
    if not keys:
        raise _not_genuine("device")
    if signer is None or claims is None:
        raise _not_genuine("response")
    _first(
        [
            ("device", claims.iss == keys[0].thumbprint),
            ("response.chal", claims.chal == sha256(evidence.challenge)),
            ("response.sub", claims.sub == challenge.jti),
            ("response.aud", includes(claims.aud, challenge.iss)),
        ]
    )
    return _Answer(challenge, claims, keys[0], signer)


def _verify_receipt(answer: _Answer, evidence: Evidence, text: str, jwks: Jwks) -> VerifiedEvidence:
    try:
        receipt = verify_receipt(text, jwks)
    except VerificationError as error:
        raise _not_genuine("receipt", error) from error
    challenge, response, key = answer.challenge, answer.response, receipt.key
    # Without a key there was no response, and `resp` differs.
    if key is None:
        raise _not_genuine("receipt.resp")
    presence = answer.signer != answer.device
    proven = 1 if not presence else 2 if response.doc is None else 3
    _first(
        [
            ("receipt.iss", receipt.iss == challenge.iss),
            ("receipt.sub", receipt.sub == challenge.jti),
            ("receipt.rp", receipt.rp == challenge.rp.id),
            ("receipt.chal", receipt.chal == response.chal),
            ("receipt.resp", receipt.resp == sha256(evidence.response)),
            ("receipt.dev", receipt.dev == response.iss),
            ("receipt.key", key.jkt == answer.signer.thumbprint and (key.kind is not KeyKind.DEVICE) == presence),
            ("receipt.dec", _counts_as(response, receipt)),
            ("receipt.level", receipt.level is None or receipt.level <= proven),
        ]
    )
    statement = None
    if evidence.key_statement is not None:
        try:
            statement = verify_key_statement(evidence.key_statement, answer.device, challenge.iss)
        except VerificationError as error:
            raise _not_genuine("key_statement", error) from error
    certification = _certification(statement, evidence.key_signatures, key.kind, answer.signer)
    return VerifiedEvidence(receipt=receipt, challenge=challenge, response=response, certification=certification)


def _counts_as(response: ResponseClaims, receipt: ReceiptClaims) -> bool:
    """Whether the receipt repeats the response's decision, or records that an accept came with a wrong number."""
    if response.dec is Decision.ACCEPT and receipt.dec is Decision.REJECT:
        return receipt.why is ReceiptReason.NUMBER_MISMATCH
    why = {None: None, RejectedBecause.NOT_ME: ReceiptReason.NOT_ME, RejectedBecause.CHANGED_MIND: ReceiptReason.CHANGED_MIND}
    because = why[response.why] if response.dec is Decision.REJECT else None
    return (receipt.dec, receipt.why) == (response.dec, because)


def _certification(statement: KeyStatement | None, signatures: tuple[str, ...], kind: KeyKind, signer: PublicKey) -> Certification:
    if kind is KeyKind.DEVICE:
        return Certification(by=CertifiedBy.DEVICE_KEY)
    if statement is None or (kind, signer.thumbprint) not in statement.keys:
        return Certification(by=CertifiedBy.DEPLOYMENT)
    co_signed = False
    for signature in signatures:
        try:
            if Jws.parse(signature).kid == signer.thumbprint:
                verify_key_signature(signature, statement, signer)
                co_signed = True
        except VerificationError as error:
            raise _not_genuine("key_signatures", error) from error
    return Certification(by=CertifiedBy.KEY_STATEMENT, seq=statement.seq, iat=statement.iat, co_signed=co_signed)


def _is_decided(expected: Expected, status: ReceiptStatus) -> bool:
    if expected.outcome == "any":
        return True
    if expected.outcome == "rejection":
        return status is ReceiptStatus.REJECTED
    return status.is_success if expected.level is None else status.is_accepted


def _compare(expected: Expected, receipt: ReceiptClaims, now: float) -> list[str]:
    oldest = None if expected.max_age is None else int(now * 1e6) - int(expected.max_age / timedelta(microseconds=1))
    holds = {
        "decision": _is_decided(expected, receipt.status),
        "trusonafication": expected.trusonafication in (None, receipt.sub),
        "party": expected.party in (None, receipt.rp),
        "user": expected.user is None or expected.user == receipt.user,
        "device": expected.device is None or expected.device == receipt.dev,
        "level": expected.level is None or (receipt.level is not None and receipt.level >= expected.level),
        "age": oldest is None or oldest <= receipt.at <= int(now * 1e6) + _MAX_AHEAD,
    }
    return [name for name, held in holds.items() if not held]
