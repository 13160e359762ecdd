"""How a backend authenticates: by a bearer token that it signs itself, so that the secret is never sent (docs/protocol/bearer.md)."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import floor
from time import time

from nodkey._errors import NodkeyError
from nodkey._json import InvalidJson, parse_object
from nodkey._keys import b64u, b64u_decode, hmac_sha256

#: Lifetime of a token in seconds. The server accepts at most 60.
_LIFETIME = 30


class Credential:
    """The name and the secret of a credential. Neither its text nor its fields show the secret."""

    __slots__ = ("_audience", "_clock", "_kid", "_sign")

    def __init__(self, token: str, secret: str, audience: str, clock: Callable[[], float]) -> None:
        self._kid = _name_in(token)
        if not secret:
            raise NodkeyError("INVALID_CREDENTIAL", "there is no secret: give it, or set NODKEY_SECRET")
        key = secret.encode()
        # A closure, so that no field holds the secret.
        self._sign: Callable[[bytes], bytes] = lambda data: hmac_sha256(key, data)
        self._audience = audience
        self._clock = clock

    def __repr__(self) -> str:
        return f"Credential({self._kid!r})"

    def token(self) -> str:
        """Signs a new token, for one attempt."""
        now = floor(self._clock())
        header = {"alg": "HS256", "kid": self._kid}
        claims = {"aud": self._audience, "iat": now, "exp": now + _LIFETIME}
        signed = ".".join(b64u(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
        return f"{signed}.{b64u(self._sign(signed.encode()))}"


def bearer_token(token: str, secret: str, *, audience: str = "nodkey", now: float | None = None) -> str:
    """Signs the bearer token of one call, for those who make calls over HTTP themselves. It is valid for 30 seconds.

    Args:
        token: The token of your server credential.
        secret: The secret that was shown with it.
        audience: The audience of the deployment.
        now: Seconds since 1970; the clock's if not given.

    Raises:
        NodkeyError: `INVALID_CREDENTIAL`.
    """
    return Credential(token, secret, audience, time if now is None else lambda: now).token()


def _name_in(token: str) -> str:
    """The `jti` of the token that was issued with the secret."""
    try:
        name = parse_object(b64u_decode(token.split(".")[1])).get("jti")
    except (InvalidJson, ValueError, IndexError):
        name = None
    if not isinstance(name, str):
        # Without its cause, which would show the token.
        raise NodkeyError(
            "INVALID_CREDENTIAL", "the token is not a JWT with a `jti`: copy it whole, as it was shown with its secret"
        ) from None
    return name
