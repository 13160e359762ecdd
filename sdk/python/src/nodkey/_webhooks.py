"""Receiving webhooks: Standard Webhooks signatures, and receipts.

The `standardwebhooks` library verifies neither `v1a` signatures nor with another clock than the system's, and reads base64 that is not
canonical; so this is done here.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import floor
from time import time
from typing import Any

from nodkey._json import InvalidJson, raw_members
from nodkey._jws import Jwks
from nodkey._keys import PublicKey, b64_decode, hmac_sha256
from nodkey._receipts import ReceiptClaims, ReceiptReason, ReceiptStatus, data_hash, verify_receipt
from nodkey._verification import VerificationError

#: Maximum difference between the time of an attempt and the receiver's clock, in seconds.
_TOLERANCE = 300
#: Shorter secrets can be found by brute force.
_SHORTEST_SECRET = 24
#: Prefix of the types that only a receipt proves.
_END = "trusonafication."
_REPORTED = "trusonafication.reported"
#: The form of a notice's type, including those of later releases.
_NOTICE = re.compile(r"[a-z_]+\.[a-z_]+")
_TIMESTAMP = re.compile(r"[+-]?[0-9]{1,30}")
#: Beyond all times of 64 bits.
_NO_TIME = 2**63


class WebhookError(VerificationError):
    """A request that must not be acted upon. Respond with 400.

    ``reason`` is ``invalid_key``: the key is neither a secret (`whsec_`) nor a public key (`whpk_`), or too short; ``malformed_timestamp``;
    ``timestamp_out_of_tolerance``: more than five minutes off; ``invalid_signature``; ``malformed_body``; ``no_receipt``: it says how a
    trusonafication ended, and anyone who has the endpoint's secret can say that; ``invalid_receipt``, with a reason of JWTs in ``detail``;
    ``mismatch``: the receipt is for something else, with `relying_party`, `data`, `type` or `timestamp` in ``detail``.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A verified webhook: a :class:`WebhookResult` or a :class:`WebhookNotice`."""

    #: The `webhook-id`, the same on every delivery.
    id: str
    #: `trusonafication.accepted`, `device.retired` and so on. Later releases add types: ignore those you do not know.
    type: str
    #: When that happened, RFC 3339.
    timestamp: str
    #: The content, depending on the type. Numbers with a fraction are floats here.
    data: Any
    #: `data` as it was received, character by character.
    data_json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookResult(Webhook):
    """How a trusonafication ended, signed by the deployment. Act once for each `receipt.sub`: it may be delivered again."""

    #: How it ended. It contains the hash of `data`.
    receipt: ReceiptClaims

    @property
    def is_success(self) -> bool:
        """Whether it was accepted at the desired level or higher."""
        return self.receipt.status.is_success


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookNotice(Webhook):
    """Something that happened to a device, a binding, a document or a user.

    It has no receipt: a reason to look by a call of your own, and never a reason to grant access.
    """


def verify_webhook(
    headers: Mapping[str, str], body: bytes, *, key: str, jwks: Jwks, relying_party: str, now: float | None = None
) -> WebhookResult | WebhookNotice:
    """Verifies a request to a webhook endpoint: its sender has the key of the endpoint, and the deployment signed how something ended.

    Args:
        headers: The headers of the request; names in any case.
        body: The exact bytes of the body, before anything has parsed them.
        key: The secret of the endpoint (`whsec_`), or its public key (`whpk_`).
        jwks: The deployment's keys. `client.verify_webhook` gets them itself.
        relying_party: UUID of the relying party that owns the endpoint.
        now: Seconds since 1970; the clock's if not given.

    Raises:
        WebhookError: The request must not be acted upon.
    """
    given = {name.lower(): value for name, value in headers.items()}
    identifier = given.get("webhook-id", "")
    _verify_signature(key, identifier, given, body, floor(time() if now is None else now))
    try:
        members = raw_members(body)
        data, data_json = members["data"]
        common: dict[str, Any] = {
            "id": identifier,
            "type": _text(members, "type"),
            "timestamp": _text(members, "timestamp"),
            "data": json.loads(data_json) if isinstance(data, dict | list) else data,
            "data_json": data_json,
        }
        receipt = None if members.get("receipt", (None, ""))[0] is None else _text(members, "receipt")
    except (InvalidJson, KeyError) as error:
        raise WebhookError("malformed_body") from error
    if not common["type"].startswith(_END):
        # A receipt is always for an end.
        if receipt is not None:
            raise WebhookError("mismatch", "type")
        if _NOTICE.fullmatch(common["type"]) is None:
            raise WebhookError("malformed_body")
        return WebhookNotice(**common)
    if receipt is None:
        raise WebhookError("no_receipt")
    try:
        proven = verify_receipt(receipt, jwks)
    except VerificationError as error:
        raise WebhookError("invalid_receipt", error.reason) from error
    for part, same in (
        ("relying_party", proven.rp == relying_party),
        ("data", proven.data == data_hash(data_json)),
        ("type", common["type"] == _end_of(proven.status) or (common["type"] == _REPORTED and _is_report(proven))),
        ("timestamp", common["timestamp"] == _rfc3339(proven)),
    ):
        if not same:
            raise WebhookError("mismatch", part)
    return WebhookResult(**common, receipt=proven)


def _text(members: dict[str, tuple[Any, str]], name: str) -> str:
    value = members[name][0]
    if not isinstance(value, str):
        raise InvalidJson(f"`{name}` has to be a string")
    return value


def _verify_signature(key: str, identifier: str, headers: Mapping[str, str], body: bytes, now: int) -> None:
    secret, public = _parse_key(key)
    sent = headers.get("webhook-timestamp", "")
    timestamp = int(sent) if _TIMESTAMP.fullmatch(sent) else _NO_TIME
    if abs(timestamp) >= _NO_TIME:
        raise WebhookError("malformed_timestamp")
    if abs(now - timestamp) > _TOLERANCE:
        raise WebhookError("timestamp_out_of_tolerance")
    signed = f"{identifier}.{timestamp}.".encode() + body
    for signature in headers.get("webhook-signature", "").split(" "):
        version, _, encoded = signature.partition(",")
        try:
            given = b64_decode(encoded)
            if secret is not None and version == "v1" and hmac.compare_digest(given, hmac_sha256(secret, signed)):
                return
            if public is not None and version == "v1a":
                public.verify(signed, given)
                return
        except (ValueError, VerificationError):
            continue
    raise WebhookError("invalid_signature")


def _parse_key(key: str) -> tuple[bytes | None, PublicKey | None]:
    try:
        if key.startswith("whsec_"):
            secret = b64_decode(key.removeprefix("whsec_"))
            if len(secret) >= _SHORTEST_SECRET:
                return secret, None
        elif key.startswith("whpk_"):
            return None, PublicKey.from_ed25519(b64_decode(key.removeprefix("whpk_")))
    except (ValueError, VerificationError):
        pass
    # Without its cause, which would show the key.
    raise WebhookError("invalid_key")


def _end_of(status: ReceiptStatus) -> str:
    return _END + ("accepted" if status.is_accepted else status.value.lower())


def _is_report(receipt: ReceiptClaims) -> bool:
    return receipt.status is ReceiptStatus.REJECTED and receipt.why is ReceiptReason.NOT_ME


def _rfc3339(receipt: ReceiptClaims) -> str:
    try:
        ended = receipt.ended_at
    except OverflowError:
        return ""
    return f"{ended:%Y-%m-%dT%H:%M:%S}.{ended.microsecond // 1000:03}Z"
