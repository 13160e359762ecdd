"""Enums of the API. Their values are the names that the HTTP API uses; `UNSPECIFIED` is also what this release does not know."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class ProtoEnum(str, Enum):
    """An enum of proto/ without the prefix of its names there."""

    @classmethod
    def prefix(cls) -> str:
        """The prefix of its names in proto/: `BINDING_STATE_` of `BindingState`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).upper() + "_"

    @classmethod
    def read(cls, name: str) -> Self:
        """The value of that name in proto/; UNSPECIFIED if this release does not know it."""
        try:
            return cls(name.removeprefix(cls.prefix()))
        except ValueError:
            return cls("UNSPECIFIED")

    @property
    def proto_name(self) -> str:
        """Its name in proto/."""
        return f"{self.prefix()}{self.value}"


class Status(ProtoEnum):
    """The status of a trusonafication. All but `IN_PROGRESS` are terminal: nothing changes after them."""

    UNSPECIFIED = "UNSPECIFIED"
    #: Nobody has responded yet, and it has not expired.
    IN_PROGRESS = "IN_PROGRESS"
    #: Accepted at the desired level.
    ACCEPTED = "ACCEPTED"
    #: Accepted, and more was proven than the desired level.
    ACCEPTED_AT_HIGHER_LEVEL = "ACCEPTED_AT_HIGHER_LEVEL"
    #: Accepted, but less was proven than the desired level, or than was required besides. Treat it as a failure, unless less is enough.
    ACCEPTED_AT_LOWER_LEVEL = "ACCEPTED_AT_LOWER_LEVEL"
    #: The person rejected it, or accepted with a wrong number.
    REJECTED = "REJECTED"
    #: Nobody responded before it expired.
    EXPIRED = "EXPIRED"
    #: You canceled it, a newer one of the same context replaced it, or no device was left that could respond.
    CANCELED = "CANCELED"


class NumberMatch(ProtoEnum):
    """How the person shows that they see the page that prompts them."""

    #: No number is matched.
    UNSPECIFIED = "UNSPECIFIED"
    #: The phone offers three numbers: a person who accepts blindly is right one time in three.
    CHOOSE = "CHOOSE"
    #: The person types the number. Use this one.
    ENTER = "ENTER"


class RejectReason(ProtoEnum):
    """Why a trusonafication was rejected."""

    #: The person gave no reason, or it was not rejected.
    UNSPECIFIED = "UNSPECIFIED"
    #: The person did not start this. Others cannot prompt them for a while (docs/guides/prompts.md).
    NOT_ME = "NOT_ME"
    #: The person did start this, and no longer wants it.
    CHANGED_MIND = "CHANGED_MIND"
    #: The person accepted with another number than the one shown.
    NUMBER_MISMATCH = "NUMBER_MISMATCH"


class BindingState(ProtoEnum):
    """The state of a binding. It never goes back."""

    UNSPECIFIED = "UNSPECIFIED"
    #: Created, waiting for its activation.
    INACTIVE = "INACTIVE"
    #: The device can respond to prompts to the user, unless the user is frozen.
    ACTIVE = "ACTIVE"
    #: Terminal.
    DEACTIVATED = "DEACTIVATED"


class FrozenBy(ProtoEnum):
    """Who froze a user."""

    UNSPECIFIED = "UNSPECIFIED"
    #: The relying party's backend.
    BACKEND = "BACKEND"
    #: An operator of the deployment.
    OPERATOR = "OPERATOR"
    #: One of the user's own devices.
    DEVICE = "DEVICE"


class PresenceKind(ProtoEnum):
    """How the person proves their presence before a key signs."""

    UNSPECIFIED = "UNSPECIFIED"
    #: Fingerprint, face.
    BIOMETRIC = "BIOMETRIC"
    #: PIN, pattern, passcode.
    CREDENTIAL = "CREDENTIAL"


class Platform(ProtoEnum):
    """The platform of a device, as the device reports it."""

    UNSPECIFIED = "UNSPECIFIED"
    IOS = "IOS"
    ANDROID = "ANDROID"
    OTHER = "OTHER"
    #: A browser.
    WEB = "WEB"
    #: A terminal.
    CLI = "CLI"


class DocumentType(ProtoEnum):
    """The type of an identity document."""

    UNSPECIFIED = "UNSPECIFIED"
    #: A driver's licence of the United States or Canada.
    AAMVA_DRIVERS_LICENSE = "AAMVA_DRIVERS_LICENSE"


class VerificationStatus(ProtoEnum):
    """The result of a third-party verification of a document. It has no effect on levels."""

    UNSPECIFIED = "UNSPECIFIED"
    #: Not verified: the status of a newly registered document.
    UNVERIFIED = "UNVERIFIED"
    #: It cannot be determined whether it is genuine.
    UNVERIFIABLE = "UNVERIFIABLE"
    #: It is genuine.
    VERIFIED = "VERIFIED"
    #: It is not genuine.
    FAILED = "FAILED"


class DisabledReason(ProtoEnum):
    """Why nothing is sent to a webhook endpoint."""

    #: The endpoint is enabled.
    UNSPECIFIED = "UNSPECIFIED"
    #: You disabled it.
    OWNER = "OWNER"
    #: It returned 410 Gone.
    GONE = "GONE"
    #: Every attempt had failed for days.
    FAILING = "FAILING"


class DeliveryState(ProtoEnum):
    """The state of a delivery."""

    UNSPECIFIED = "UNSPECIFIED"
    #: Waiting for its next attempt.
    PENDING = "PENDING"
    #: The receiver returned a 2xx status.
    SUCCEEDED = "SUCCEEDED"
    #: Nothing more is tried, unless it is sent again.
    EXHAUSTED = "EXHAUSTED"
