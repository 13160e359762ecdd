"""Reading the members of claims: each is there, has its type and is not repeated, or the claims are wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from nodkey._json import Json, Members
from nodkey._verification import WRONG_CLAIMS, VerificationError

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

#: Beyond this value a double skips seconds, and nobody intends such a date.
_MAX_DATE = 2**53
_I64 = 2**63


def wrong() -> VerificationError:
    """The error of claims that are missing, contradictory, or of something else."""
    return VerificationError(WRONG_CLAIMS)


def text(value: Json) -> str:
    """A string."""
    if not isinstance(value, str):
        raise wrong()
    return value


def integer(value: Json) -> int:
    """A whole number of 64 bits, written without a fraction."""
    if not isinstance(value, int) or isinstance(value, bool) or not -_I64 <= value < _I64:
        raise wrong()
    return value


def natural(value: Json) -> int:
    """A whole number of 64 bits that is not negative."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2 * _I64:
        raise wrong()
    return value


def flag(value: Json) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise wrong()
    return value


def date(value: Json) -> int:
    """A `NumericDate` (RFC 7519 section 2), which may have a fraction: its whole seconds since 1970."""
    if isinstance(value, float):
        if abs(value) > _MAX_DATE:
            raise wrong()
        return math.floor(value)
    return integer(value)


def level(value: Json) -> int:
    """1, 2 or 3."""
    if integer(value) not in (1, 2, 3):
        raise wrong()
    return int(value)


def audience(value: Json) -> str | tuple[str, ...]:
    """One recipient or a list of them (RFC 7519 section 4.1.3)."""
    return tuple(map(text, value)) if isinstance(value, list) else text(value)


def includes(recipients: str | tuple[str, ...], name: str) -> bool:
    """Whether a recipient is among those of an audience."""
    return name in ((recipients,) if isinstance(recipients, str) else recipients)


def members(value: Json) -> Members:
    """An object without repeated members."""
    if not isinstance(value, Members) or value.repeats:
        raise wrong()
    return value


def items(value: Json) -> list[Json]:
    """A list."""
    if not isinstance(value, list):
        raise wrong()
    return value


def named(enum: type[E]) -> Callable[[Json], E]:
    """One of the names of an enum."""

    def read(value: Json) -> E:
        try:
            return enum(text(value))
        except ValueError as error:
            raise wrong() from error

    return read


def required(claims: Members, name: str, read: Callable[[Json], T]) -> T:
    """A member that has to be there."""
    if name not in claims:
        raise wrong()
    return read(claims[name])


def optional(claims: Members, name: str, read: Callable[[Json], T]) -> T | None:
    """A member that may be absent, or null."""
    value = claims.get(name)
    return None if value is None else read(value)
