"""Compact JWS (RFC 7515 section 3.1) and sets of keys (RFC 7517 section 5).

Libraries for JOSE read more than Nodkey allows: base64 that is not canonical, repeated members, keys of small order, `crit`. So this is
done here, on the primitives of `cryptography`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from nodkey._json import InvalidJson, Members, parse, parse_object
from nodkey._keys import PublicKey, algorithm_named, b64u_decode
from nodkey._verification import MALFORMED, UNKNOWN_KEY, WRONG_ALGORITHM, WRONG_CLAIMS, WRONG_TYPE, VerificationError

CHALLENGE: Final = "nodkey-challenge+jwt"
RESPONSE: Final = "nodkey-response+jwt"
RECEIPT: Final = "nodkey-receipt+jwt"
RESULT: Final = "nodkey-result+jwt"
DEVICE: Final = "nodkey-device+jwt"
KEYS: Final = "nodkey-keys+jwt"

#: Types that a key without a list of types may sign: those that were signed before keys had such lists. Never a receipt.
_TYPES_BEFORE = (CHALLENGE, RESULT, DEVICE, "nodkey-trucode+jwt")
#: A challenge with 1 MiB of custom fields.
_MAX_LENGTH = 3 << 19


@dataclass(frozen=True, slots=True)
class _Published:
    kid: str
    key: PublicKey
    types: tuple[str, ...] | None

    def signs(self, typ: str) -> bool:
        return typ in (_TYPES_BEFORE if self.types is None else self.types)


@dataclass(frozen=True, slots=True, init=False)
class Jwks:
    """The public keys of a deployment, a JWKS document (RFC 7517): all that verifying offline needs.

    Get it from `client.jwks`, or from a copy that you kept: never from where the thing that you verify came from. Revoked keys, and keys
    of kinds that Nodkey does not use, are left out.
    """

    #: The document as it was given.
    document: dict[str, Any] = field(repr=False)
    _keys: tuple[_Published, ...] = field(repr=False, compare=False)

    def __init__(self, document: str | bytes | dict[str, Any]) -> None:
        """Reads a document, as JSON or as an object. ValueError: it is not a JWKS."""
        found = parse(document) if isinstance(document, str | bytes) else document
        keys = found.get("keys") if isinstance(found, dict) else None
        if not isinstance(keys, list):
            raise InvalidJson("not a JWKS: an object with the member `keys`, a list")
        object.__setattr__(self, "document", found)
        published = (_published(jwk) for jwk in keys if isinstance(jwk, dict))
        object.__setattr__(self, "_keys", tuple(key for key in published if key is not None))

    def find(self, kid: str | None, typ: str) -> PublicKey:
        """The key of that name, if it may sign a JWS of that type. Raises VerificationError: `unknown_key`."""
        for published in self._keys:
            if published.kid == kid and published.signs(typ):
                return published.key
        raise VerificationError(UNKNOWN_KEY)


def _published(jwk: dict[str, Any]) -> _Published | None:
    kid, types = jwk.get("kid"), jwk.get("typs")
    # Marked as in an archive (OpenID Federation 1.0 section 8.7): a thief of the key can sign anything and backdate it.
    if not isinstance(kid, str) or "revoked" in jwk:
        return None
    # A key whose list of types cannot be read signs nothing. It must not be treated as a key without a list.
    if "typs" in jwk and not (isinstance(types, list) and all(isinstance(typ, str) for typ in types)):
        return None
    try:
        return _Published(kid, PublicKey.from_jwk(jwk), None if types is None else tuple(types))
    except VerificationError:
        return None


@dataclass(frozen=True, slots=True)
class Jws:
    """A parsed compact JWS. Nothing in it is trustworthy before :meth:`verify`."""

    kid: str | None
    _typ: str | None
    _alg: str
    _payload: bytes
    _signature: bytes
    _signed: bytes

    @classmethod
    def parse(cls, text: str) -> Jws:
        """Splits and decodes a JWS."""
        parts = text.split(".")
        if len(text.encode(errors="surrogatepass")) > _MAX_LENGTH or len(parts) != 3:
            raise VerificationError(MALFORMED)
        try:
            header, payload, signature = (b64u_decode(part) for part in parts)
            members = parse_object(header)
            alg, typ, kid = (members.get(name) for name in ("alg", "typ", "kid"))
        except ValueError as error:
            raise VerificationError(MALFORMED) from error
        # Extensions must be understood, and none is.
        if not isinstance(alg, str) or not all(isinstance(name, str | None) for name in (typ, kid)) or "crit" in members:
            raise VerificationError(MALFORMED)
        if members.get("jwk") is not None:
            _check_embedded_key(members["jwk"], alg)
        return cls(kid, typ, alg, payload, signature, f"{parts[0]}.{parts[1]}".encode())

    def verify(self, key: PublicKey, typ: str) -> Members:
        """Verifies with that key, and returns the claims. The algorithm is always the key's; a header that names another is refused."""
        if self._typ != typ:
            raise VerificationError(WRONG_TYPE)
        if algorithm_named(self._alg) != key.algorithm:
            raise VerificationError(WRONG_ALGORITHM)
        key.verify(self._signed, self._signature)
        try:
            return parse_object(self._payload)
        except InvalidJson as error:
            raise VerificationError(WRONG_CLAIMS) from error


def _check_embedded_key(jwk: Any, alg: str) -> None:
    """A header may have a key, which is not used, and has to be one. A key of another algorithm is reported as that."""
    try:
        PublicKey.from_jwk(jwk)
    except VerificationError:
        algorithm_named(alg)
        raise


def verify_with(jwks: Jwks, text: str, typ: str) -> Members:
    """Verifies a JWS of that type with the key in the set that its header names, and returns the claims."""
    jws = Jws.parse(text)
    return jws.verify(jwks.find(jws.kid, typ), typ)
