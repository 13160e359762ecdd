"""The shop of examples/fastapi, as it runs: a browser's calls, a phone in Node.js, and the webhooks of `nodkey dev`."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployment import Deployment
from nodkey import Nodkey

pytestmark = pytest.mark.deployment
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path_factory.mktemp("shop"))
    yield deployment
    deployment.stop()


@pytest.fixture(scope="module")
def shop(dev: Deployment) -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT / "examples/fastapi"), "shop:app", "--port", str(port)]
    dev.start("Uvicorn running on", *command, SHOP_URL=url)
    return url


class Browser:
    """A browser that made a code, and a phone."""

    def __init__(self, dev: Deployment, shop: str) -> None:
        self.http = httpx.AsyncClient(base_url=shop, timeout=60)
        self._dev = dev
        self._shop = shop

    async def code(self) -> dict[str, Any]:
        """A code, as the page makes it."""
        gateway, body = self._dev.described["http"], {"relying_party_id": self._dev.described["relying_party_id"]}
        made = (await self.http.post(f"{gateway}/api/v2/trucodes", json=body, headers={"Origin": self._shop})).json()
        return {"id": made["id"], "payload": made["payload"], "gateway": gateway}

    async def scanned(self) -> str:
        """A code that a new phone scanned, which accepts all that follows."""
        code = await self.code()
        command = ["node", str(ROOT / "docs/protocol/phone.mjs"), code["payload"]]
        await asyncio.to_thread(self._dev.start, "", *command)
        answer = await self.http.get(f"{code['gateway']}/api/v2/trucodes/{code['id']}", headers={"Origin": self._shop})
        assert answer.json()["paired"]
        return str(code["id"])

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.http.post(path, json=body)

    async def me(self) -> Any:
        return (await self.http.get("/me")).json()

    async def ordered(self, **what: Any) -> None:
        """Asks until its order is like that."""
        ends_at = time.monotonic() + 60
        while not what.items() <= (await self.me())["orders"][0].items():
            assert time.monotonic() < ends_at, f"not {what} within a minute"

    async def result(self) -> Any:
        return (await self.http.get("/result")).json()


async def test_somebody_signs_up_and_pays(dev: Deployment, shop: str) -> None:
    browser = Browser(dev, shop)
    page = await browser.http.get("/")
    assert 'src="shop.js"' in page.text
    assert (await browser.me()) == {"user": None, "orders": []}
    assert (await browser.post("/pay", to="ACME", amount="90.00 EUR")).status_code == 401

    code = await browser.scanned()
    before = browser.http.cookies["visitor"]
    assert (await browser.post("/sign_in/code", code=code, new_name="ada")).status_code == 200
    assert await browser.result() == {"status": "ACCEPTED"}
    assert (await browser.me())["user"] == "ada"
    assert browser.http.cookies["visitor"] != before, "who knew the cookie is not signed in"
    assert (await browser.post("/sign_in/code", code=code)).json()["detail"] == {"reason": "CODE_USED"}

    assert (await browser.post("/pay", to="ACME", amount="90.00 EUR")).status_code == 200
    assert await browser.result() == {"status": "ACCEPTED"}
    order = (await browser.me())["orders"]
    assert [(line["to"], line["amount"], line["state"]) for line in order] == [("ACME", "90.00 EUR", "paid")]
    await browser.ordered(notified=True)

    await browser.post("/sign_out")
    assert (await browser.me())["user"] is None
    assert (await browser.post("/sign_in/name", name="ada")).json()["number"]
    await browser.http.aclose()


async def test_a_payment_counts_by_its_webhook_when_the_browser_is_gone(dev: Deployment, shop: str) -> None:
    browser = Browser(dev, shop)
    await browser.post("/sign_in/code", code=await browser.scanned(), new_name="bob")
    await browser.result()
    await browser.post("/pay", to="ACME", amount="1.00 EUR")
    # Nobody asks for the result.
    await browser.ordered(state="paid")
    await browser.http.aclose()


async def test_nobody_takes_the_name_or_the_answer_of_another(dev: Deployment, shop: str) -> None:
    owner, other = Browser(dev, shop), Browser(dev, shop)
    await owner.post("/sign_in/code", code=await owner.scanned(), new_name="carol")
    assert (await other.result())["detail"] == {"reason": "NOTHING_PENDING"}
    await owner.result()
    taken = await other.post("/sign_in/code", code=await other.scanned(), new_name="carol")
    assert (taken.status_code, taken.json()["detail"]) == (409, {"reason": "NAME_TAKEN"})
    stranger = await other.post("/sign_in/code", code=await other.scanned())
    assert (stranger.status_code, stranger.json()["reason"]) == (409, "DEVICE_HAS_NO_ACTIVE_BINDING")
    assert (await other.me())["user"] is None
    forged = await other.http.post("/nodkey", json={"type": "trusonafication.accepted"})
    assert (forged.status_code, forged.json()["detail"]["reason"]) == (400, "malformed_timestamp")
    for browser in (owner, other):
        await browser.http.aclose()


async def test_the_shop_removes_its_endpoint_when_it_ends(dev: Deployment, shop: str) -> None:
    with Nodkey(**dev.client) as client:
        assert [endpoint.url for endpoint in client.endpoints.list()] == [f"{shop}/nodkey"]
        dev.stop("uvicorn")
        assert list(client.endpoints.list()) == []
