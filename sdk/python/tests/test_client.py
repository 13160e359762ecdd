"""Making a client: addresses, credentials, the environment, TLS. And the keys that it keeps."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fake import SECRET, TOKEN, Driver, FakeServer
from nodkey import (
    AsyncNodkey,
    EvidenceError,
    Expected,
    FieldViolation,
    Jwks,
    Kind,
    Nodkey,
    NodkeyError,
    VerificationError,
    WebhookError,
    WebhookResult,
)
from nodkey._proto.binding.v1 import users_pb2
from nodkey._proto.registry.v1 import signing_keys_pb2
from nodkey._settings import _target

Connect = Callable[..., Driver]
VECTORS = Path(__file__).resolve().parents[2] / "spec/vectors"


@pytest.mark.parametrize(
    ("url", "target", "is_secure"),
    [
        ("https://auth.example.com", "auth.example.com:443", True),
        ("https://auth.example.com:8443/", "auth.example.com:8443", True),
        ("http://127.0.0.1:7070", "127.0.0.1:7070", False),
        ("http://localhost", "localhost:80", False),
        ("https://[::1]:7070", "[::1]:7070", True),
    ],
)
def test_an_address_is_that_of_the_gateway(url: str, target: str, *, is_secure: bool) -> None:
    assert _target(url) == (target, is_secure)


@pytest.mark.parametrize("kind", [Nodkey, AsyncNodkey])
@pytest.mark.parametrize(
    "url",
    ["", "auth.example.com", "ftp://auth.example.com", "https://", "https://a/b", "http://a:b", "https://u:p@a", "http://[", "https://a?b"],
)
def test_an_address_that_is_none_is_refused_and_not_repeated(kind: type[Nodkey | AsyncNodkey], url: str) -> None:
    with pytest.raises(NodkeyError) as caught:
        kind(url, TOKEN, SECRET)
    assert (caught.value.reason, caught.value.kind) == ("INVALID_URL", Kind.INVALID)


@pytest.mark.parametrize("token", ["", "abc", "a.b.c", "a.e30.c", "a.W10.c", "a.eyJqdGkiOjF9.c", "a.eyJqdGkiOiJ4In0=.c"])
def test_a_token_that_is_none_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(NodkeyError) as caught:
        Nodkey("http://127.0.0.1:1", token, SECRET)
    assert caught.value.reason == "INVALID_CREDENTIAL"
    assert not token or token not in str(caught.value)


def test_a_client_without_a_secret_is_refused() -> None:
    with pytest.raises(NodkeyError, match="NODKEY_SECRET"):
        Nodkey("http://127.0.0.1:1", TOKEN)


async def test_what_is_not_given_comes_from_the_environment(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answer("GetUser", users_pb2.User(user_identifier="ada"))
    for name, value in {"URL": server.url, "TOKEN": TOKEN, "SECRET": SECRET, "AUDIENCE": "acme"}.items():
        monkeypatch.setenv(f"NODKEY_{name}", value)
    async with AsyncNodkey() as client:
        await client.users.get("ada")
    with Nodkey() as blocking:
        blocking.users.get("ada")
    with Nodkey(audience="other") as blocking:
        blocking.users.get("ada")
    from nodkey._keys import b64u_decode  # noqa: PLC0415

    tokens = [asked.metadata["authorization"].split(".")[1] for asked in server.asked]
    assert [json.loads(b64u_decode(token))["aud"] for token in tokens] == ["acme", "acme", "other"]


def test_errors_survive_being_sent_between_processes() -> None:
    call = NodkeyError("R", "m", kind=Kind.GONE, fields=[FieldViolation("f", "d")], retry_after=2.5)
    for error in (call, WebhookError("mismatch", "data"), VerificationError("malformed"), EvidenceError("not_genuine", "receipt")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def authority() -> tuple[bytes, bytes, bytes]:
    """The PEM of an authority that signed itself, and of a certificate of 127.0.0.1 with its key."""

    def certificate(name: str, key: ec.EllipticCurvePrivateKey, issuer: str, by: ec.EllipticCurvePrivateKey, *, ca: bool) -> bytes:
        now = datetime.now(timezone.utc)
        names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)]) for common in (name, issuer)]
        builder = x509.CertificateBuilder(names[1], names[0], key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        built = builder.add_extension(address, critical=False).sign(by, hashes.SHA256())
        return built.public_bytes(serialization.Encoding.PEM)

    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    encoding, form, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    own = certificate("authority", root, "authority", root, ca=True)
    return own, certificate("server", leaf, "authority", root, ca=False), leaf.private_bytes(encoding, form, plain)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[FakeServer, Path]]:
    root, certificate, key = authority()
    (tmp_path / "ca.pem").write_bytes(root)
    server = FakeServer(credentials=grpc.ssl_server_credentials([(key, certificate)]))
    server.answer("GetUser", users_pb2.User(user_identifier="ada"))
    yield server, tmp_path / "ca.pem"
    server.stop()


async def test_only_the_authority_that_was_given_is_trusted(
    secure: tuple[FakeServer, Path], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, file = secure
    for trusted in (file, str(file), file.read_bytes()):
        await connect(server.url, ca_certificate=trusted).call(lambda client: client.users.get("ada"))
    for other in (None, authority()[0]):
        with pytest.raises(NodkeyError) as caught:
            await connect(server.url, ca_certificate=other).call(lambda client: client.users.get("ada"))
        assert caught.value.reason == "UNAVAILABLE"
    monkeypatch.setenv("NODKEY_CA_CERTIFICATE", str(file))
    await connect(server.url).call(lambda client: client.users.get("ada"))
    assert len(server.asked) == 4


def verify(method: str, jwt: str, client: Any, **trust: Any) -> Any:
    return getattr(client, method)(jwt, **trust)


def keys_of(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def jwks(document: Any) -> signing_keys_pb2.GetJwksResponse:
    return signing_keys_pb2.GetJwksResponse(jwks=json.dumps(document))


async def test_keys_are_kept_for_five_minutes(server: FakeServer, connect: Connect) -> None:
    now = 1000.0
    server.answer("GetJwks", jwks({"keys": []}))
    driver = connect(server.url)
    driver.client._core.monotonic = lambda: now
    for at, asked in ((1000, 1), (1300, 1), (1301, 2), (1302, 2)):
        now = at
        found = await driver.call(lambda client: client.jwks.get())
        assert (found, len(server.asked)) == (Jwks({"keys": []}), asked)
    await driver.call(lambda client: client.jwks.get(refresh=True))
    assert len(server.asked) == 3


async def test_those_who_ask_for_keys_together_ask_once_also_in_vain(server: FakeServer) -> None:
    held = threading.Event()
    server.answer("GetJwks", held)
    server.answer("GetJwks", jwks({"keys": []}))
    async with AsyncNodkey(server.url, TOKEN, SECRET) as client:

        async def together() -> list[Any]:
            return await asyncio.gather(*(client.jwks.get() for _ in range(5)), return_exceptions=True)

        asking = asyncio.create_task(together())
        await asyncio.to_thread(server.arrived.acquire)
        held.set()
        assert [error.reason for error in await asking] == ["ABORTED"] * 5
        assert len(server.asked) == 1
        assert await together() == [Jwks({"keys": []})] * 5
        assert len(server.asked) == 2


async def test_a_key_that_is_missing_is_looked_up_once(server: FakeServer, connect: Connect) -> None:
    file = keys_of("webhooks")
    case = next(case["input"] for case in file["cases"] if case["expect"].get("ok", {}).get("kind") == "result" and "body" in case["input"])
    given = file | case
    server.answer("GetJwks", jwks({"keys": []}))
    server.answer("GetJwks", jwks(given["jwks"]))
    driver = connect(server.url, clock=lambda: given["now"])
    trust = {"key": given["key"], "relying_party": given["relying_party"]}
    for _ in range(2):
        webhook = await driver.call(lambda client: client.verify_webhook(given["headers"], given["body"].encode(), **trust))
        assert isinstance(webhook, WebhookResult)
    assert len(server.asked) == 2
    stranger = connect(server.url, clock=lambda: given["now"])
    server.answers["GetJwks"].clear()
    server.answer("GetJwks", jwks({"keys": []}))
    with pytest.raises(WebhookError) as caught:
        await stranger.call(lambda client: client.verify_webhook(given["headers"], given["body"].encode(), **trust))
    assert (caught.value.reason, caught.value.detail) == ("invalid_receipt", "unknown_key")
    assert len(server.asked) == 4, "no more than once again"
    with pytest.raises(WebhookError, match="invalid_signature"):
        await stranger.call(lambda client: client.verify_webhook(given["headers"], b"{}", **trust))
    assert len(server.asked) == 4, "nor for what is wrong otherwise"


async def test_everything_is_verified_with_the_clients_own_keys(server: FakeServer, connect: Connect) -> None:
    for name, method in (("receipts", "verify_receipt"), ("results", "verify_result"), ("device-identifiers", "verify_device_identifier")):
        file = keys_of(name)
        given = file | next(case["input"] for case in file["cases"] if "ok" in case["expect"])
        server.answers.clear()
        server.answer("GetJwks", jwks(given["jwks"]))
        trust = {part: given[part] for part in ("issuer", "relying_party") if part in given}
        driver = connect(server.url, clock=lambda: 1_790_000_000)
        found = await driver.call(partial(verify, method, given["jwt"], **trust))
        assert found.iss == "https://auth.example"
    file = keys_of("evidence")
    case = next(case["input"] for case in file["cases"] if "ok" in case["expect"] and not case["input"].get("expected"))
    server.answers.clear()
    server.answer("GetJwks", jwks((file | case)["jwks"]))
    driver = connect(server.url, clock=lambda: file["now"])
    assert (await driver.call(lambda client: client.verify_evidence(case["evidence"]))).is_success
    with pytest.raises(EvidenceError, match="unexpected: user"):
        await driver.call(lambda client: client.verify_evidence(case["evidence"], Expected(user="mallory")))
