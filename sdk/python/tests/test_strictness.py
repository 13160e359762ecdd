"""What libraries would have read, and this package does not: JSON, keys and signatures at their edges."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nodkey import Evidence, Jwks, VerificationError, hash_user_identifier
from nodkey._json import InvalidJson, parse, parse_object, raw_members
from nodkey._keys import _P, _SMALL_ORDER, PublicKey, b64u

GOOD = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ED25519 = GOOD.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
#: The order of P-256.
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e999",
        "9" * 400,
        "9" * 5000,
        "[1,]",
        "{} {}",
        "\ufeff{}",
        "'a'",
        '"\\ud800"',
        '"\ud800"',
        '"\n"',
        "[" * 100_000,
    ],
)
def test_what_is_not_json_is_not_read(text: str) -> None:
    with pytest.raises(InvalidJson):
        parse(text)


def test_what_is_nested_too_deep_is_not_read_at_whatever_depth_that_begins() -> None:
    refused = 0
    for depth in range(1, 1100):
        try:
            parse("[" * depth + '"\\u00e9"' + "]" * depth)
        except InvalidJson:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize("data", [b'"\xff"', "{}".encode("utf-16"), b"\xef\xbb\xbf{}"])
def test_nothing_but_utf_8_is_read(data: bytes) -> None:
    assert json.loads("{}".encode("utf-16")) == {}, "the library reads other encodings"
    with pytest.raises(InvalidJson):
        parse(data)


def test_a_repeated_member_is_refused_where_it_matters_and_known_elsewhere() -> None:
    for text in ('{"a":1,"a":1}', "[]", "7"):
        with pytest.raises(InvalidJson):
            parse_object(text)
    inner = parse_object('{"a":{"b":1,"b":2}}')["a"]
    assert (inner, inner.repeats) == ({"b": 2}, True)


def test_the_characters_of_a_member_are_those_of_the_text() -> None:
    body = '\t{ "a\\u0062" :\r{"x": 1.0 , "y":[ ]} ,"data": "\\u00e9"\n, "n":-0.50e1}\n'
    assert raw_members(body.encode()) == {
        "ab": ({"x": 1.0, "y": []}, '{"x": 1.0 , "y":[ ]}'),
        "data": ("é", '"\\u00e9"'),
        "n": (-5.0, "-0.50e1"),
    }
    assert raw_members(b"{}") == {}


def test_points_of_small_order_are_no_keys_and_no_parts_of_signatures() -> None:
    and_not_canonical = {*_SMALL_ORDER, *(y + _P for y in _SMALL_ORDER if y + _P < 1 << 255)}
    encodings = [y + (sign << 255) for y in and_not_canonical for sign in (0, 1)]
    assert len(encodings) == 14
    for encoding in encodings:
        point = encoding.to_bytes(32, "little")
        with pytest.raises(VerificationError, match="unknown_key"):
            PublicKey.from_ed25519(point)
        with pytest.raises(VerificationError, match="invalid_signature"):
            PublicKey.from_ed25519(ED25519).verify(b"m", point + bytes(32))
    # The library takes a signature by such a key, of anything.
    weak = (1).to_bytes(32, "little")
    Ed25519PublicKey.from_public_bytes(weak).verify(weak + bytes(32), b"anything")


def test_what_is_not_on_the_curve_is_no_key() -> None:
    on_curve = 0
    for y in range(2, 40):
        try:
            PublicKey.from_ed25519(y.to_bytes(32, "little"))
            on_curve += 1
        except VerificationError:
            continue
    assert 8 < on_curve < 30, "about half of all numbers"
    for length in (0, 31, 33):
        with pytest.raises(VerificationError):
            PublicKey.from_ed25519(ED25519[:31] + bytes(length - 31) if length > 31 else ED25519[:length])
    jwk = {"kty": "EC", "crv": "P-256", "x": b64u(bytes(31) + b"\x01"), "y": b64u(bytes(31) + b"\x01")}
    with pytest.raises(VerificationError, match="unknown_key"):
        PublicKey.from_jwk(jwk)


def test_a_signature_has_64_bytes_and_one_form_but_either_s_of_es256() -> None:
    key = PublicKey.from_ed25519(ED25519)
    signature = GOOD.sign(b"m")
    key.verify(b"m", signature)
    order = 2**252 + 27742317777372353535851937790883648493
    malleable = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    for wrong in (signature + b"\0", signature[:63], b"", malleable):
        with pytest.raises(VerificationError, match="invalid_signature"):
            key.verify(b"m", wrong)
    private = ec.derive_private_key(7, ec.SECP256R1())
    numbers = private.public_key().public_numbers()
    p256 = PublicKey(numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big"))
    der = private.sign(b"m", ec.ECDSA(SHA256()))
    r, s = decode_dss_signature(der)
    for either in (s, N - s):
        p256.verify(b"m", r.to_bytes(32, "big") + either.to_bytes(32, "big"))
    for wrong in (der, bytes(64), r.to_bytes(32, "big") + bytes(32), r.to_bytes(32, "big") + N.to_bytes(32, "big")):
        with pytest.raises(VerificationError, match="invalid_signature"):
            p256.verify(b"m", wrong)


@pytest.mark.parametrize("document", ["", "[]", "{}", '{"keys":{}}', '{"keys":null}', b"\xff"])
def test_what_is_not_a_key_set_is_not_read(document: str | bytes) -> None:
    with pytest.raises(InvalidJson):
        Jwks(document)


@pytest.mark.parametrize(
    "document",
    [
        "7",
        "{}",
        {"challenge": "c", "response": "r"},
        {"challenge": "c", "response": 1, "keys": []},
        {"challenge": "c", "response": "r", "keys": ["k"]},
        {"challenge": "c", "response": "r", "keys": [], "receipt": 7},
        '{"challenge":"c","challenge":"c","response":"r","keys":[]}',
    ],
)
def test_what_is_not_evidence_is_not_read(document: str | dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not evidence"):
        Evidence.from_json(document)


def test_evidence_is_kept_as_it_was() -> None:
    kept = {"challenge": "c", "response": "r", "keys": [{"kty": "OKP"}], "receipt": "x", "key_statement": "s", "key_signatures": ["a"]}
    assert Evidence.from_json(json.dumps(kept)).to_json() == kept
    least = {"challenge": "c", "response": "r", "keys": []}
    assert Evidence.from_json(least | {"receipt": None}).to_json() == least


def test_a_hash_depends_on_the_key_and_on_every_character() -> None:
    hashes = {hash_user_identifier(key, user) for key in (b"k", b"K") for user in ("ada", "Ada", "ada ", "\u00e4", "a\u0308")}
    assert len(hashes) == 10
    assert all(len(digest) == 43 for digest in hashes)
