"""Which attempts are repeated, when, and how often. No I/O: both clients do what this says."""

from __future__ import annotations

from collections.abc import Callable

from nodkey._errors import Failure, Kind, NodkeyError

#: Seconds that one attempt of a call may take.
ATTEMPT_SECONDS = 10.0
#: Seconds that a wait takes at most, unless its caller says another time.
WAIT_SECONDS = 300.0
_ATTEMPTS = 3
_CODES = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
#: The connection broke, or something between here and the server answered: a server of Nodkey gives a reason.
_CODES_WITHOUT_REASON = ("CANCELLED", "UNKNOWN", "INTERNAL")
#: This caller calls too often. Other limits, such as how often a user is prompted, are the caller's business.
_REASONS_WITH_RETRY_INFO = ("RATE_LIMITED",)
_FIRST_SECONDS = 0.1
_MOST_SECONDS = 5.0
#: A caller would rather have the error than wait longer.
_LONGEST_PAUSE_SECONDS = 10.0


def _is_repeated(failure: Failure) -> bool:
    if failure.code == "RESOURCE_EXHAUSTED":
        return failure.error.reason in _REASONS_WITH_RETRY_INFO and failure.error.retry_after is not None
    return failure.code in _CODES or (failure.code in _CODES_WITHOUT_REASON and not failure.has_reason)


def _pause(failure: Failure, failures: int, jitter: Callable[[], float]) -> float:
    """What the server said; otherwise full jitter."""
    if failure.error.retry_after is not None:
        return failure.error.retry_after
    # The exponent has a limit, because a wait may fail any number of times.
    most: float = _FIRST_SECONDS * 2 ** min(failures - 1, 10)
    return jitter() * min(most, _MOST_SECONDS)


def _ended_early() -> Failure:
    error = NodkeyError("UNAVAILABLE", "the stream ended early", kind=Kind.UNAVAILABLE)
    return Failure("UNAVAILABLE", has_reason=False, error=error)


class Attempts:
    """The attempts of one call."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        """`jitter` returns a number from 0 to 1."""
        self._jitter = jitter
        self._failures = 0

    def failed(self, failure: Failure) -> float:
        """Returns the seconds until the next attempt, or raises the error."""
        self._failures += 1
        pause = _pause(failure, self._failures, self._jitter)
        if self._failures == _ATTEMPTS or not _is_repeated(failure) or pause > _LONGEST_PAUSE_SECONDS:
            raise failure.error
        return pause


class Patience:
    """The streams of one wait, which are opened again until its time is over, whatever the number of failures."""

    def __init__(self, seconds: float, monotonic: Callable[[], float], jitter: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._jitter = jitter
        self._ends_at = monotonic() + seconds
        self._seconds = seconds
        self._failures = 0
        self._last: NodkeyError | None = None

    def remaining(self) -> float:
        """The seconds that a stream may take. Raises NodkeyError when the time is over."""
        remaining = self._ends_at - self._monotonic()
        if remaining <= 0:
            raise self._over()
        return remaining

    def succeeded(self) -> None:
        """The stream said something: failures so far do not make the next pause longer."""
        self._failures = 0
        self._last = None

    def failed(self, failure: Failure | None) -> float:
        """Returns the seconds until the next stream, or raises the error. None: the stream ended early."""
        self._failures += 1
        if failure is None:
            failure = _ended_early()
        if not (_is_repeated(failure) or failure.code == "RESOURCE_EXHAUSTED"):
            raise failure.error
        if failure.code != "DEADLINE_EXCEEDED":
            self._last = failure.error
        # The next look at what remains says that the time is over.
        return min(_pause(failure, self._failures, self._jitter), max(0.0, self._ends_at - self._monotonic()))

    def _over(self) -> NodkeyError:
        message = f"it has not ended within {self._seconds:g} s"
        if self._last is not None:
            message += f"; the last attempt: {self._last.message}"
        return NodkeyError("DEADLINE_EXCEEDED", message, kind=Kind.UNAVAILABLE)
