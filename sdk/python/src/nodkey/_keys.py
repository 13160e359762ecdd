"""Public keys: P-256 and Ed25519, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from nodkey._json import Json
from nodkey._verification import INVALID_SIGNATURE, UNKNOWN_KEY, WRONG_ALGORITHM, VerificationError

#: Members that only the owner of a key may have (RFC 7518 section 6).
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_ALGORITHMS: Final = {"ES256": "ES256", "EdDSA": "EdDSA", "Ed25519": "EdDSA"}

#: The field of Ed25519 and its constant (RFC 8032 section 5.1).
_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
#: The `y` of the eight points of small order: whoever has such a key signs everything.
_Y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER = frozenset((0, 1, _P - 1, _Y8, _P - _Y8))


def b64u(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64u_decode(text: str) -> bytes:
    """Decodes base64url without padding, in its one canonical form. Raises ValueError."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise ValueError("not base64url") from error
    if b64u(data) != text:
        raise ValueError("not base64url")
    return data


def b64_decode(text: str) -> bytes:
    """Decodes base64 with padding, in its one canonical form. Raises ValueError."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError("not base64") from error
    if base64.b64encode(data).decode() != text:
        raise ValueError("not base64")
    return data


def sha256(text: str) -> str:
    """Base64url of the SHA-256 of a text's UTF-8."""
    return b64u(hashlib.sha256(text.encode()).digest())


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA-256 (RFC 2104)."""
    return hmac.new(key, data, hashlib.sha256).digest()


def algorithm_named(name: Json) -> str:
    """Returns `ES256` or `EdDSA`, which is also called `Ed25519` (RFC 9864)."""
    algorithm = _ALGORITHMS.get(name) if isinstance(name, str) else None
    if algorithm is None:
        raise VerificationError(WRONG_ALGORITHM)
    return algorithm


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A validated public key: a P-256 key is on the curve, an Ed25519 key is a point that is not of small order."""

    x: bytes
    #: None: the key is Ed25519.
    y: bytes | None

    @classmethod
    def from_jwk(cls, jwk: Json) -> PublicKey:
        """Reads a JWK. Refuses private members, other key types, another key's `alg` and a `use` other than `sig`. Null is absent."""
        if not isinstance(jwk, dict) or any(jwk.get(name) is not None for name in _PRIVATE):
            raise VerificationError(UNKNOWN_KEY)
        match jwk.get("kty"), jwk.get("crv"):
            case "EC", "P-256":
                key = cls(_coordinate(jwk.get("x")), _coordinate(jwk.get("y")))
            case "OKP", "Ed25519":
                key = cls(_coordinate(jwk.get("x")), None)
            case _:
                raise VerificationError(UNKNOWN_KEY)
        key._validate()
        alg, use = jwk.get("alg"), jwk.get("use")
        named = alg is None or (isinstance(alg, str) and _ALGORITHMS.get(alg) == key.algorithm)
        if not named or use not in (None, "sig"):
            raise VerificationError(UNKNOWN_KEY)
        return key

    @classmethod
    def from_ed25519(cls, data: bytes) -> PublicKey:
        """An Ed25519 key from its 32 bytes (RFC 8032)."""
        key = cls(data, None)
        key._validate()
        return key

    def _validate(self) -> None:
        is_ed25519 = self.y is None and len(self.x) == 32 and _is_strong_ed25519(self.x)
        if not is_ed25519 and (self.y is None or _p256(self.x, self.y) is None):
            raise VerificationError(UNKNOWN_KEY)

    @property
    def algorithm(self) -> str:
        """`ES256` or `EdDSA`."""
        return "EdDSA" if self.y is None else "ES256"

    @property
    def thumbprint(self) -> str:
        """The thumbprint of RFC 7638 with SHA-256 in base64url: 43 characters."""
        x = b64u(self.x)
        if self.y is None:
            return sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}')
        return sha256(f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{b64u(self.y)}"}}')

    def verify(self, message: bytes, signature: bytes) -> None:
        """Verifies a signature of 64 bytes. ES256 with high and low `s`, since secure hardware makes both; Ed25519 strictly."""
        try:
            if len(signature) != 64:
                raise VerificationError(INVALID_SIGNATURE)
            if self.y is None:
                if not _is_strong_ed25519(signature[:32]):
                    raise VerificationError(INVALID_SIGNATURE)
                Ed25519PublicKey.from_public_bytes(self.x).verify(signature, message)
            else:
                r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
                key = _p256(self.x, self.y)
                assert key is not None, "it was validated"
                key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
        except InvalidSignature as error:
            raise VerificationError(INVALID_SIGNATURE) from error


def _coordinate(text: Json) -> bytes:
    try:
        number = b64u_decode(text) if isinstance(text, str) else b""
    except ValueError:
        number = b""
    if len(number) != 32:
        raise VerificationError(UNKNOWN_KEY)
    return number


def _p256(x: bytes, y: bytes) -> ec.EllipticCurvePublicKey | None:
    try:
        numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1())
        return numbers.public_key()
    except ValueError:
        return None


def _is_strong_ed25519(point: bytes) -> bool:
    """Whether it is a point of the curve, and not of small order. OpenSSL asks neither."""
    y = (int.from_bytes(point, "little") & ((1 << 255) - 1)) % _P
    x_squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    on_curve = x_squared == 0 or pow(x_squared, (_P - 1) // 2, _P) == 1
    return on_curve and y not in _SMALL_ORDER
