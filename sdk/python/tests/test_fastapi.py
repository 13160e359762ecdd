"""The webhook dependency, in an application as it runs."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from fake import SECRET, TOKEN, FakeServer, Still
from nodkey import AsyncNodkey, WebhookResult
from nodkey._proto.registry.v1 import signing_keys_pb2
from nodkey.fastapi import ReceivedWebhook, webhooks

FILE: dict[str, Any] = json.loads((Path(__file__).resolve().parents[2] / "spec/vectors/webhooks.json").read_text())
CASES = [case for case in FILE["cases"] if not {"jwks", "now"} & set(case["input"]) and "body" in case["input"]]


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[AsyncNodkey]:
    server.answer("GetJwks", signing_keys_pb2.GetJwksResponse(jwks=json.dumps(FILE["jwks"])))
    async with AsyncNodkey(server.url, TOKEN, SECRET, random=Still(1), clock=lambda: FILE["now"]) as client:
        yield client


def application(client: AsyncNodkey, given: dict[str, Any], received: list[ReceivedWebhook]) -> httpx.AsyncClient:
    app = FastAPI()
    receive = webhooks(client, key=given["key"], relying_party=given["relying_party"])

    @app.post("/nodkey", status_code=204)
    async def on_webhook(webhook: Annotated[ReceivedWebhook, Depends(receive)]) -> None:
        received.append(webhook)

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.example")


async def test_a_route_receives_what_verifies_and_nothing_else(client: AsyncNodkey) -> None:
    outcomes = set()
    for case in CASES:
        given, received = FILE | case["input"], list[ReceivedWebhook]()
        headers = {name: value.encode() for name, value in given["headers"].items()}
        async with application(client, given, received) as http:
            answer = await http.post("/nodkey", content=given["body"].encode(), headers=headers)
        expected = case["expect"]
        if "ok" in expected:
            assert (answer.status_code, len(received)) == (204, 1), case["name"]
            assert isinstance(received[0], WebhookResult) == (expected["ok"]["kind"] == "result")
            assert received[0].data_json == expected["ok"]["data_json"]
        else:
            assert (answer.status_code, received) == (400, []), case["name"]
            assert answer.json() == {"detail": {"reason": expected["error"], "detail": expected.get("detail")}}
        outcomes.add(expected.get("error", "ok"))
    assert {"ok", "invalid_signature", "no_receipt", "mismatch", "invalid_receipt"} <= outcomes


async def test_what_is_too_large_is_refused_before_it_is_all_there(client: AsyncNodkey) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 64:
            sent += 1
            yield b" " * (1 << 20)

    received: list[ReceivedWebhook] = []
    async with application(client, FILE, received) as http:
        answer = await http.post("/nodkey", content=body())
    assert (answer.status_code, received) == (413, [])
    assert sent < 20


async def test_while_there_are_no_keys_it_is_to_be_delivered_again(client: AsyncNodkey, server: FakeServer) -> None:
    server.stop()
    given = FILE | next(case["input"] for case in CASES if case["expect"].get("ok", {}).get("kind") == "result")
    received: list[ReceivedWebhook] = []
    async with application(client, given, received) as http:
        answer = await http.post("/nodkey", content=given["body"].encode(), headers=given["headers"])
    assert (answer.status_code, answer.json(), received) == (503, {"detail": {"reason": "UNAVAILABLE"}}, [])
