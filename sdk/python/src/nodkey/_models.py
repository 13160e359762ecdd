"""What calls return. Names are those of proto/; an absent time is None, an absent text is empty."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nodkey._enums import (
    BindingState,
    DeliveryState,
    DisabledReason,
    DocumentType,
    FrozenBy,
    NumberMatch,
    Platform,
    PresenceKind,
    RejectReason,
    Status,
    VerificationStatus,
)
from nodkey._json import parse


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """Where the request to your backend came from, as far as you know. The phone shows it."""

    #: IPv4 or IPv6 address.
    address: str = ""
    #: The browser's name or user agent: at most 255 characters, all of them visible.
    browser: str = ""
    #: Approximate place of the address: at most 100 characters, all of them visible.
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A phone's response, and what it proved."""

    #: UUID.
    id: str
    #: Whether the person accepted. False: they rejected, or the number was wrong.
    accepted: bool
    #: What was proven: 1, 2 or 3; 0 when rejected.
    accepted_level: int
    #: The user that the responding device was bound to at that moment.
    bound_user_identifier: str
    #: Device identifier of the device that responded.
    device_identifier: str
    #: Why it was rejected.
    reject_reason: RejectReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusonafication:
    """A request to a person, and its outcome."""

    #: UUID.
    id: str
    #: UUID of the relying party that created it.
    relying_party_id: str
    #: Its status; after its expiry never `IN_PROGRESS`.
    status: Status
    #: 1 (the phone), 2 (the phone and the person's presence) or 3 (and an identity document).
    desired_level: int
    #: What the person is to confirm, such as `log in`.
    action: str
    #: What the action is about, such as `Acme Bank`.
    resource: str
    #: The user that it was created for. If it was created for a device or a code: empty until the user is known.
    user_identifier: str
    #: The device that it was created for, that scanned its code, or that responded. Empty until it is known.
    device_identifier: str
    #: UUID of the secure QR code that it was created for; empty: it was created for a user or a device.
    trucode_id: str
    #: Whether the phone shows it and waits for the person.
    prompt: bool
    #: Whether an accept has to prove the person's presence to reach the desired level.
    user_presence: bool
    #: Whether an accept has to present the hash of a registered document to reach the desired level.
    show_identity_document: bool
    #: Where the signed result is sent; empty: nowhere.
    callback_url: str
    #: Display name of the relying party when it was created.
    relying_party_name: str
    #: When it was created.
    created_at: datetime | None
    #: When its status last changed, or a device scanned its code.
    updated_at: datetime | None
    #: When it expires and can no longer be responded to.
    expires_at: datetime | None
    #: The response; None before one.
    result: Result | None
    #: How a number is matched.
    number_match: NumberMatch
    #: 1 when it is created, and one more with every change of status.
    version: int
    #: Custom fields as JSON text, exactly as you sent them; empty: none.
    custom_fields_json: str = field(repr=False)
    #: The login session that it is part of, as you named it.
    context: str
    #: Where the request came from, as you stated it.
    request_context: RequestContext | None = field(repr=False)

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended."""
        return self.status not in (Status.UNSPECIFIED, Status.IN_PROGRESS)

    @property
    def is_success(self) -> bool:
        """Whether the person accepted at the desired level or higher."""
        return self.status in (Status.ACCEPTED, Status.ACCEPTED_AT_HIGHER_LEVEL)

    @property
    def custom_fields(self) -> dict[str, Any]:
        """Custom fields as an object. Numbers with a fraction are floats here."""
        fields: dict[str, Any] = parse(self.custom_fields_json) if self.custom_fields_json else {}
        return dict(fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedTrusonafication:
    """A trusonafication, and the number that its page shows."""

    #: As it was created.
    trusonafication: Trusonafication
    #: Two or six digits to show to the user, only in the browser that started this; empty: no number is matched. Not in any other answer.
    match_number: str

    @property
    def id(self) -> str:
        """UUID of the trusonafication."""
        return self.trusonafication.id


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDevice:
    """One of a user's active devices."""

    #: When the binding of this device was activated.
    activated_at: datetime | None
    #: Whether it is the device that the request was about.
    is_this: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The binding of a device to a user."""

    #: UUID; also the activation code.
    id: str
    #: UUID of the relying party that has both the user and the device.
    relying_party_id: str
    #: Your own name for the user, as given.
    user_identifier: str
    #: Device identifier.
    device_identifier: str
    #: The current state.
    state: BindingState
    #: When the device was bound.
    created_at: datetime | None
    #: When it was activated; kept after deactivation.
    activated_at: datetime | None
    #: When it ended; None while it has not.
    deactivated_at: datetime | None
    #: Whether the user is frozen: then the device may not respond.
    user_frozen: bool
    #: Device identifier of the phone whose statement created it; empty: you did.
    vouched_by: str
    #: Empty for backends.
    user_devices: tuple[UserDevice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """The freeze of a user: nobody may prompt them, and none of their devices can respond."""

    #: When the user was frozen. Freezing again does not change it.
    frozen_at: datetime | None
    #: Who froze the user first.
    frozen_by: FrozenBy
    #: Device identifier of the device that froze its user; empty: no device did.
    frozen_by_device: str
    #: Why, for people; may be empty.
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user: somebody who has a device bound, or is frozen."""

    #: Your own name for the user.
    user_identifier: str
    #: None: the user is not frozen.
    freeze: Freeze | None
    #: Number of devices that are bound to the user, active or not.
    devices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeactivatedUser:
    """What the deactivation of a user ended."""

    #: Device identifiers of the devices that were bound. They are retired soon after.
    device_identifiers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Which device scanned a secure QR code."""

    #: UUID of the code.
    id: str
    #: Device identifier. It is certain to be one only if unproven pairing is not allowed.
    identifier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceKey:
    """A key that signs only after the operating system has verified the person's presence."""

    #: What the operating system verifies.
    kind: PresenceKind
    #: Public JWK as JSON.
    jwk: str
    #: RFC 7638 thumbprint of the key.
    thumbprint: str
    #: Whether its signatures prove a person's presence. A key that does not count proves level 1. None: it counts.
    counts: bool | None
    #: Since when the device has it. None: since before this was recorded.
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device that registered with your relying party."""

    #: Device identifier: the RFC 7638 thumbprint of the device key.
    id: str
    #: UUID of the relying party whose app registered it.
    relying_party_id: str
    #: Public JWK as JSON. It signs without the person: proves level 1.
    device_key: str
    #: At most one of each kind.
    presence_keys: tuple[PresenceKey, ...]
    #: The phone's own name, for people; may be empty.
    name: str
    #: The platform, as the device reports it.
    platform: Platform
    #: Version of the app, as the device reports it; may be empty.
    app_version: str
    #: True permanently once it was retired: none of its keys counts any more.
    retired: bool
    #: When it first registered.
    created_at: datetime | None
    #: When its keys, name, app version, capabilities or key statement last changed, or it was retired.
    updated_at: datetime | None
    #: When it last proved itself; recorded at most once an hour.
    last_seen_at: datetime | None
    #: The device's own statement of which presence keys it has, a JWS; empty: the device is uncertified.
    key_statement: str = field(repr=False)
    #: The same claims signed by presence keys.
    key_signatures: tuple[str, ...] = field(repr=False)
    #: Optional capabilities of the app: `match6`, to take numbers of six digits.
    capabilities: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityDocument:
    """The hash of a document of a user. The document itself is never stored."""

    #: UUID.
    id: str
    #: UUID of the relying party that has the user.
    relying_party_id: str
    #: Your own name for the user of the device that registered it.
    user_identifier: str
    #: The app's hash of the document.
    hash: str
    #: The type of document.
    type: DocumentType
    #: The result of the verification.
    verification_status: VerificationStatus
    #: When it was recorded as verified.
    verified_at: datetime | None
    #: When the hash was first registered.
    created_at: datetime | None
    #: Whether it makes an accept level 3. None: it does.
    counts: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A URL of your backend that is notified of events, and its health."""

    #: UUID.
    id: str
    #: Its URL.
    url: str
    #: The types that it is notified of (docs/guides/webhooks.md); empty: all.
    event_types: tuple[str, ...]
    #: When it was added. It is not notified of earlier events.
    created_at: datetime | None
    #: While it is disabled, its deliveries are kept and can be sent later.
    enabled: bool
    #: Why it is disabled.
    disabled_reason: DisabledReason
    #: When it was disabled; None while it is enabled.
    disabled_at: datetime | None
    #: Since when every attempt has failed; None if the last one succeeded.
    failing_since: datetime | None
    #: `whpk_` and base64: verifies the `v1a` signatures of Standard Webhooks.
    public_key: str
    #: Until when the last of the previous keys also signs; None if none does.
    previous_keys_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointWithSecret:
    """An endpoint and its secret, which is in no other answer."""

    #: As `endpoints.get` returns it.
    endpoint: Endpoint
    #: `whsec_` and base64, as in Standard Webhooks. Keep it now.
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One HTTP request to a receiver, and its outcome."""

    #: When it began.
    started_at: datetime | None
    #: How long it took, in milliseconds.
    duration_ms: int
    #: HTTP status; 0 if there was no response.
    status_code: int
    #: Why there was no response, or what was wrong with it beyond the status.
    error: str
    #: The first 1024 bytes of the response, as text.
    response: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One notification of one receiver: a webhook endpoint, or the `callback_url` of a trusonafication."""

    #: UUID; the `webhook-id`, the same on every attempt.
    id: str
    #: UUID of the trusonafication that it is about; empty: it is about another object.
    trusonafication_id: str
    #: `trusonafication.accepted`, `device.retired` and so on.
    event_type: str
    #: Where it is sent.
    url: str
    #: The current state.
    state: DeliveryState
    #: Number of attempts so far, including those before a redelivery.
    attempt_count: int
    #: When the next attempt is due; None unless it is pending.
    next_attempt_at: datetime | None
    #: When the notification service received it.
    created_at: datetime | None
    #: Oldest first; only from `deliveries.get`.
    attempts: tuple[Attempt, ...]
    #: UUID of the endpoint; empty for a `callback_url`.
    endpoint_id: str
    #: When the event that it is about happened.
    occurred_at: datetime | None
    #: The object it is about: `trusonafication/ID`, `device/ID`, `user/IDENTIFIER` and so on.
    subject: str
    #: What is sent: JSON, the first 16384 bytes of it. Only from `deliveries.get`.
    body: str = field(repr=False)
    #: How long `body` is in whole, in bytes.
    body_bytes: int
