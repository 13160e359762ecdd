"""The one class of errors for calls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2


class Kind(str, Enum):
    """What to do about a refused or failed call (docs/errors.md)."""

    #: Change the request: repeating it never works.
    INVALID = "INVALID"
    #: Prove who you are: the credential, or the clock.
    UNAUTHENTICATED = "UNAUTHENTICATED"
    #: You are authenticated, but not permitted.
    FORBIDDEN = "FORBIDDEN"
    #: It does not exist, or belongs to another relying party.
    NOT_FOUND = "NOT_FOUND"
    #: Another request came first: read the current state.
    CONFLICT = "CONFLICT"
    #: It is over.
    GONE = "GONE"
    #: Something else has to be done first.
    PRECONDITION = "PRECONDITION"
    #: Send less.
    TOO_LARGE = "TOO_LARGE"
    #: A limit is reached: retry after `retry_after`.
    EXHAUSTED = "EXHAUSTED"
    #: Retry the same request.
    UNAVAILABLE = "UNAVAILABLE"
    #: A fault of the server.
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of a request that is invalid."""

    #: Its name in the API, such as `user_identifier`.
    field: str
    #: What is wrong with it.
    description: str


class NodkeyError(Exception):
    """A call was refused, or failed. Compare ``reason``, never texts.

    Attributes:
        reason: Stable, upper case: `USER_NOT_FOUND` and so on (docs/errors.md). Without an answer of the server it is the name of the gRPC
            code, such as `UNAVAILABLE`. `DEADLINE_EXCEEDED`: no answer in time, or the time-out of a wait is over.
        kind: What to do about it.
        message: For people. Nothing secret is in it.
        fields: The invalid fields of the request.
        retry_after: After how many seconds the same call may succeed, if the server knows it.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        kind: Kind = Kind.INVALID,
        fields: Iterable[FieldViolation] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{message} ({reason})")
        self.reason = reason
        self.message = message
        self.kind = kind
        self.fields = tuple(fields)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, self.message), self.__dict__

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later. The client has retried already."""
        return self.kind in (Kind.EXHAUSTED, Kind.UNAVAILABLE)


_KINDS = {
    "INVALID_ARGUMENT": Kind.INVALID,
    "OUT_OF_RANGE": Kind.INVALID,
    "UNAUTHENTICATED": Kind.UNAUTHENTICATED,
    "PERMISSION_DENIED": Kind.FORBIDDEN,
    "NOT_FOUND": Kind.NOT_FOUND,
    "ALREADY_EXISTS": Kind.CONFLICT,
    "ABORTED": Kind.CONFLICT,
    "FAILED_PRECONDITION": Kind.PRECONDITION,
    "RESOURCE_EXHAUSTED": Kind.EXHAUSTED,
    "UNAVAILABLE": Kind.UNAVAILABLE,
    "DEADLINE_EXCEEDED": Kind.UNAVAILABLE,
    "CANCELLED": Kind.UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt: what decides whether it is repeated, and the error if it is not."""

    #: Name of the gRPC code.
    code: str
    #: Whether a server of Nodkey said why.
    has_reason: bool
    error: NodkeyError

    @property
    def is_of_connection(self) -> bool:
        """Whether nobody answered, so that the next attempt needs another connection."""
        return not self.has_reason and self.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")


class AttemptFailed(Exception):
    """An attempt failed; it may be repeated."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error.reason)
        self.failure = failure


def client_closed() -> NodkeyError:
    """The error of calls that were in progress, or begin, when their client was closed."""
    return NodkeyError("CANCELLED", "the client is closed", kind=Kind.UNAVAILABLE)


def failure_of(code: grpc.StatusCode, details: str | None, trailers: Iterable[tuple[str, str | bytes]], url: str) -> Failure:
    """Reads the status of an attempt, and its details (google.rpc)."""
    info, fields, retry_after = _details(trailers)
    if info is None and code is grpc.StatusCode.UNAVAILABLE and "timed out" in (details or ""):
        # While it connects gRPC has a deadline of its own, and only its text says that it passed.
        code = grpc.StatusCode.DEADLINE_EXCEEDED
    kind = _KINDS.get(code.name, Kind.INTERNAL)
    if info is not None and info.metadata.get("kind") in Kind.__members__:
        kind = Kind(info.metadata["kind"])
    message = details or ""
    if info is None and code is grpc.StatusCode.UNAVAILABLE:
        message = f"cannot reach {url}: {message}"
    elif info is None and code is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = f"no answer from {url} in time"
    error = NodkeyError(code.name if info is None else info.reason, message, kind=kind, fields=fields, retry_after=retry_after)
    return Failure(code.name, info is not None, error)


def _details(
    trailers: Iterable[tuple[str, str | bytes]],
) -> tuple[error_details_pb2.ErrorInfo | None, list[FieldViolation], float | None]:
    info, fields, retry_after = None, list[FieldViolation](), None
    packed = next((value for name, value in trailers if name == "grpc-status-details-bin"), b"")
    try:
        status = status_pb2.Status.FromString(packed if isinstance(packed, bytes) else packed.encode())
        for detail in status.details:
            named, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
            if detail.Unpack(named):
                info = named
            elif detail.Unpack(bad):
                fields += [FieldViolation(violation.field, violation.description) for violation in bad.field_violations]
            elif detail.Unpack(retry):
                retry_after = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    except DecodeError:
        # Something between here and the server wrote other details.
        pass
    return info, fields, retry_after
