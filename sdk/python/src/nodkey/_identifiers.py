"""Identifiers of devices and users."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from time import time

from nodkey import _claims as claims
from nodkey._jws import DEVICE, Jwks, verify_with
from nodkey._keys import b64u, hmac_sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceClaims:
    """This deployment knows the device."""

    #: The deployment: the gateway's public URL.
    iss: str
    #: UUID of the relying party whose app registered it, or a list with it.
    aud: str | tuple[str, ...]
    #: The device identifier.
    sub: str
    #: When it was issued, in seconds since 1970.
    iat: int
    #: When it expires, in seconds since 1970.
    exp: int
    #: Random value.
    jti: str


def verify_device_identifier(jwt: str, jwks: Jwks, *, issuer: str, relying_party: str, now: float | None = None) -> DeviceClaims:
    """Verifies the `device_identifier_jwt` that your app handed over: its `sub` is the identifier of a device that runs your app.

    Args:
        jwt: A JWS of `typ` `nodkey-device+jwt`.
        jwks: The deployment's keys.
        issuer: The gateway's public URL.
        relying_party: UUID of your relying party.
        now: Seconds since 1970; the clock's if not given.

    Raises:
        VerificationError: with the reasons of JWTs.
    """
    read = verify_with(jwks, jwt, DEVICE)
    found = DeviceClaims(
        iss=claims.required(read, "iss", claims.text),
        aud=claims.required(read, "aud", claims.audience),
        sub=claims.required(read, "sub", claims.text),
        iat=claims.required(read, "iat", claims.date),
        exp=claims.required(read, "exp", claims.date),
        jti=claims.required(read, "jti", claims.text),
    )
    is_current = floor(time() if now is None else now) < found.exp
    if found.iss != issuer or not claims.includes(found.aud, relying_party) or not is_current:
        raise claims.wrong()
    return found


def hash_user_identifier(key: bytes, user_identifier: str) -> str:
    """A user identifier that does not reveal the user, but is the same every time: HMAC-SHA-256 in base64url.

    Args:
        key: Known to you alone. Without one, email addresses and the like could be found by trying.
        user_identifier: Your own name for the user.
    """
    return b64u(hmac_sha256(key, user_identifier.encode()))
