"""Which attempts are repeated and when: no I/O, every case."""

from __future__ import annotations

import pytest

from nodkey import Kind, NodkeyError
from nodkey._errors import Failure
from nodkey._retry import Attempts, Patience


def failure(code: str, reason: str | None = None, *, has_reason: bool = False, retry_after: float | None = None) -> Failure:
    error = NodkeyError(reason or code, "m", kind=Kind.UNAVAILABLE, retry_after=retry_after)
    return Failure(code, has_reason=has_reason, error=error)


@pytest.mark.parametrize(
    ("code", "without", "with_reason"),
    [
        ("UNAVAILABLE", True, True),
        ("DEADLINE_EXCEEDED", True, True),
        ("CANCELLED", True, False),
        ("UNKNOWN", True, False),
        ("INTERNAL", True, False),
        ("RESOURCE_EXHAUSTED", False, False),
        ("NOT_FOUND", False, False),
        ("UNAUTHENTICATED", False, False),
        ("PERMISSION_DENIED", False, False),
        ("INVALID_ARGUMENT", False, False),
        ("UNIMPLEMENTED", False, False),
        ("ABORTED", False, False),
        ("DATA_LOSS", False, False),
    ],
)
def test_what_is_repeated(code: str, *, without: bool, with_reason: bool) -> None:
    for has_reason, repeated in ((False, without), (True, with_reason)):
        attempts = Attempts(lambda: 1.0)
        if repeated:
            attempts.failed(failure(code, has_reason=has_reason))
        else:
            with pytest.raises(NodkeyError, match=code):
                attempts.failed(failure(code, has_reason=has_reason))


def test_pauses_double_and_are_random_from_nothing_on() -> None:
    most, least = Attempts(lambda: 1.0), Attempts(lambda: 0.0)
    assert [most.failed(failure("UNAVAILABLE")) for _ in range(2)] == [0.1, 0.2]
    assert [least.failed(failure("UNAVAILABLE")) for _ in range(2)] == [0.0, 0.0]
    for attempts in (most, least):
        with pytest.raises(NodkeyError):
            attempts.failed(failure("UNAVAILABLE"))


@pytest.mark.parametrize(("code", "reason"), [("UNAVAILABLE", "OVERLOADED"), ("RESOURCE_EXHAUSTED", "RATE_LIMITED")])
def test_the_servers_pause_comes_before_ours_and_one_that_is_long_is_the_callers(code: str, reason: str) -> None:
    assert Attempts(lambda: 0.0).failed(failure(code, reason, has_reason=True, retry_after=10)) == 10
    with pytest.raises(NodkeyError) as caught:
        Attempts(lambda: 0.0).failed(failure(code, reason, has_reason=True, retry_after=11))
    assert caught.value.retry_after == 11


def test_a_wait_pauses_longer_with_each_failure_in_a_row_up_to_a_limit() -> None:
    patience = Patience(1e9, lambda: 0.0, lambda: 1.0)
    pauses = [patience.failed(failure("UNAVAILABLE")) for _ in range(2000)]
    assert pauses[:7] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert set(pauses[6:]) == {5.0}
    patience.succeeded()
    assert patience.failed(None) == 0.1, "a stream that said something was not a failure in a row"


def test_a_wait_pauses_no_longer_than_it_lasts() -> None:
    now = 0.0
    patience = Patience(20, lambda: now, lambda: 1.0)
    assert patience.failed(failure("RESOURCE_EXHAUSTED", has_reason=True, retry_after=3600)) == 20
    now = 19.0
    assert patience.remaining() == 1
    assert patience.failed(failure("RESOURCE_EXHAUSTED", has_reason=True)) == 0.2
    now = 20.0
    with pytest.raises(NodkeyError) as caught:
        patience.remaining()
    assert (caught.value.reason, caught.value.retryable) == ("DEADLINE_EXCEEDED", True)
