"""The README, and the client, against `nodkey dev` and a phone on the terminal."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from deployment import Deployment
from nodkey import (
    AsyncNodkey,
    BindingState,
    EvidenceError,
    Expected,
    Nodkey,
    NodkeyError,
    RejectReason,
    Status,
    verify_evidence,
)

pytestmark = pytest.mark.deployment
#: What runs the README: with the package installed as anybody would.
PYTHON = os.environ.get("NODKEY_PYTHON", sys.executable)
README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def block(language: str, part: str) -> str:
    """The block of the README that has this in it; there has to be one."""
    blocks = [block.partition("\n") for block in README.split("```")[1::2]]
    found = [text for name, _, text in blocks if name == language and part in text]
    assert len(found) == 1, part
    return found[0]


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path_factory.mktemp("dev"))
    yield deployment
    deployment.stop()


@pytest.fixture
def phone(tmp_path: Path) -> list[str]:
    """The options of a phone of its own."""
    return ["--key", str(tmp_path / "phone.json")]


def test_the_first_login_of_the_readme_is_one(dev: Deployment) -> None:
    commands = block("sh", "nodkey phone enrol")
    assert commands.count("\nnodkey phone wait ") == 1
    # Nobody is at this terminal to press a key.
    commands = commands.replace("\nnodkey phone wait ", "\nexec nodkey phone wait --decide accept 2>&1 #")
    dev.start("waiting as", "bash", "-euo", "pipefail", "-c", commands)
    login = block("python", "evidence.json")
    lines = len([line for line in login.splitlines() if line.strip()])
    assert lines <= 30
    print(f"a login of {lines} lines")  # noqa: T201 # a measure
    (dev.folder / "login.py").write_text(login)
    assert dev.run(PYTHON, "login.py") == "ada is logged in\n"
    archive = Nodkey(**dev.client).jwks.archive()
    kept = json.loads((dev.folder / "evidence.json").read_text())
    assert verify_evidence(kept, archive, Expected(user="ada", level=2)).is_success
    # What the command line says of the same.
    (dev.folder / "jwks.json").write_text(json.dumps(archive.document))
    assert "verified" in dev.run("target/debug/nodkey", "verify", "--jwks", "jwks.json", "--user", "ada", "evidence.json")


async def test_the_asynchronous_login_of_the_readme_is_one(dev: Deployment, phone: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in dev.client.items():
        monkeypatch.setenv(f"NODKEY_{name.upper()}", value)
    device = dev.nodkey("phone", "enrol", *phone)["device_identifier"]
    with Nodkey(**dev.client) as client:
        client.bindings.activate(client.bindings.create(user="dora", device=device).id)
    dev.start("waiting as", "target/debug/nodkey", "phone", "wait", "--decide", "accept", "--once", *phone)
    login = block("python", "async with").replace('"ada"', '"dora"')
    names: dict[str, Any] = {}
    await eval(compile(login, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    assert names["done"].is_success


def test_every_python_of_the_readme_can_be_read() -> None:
    blocks = [block.partition("\n")[2] for block in README.split("```")[1::2] if block.startswith("python\n")]
    assert len(blocks) == 3
    for text in blocks:
        compile(text, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_a_device_is_bound_prompted_and_its_user_frozen(dev: Deployment, phone: list[str]) -> None:
    enrolled = dev.nodkey("phone", "enrol", *phone)
    device, party = enrolled["device_identifier"], dev.described["relying_party_id"]
    with Nodkey(**dev.client) as client:
        vouched = {"issuer": dev.described["http"], "relying_party": party}
        assert client.verify_device_identifier(enrolled["device_identifier_jwt"], **vouched).sub == device
        binding = client.bindings.create(user="bob", device=device)
        assert (binding.state, binding.user_identifier, binding.activated_at) == (BindingState.INACTIVE, "bob", None)
        with pytest.raises(NodkeyError) as caught:
            client.trusonafications.create(user="bob", action="log in", resource="Acme Bank")
        assert (caught.value.reason, caught.value.retryable) == ("USER_HAS_NO_ACTIVE_DEVICE", False)
        assert client.bindings.activate(binding.id).state is BindingState.ACTIVE
        assert [bound.id for bound in client.bindings.list(user="bob", page_size=1)] == [binding.id]
        assert client.devices.get(device).id == device
        created = client.trusonafications.create(user="bob", action="pay", resource="90 EUR", custom_fields={"to": "ACME"})
        with closing(client.trusonafications.watch(created.id)) as states:
            assert next(states).status is Status.IN_PROGRESS
            dev.nodkey("phone", "wait", "--decide", "not-me", "--once", "--timeout", "60", *phone)
            done = next(states)
        assert done.result is not None
        assert (done.status, done.result.reject_reason, done.custom_fields) == (Status.REJECTED, RejectReason.NOT_ME, {"to": "ACME"})
        evidence = client.trusonafications.evidence(done.id)
        with pytest.raises(EvidenceError, match="unexpected: decision"):
            client.verify_evidence(evidence, Expected(trusonafication=done.id))
        rejection = client.verify_evidence(evidence, Expected(outcome="rejection", trusonafication=done.id, party=party, device=device))
        assert rejection.challenge.fields == {"to": "ACME"}
        frozen = client.users.freeze("bob", note="lost a phone").freeze
        assert frozen is not None
        assert frozen.note == "lost a phone"
        assert client.users.release("bob").freeze is None
        assert client.users.deactivate("bob").device_identifiers == (device,)


#: More than a server takes on one connection.
MANY = 250


async def test_many_waits_share_a_client_and_hold_up_no_call(dev: Deployment, phone: list[str]) -> None:
    device = dev.nodkey("phone", "enrol", *phone)["device_identifier"]
    async with AsyncNodkey(**dev.client) as client:
        await client.bindings.activate((await client.bindings.create(user="carol", device=device)).id)
        created = await client.trusonafications.create(user="carol", action="log in", resource="Acme Bank")
        begun: asyncio.Queue[None] = asyncio.Queue()

        async def watch() -> Status:
            last = Status.UNSPECIFIED
            async for state in client.trusonafications.watch(created.id):
                begun.put_nowait(None)
                last = state.status
            return last

        waits = [asyncio.create_task(watch()) for _ in range(MANY)]
        for _ in range(MANY):
            await begun.get()
        canceled = await client.trusonafications.cancel(created.id)
        assert canceled.status is Status.CANCELED
        assert await asyncio.gather(*waits) == [Status.CANCELED] * MANY


def test_many_threads_wait_with_one_client_and_hold_up_no_call(dev: Deployment, phone: list[str]) -> None:
    device = dev.nodkey("phone", "enrol", *phone)["device_identifier"]
    with Nodkey(**dev.client) as client, ThreadPoolExecutor(MANY) as pool:
        client.bindings.activate(client.bindings.create(user="erin", device=device).id)
        created = client.trusonafications.create(user="erin", action="log in", resource="Acme Bank")
        begun = threading.Barrier(MANY + 1)

        def watch() -> Status:
            states = client.trusonafications.watch(created.id)
            next(states)
            begun.wait(60)
            return [state.status for state in states][-1]

        waits = [pool.submit(watch) for _ in range(MANY)]
        begun.wait(60)
        client.trusonafications.cancel(created.id)
        assert [wait.result() for wait in waits] == [Status.CANCELED] * MANY


def test_a_deployment_over_tls_is_trusted_by_its_own_authority_and_by_no_other(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path, "--tls")
    try:
        assert deployment.client["url"].startswith("https://")
        authority = deployment.folder / deployment.described["ca_certificate"]
        with Nodkey(**deployment.client, ca_certificate=authority) as client:
            assert client.jwks.get().document["keys"]
        with Nodkey(**deployment.client) as stranger, pytest.raises(NodkeyError) as caught:
            stranger.jwks.get()
        assert caught.value.reason == "UNAVAILABLE"
    finally:
        deployment.stop()


def test_threads_share_a_client(dev: Deployment) -> None:
    found: list[Any] = []
    with Nodkey(**dev.client) as client:
        threads = [threading.Thread(target=lambda: found.append(client.jwks.get(refresh=True))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [client.jwks.get()] * 8
