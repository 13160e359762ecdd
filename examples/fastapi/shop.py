"""A small shop: sign in by a secure QR code or by name, confirm payments on the phone, receive webhooks. README.md says how to run it.

What is kept is in memory, for one process. The browser has a cookie, and the shop a Visitor for each.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, Cookie, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from nodkey import AsyncNodkey, Expected, NodkeyError, NumberMatch, RequestContext, WebhookResult
from nodkey.fastapi import ReceivedWebhook, webhooks

# In production: NODKEY_URL, NODKEY_TOKEN, NODKEY_SECRET and the endpoint's secret from your configuration.
DEV = json.loads(Path(os.environ.get("NODKEY_DEV_JSON", ".nodkey/dev.json")).read_text())
OWN_URL = os.environ.get("SHOP_URL", "http://127.0.0.1:8000")
GATEWAY, PARTY, PAGES = DEV["http"], DEV["relying_party_id"], Path(__file__).parents[1] / "page"
PAGE = (PAGES / "index.html").read_text().replace("https://auth.example.com", GATEWAY).replace("YOUR-RELYING-PARTY-ID", PARTY)


@dataclass
class Order:
    """A payment that a user was asked to confirm."""

    user: str
    to: str
    amount: str
    state: str = "waits for the phone"
    notified: bool = False
    evidence: dict[str, Any] | None = field(default=None, repr=False)


@dataclass
class Visitor:
    """A browser. `pending` is what its phone was asked, and nobody else's answer counts."""

    context: str = field(default_factory=secrets.token_urlsafe)
    user: str | None = None
    pending: str | None = None


visitors: dict[str, Visitor] = {}  # by their cookies
orders: dict[str, Order] = {}  # by the ids of the trusonafications that ask for them
takers: dict[str, Visitor] = {}  # who took a name first
used_codes: set[str] = set()
client = AsyncNodkey(GATEWAY, DEV["server"]["token"], DEV["server"]["secret"])


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Receives webhooks while it runs. In production the endpoint stays, and its secret is in your configuration."""
    ends = [f"trusonafication.{end}" for end in ("accepted", "rejected", "expired", "canceled")]
    added = await client.endpoints.create(f"{OWN_URL}/nodkey", event_types=ends)
    app.state.receive = webhooks(client, key=added.secret, relying_party=PARTY)
    yield
    await client.endpoints.delete(added.endpoint.id)
    await client.close()


app = FastAPI(lifespan=lifespan)


def visit(response: Response, visitor: Visitor) -> Visitor:
    """Gives the browser a new cookie, which no other site can send and no script can read."""
    cookie = secrets.token_urlsafe()
    visitors[cookie] = visitor
    response.set_cookie("visitor", cookie, httponly=True, samesite="strict", secure=OWN_URL.startswith("https:"))
    return visitor


def visitor_of(response: Response, visitor: Annotated[str, Cookie()] = "") -> Visitor:
    """Who calls."""
    return visitors.get(visitor) or visit(response, Visitor())


Caller = Annotated[Visitor, Depends(visitor_of)]
Text = Annotated[str, Body(embed=True, min_length=1, max_length=255)]
OptionalText = Annotated[str | None, Body(min_length=1, max_length=255)]


async def ask(visitor: Visitor, request: Request, **prompt: Any) -> dict[str, str | None]:
    """Has a phone prompted for this browser and no other, and shows there where the call comes from."""
    address, browser = request.client.host if request.client else "", request.headers.get("user-agent", "")[:255]
    asked = await client.trusonafications.create(request_context=RequestContext(address=address, browser=browser), **prompt)
    visitor.pending = asked.id
    return {"id": asked.id, "number": asked.match_number}


async def settle(identifier: str, order: Order, status: str, *, paid: bool) -> None:
    """Keeps how a payment ended, and the proof of one that is paid: what the phone signed."""
    if paid:
        evidence = await client.trusonafications.evidence(identifier)
        expected = Expected(trusonafication=identifier, party=PARTY, user=order.user, level=2, max_age=timedelta(days=1))
        await client.verify_evidence(evidence, expected)
        order.evidence = evidence.to_json()
    order.state = "paid" if paid else status.lower()


@app.exception_handler(NodkeyError)
async def refused(_: Request, error: NodkeyError) -> JSONResponse:
    """What Nodkey refused: pages compare the reason."""
    return JSONResponse({"reason": error.reason}, 503 if error.retryable else 409)


@app.get("/")
async def page() -> HTMLResponse:
    """The page, which makes codes at the gateway."""
    return HTMLResponse(PAGE)


@app.get("/me")
async def me(visitor: Caller) -> dict[str, Any]:
    """Who is signed in, and what they paid."""
    mine = [asdict(order) | {"evidence": None} for order in orders.values() if order.user == visitor.user]
    return {"user": visitor.user, "orders": mine}


@app.post("/sign_in/code")
async def sign_in_by_code(code: Text, visitor: Caller, request: Request, new_name: OptionalText = None) -> dict[str, Any]:
    """Prompts the phone that scanned the code of this browser. Each code is taken once."""
    if code in used_codes:
        raise HTTPException(409, {"reason": "CODE_USED"})
    used_codes.add(code)
    if new_name is not None:
        # Anybody may have a new name here. A real shop first makes sure who it is: whoever scanned is this user from now on.
        devices = await client.users.devices(new_name)
        if devices or takers.setdefault(new_name, visitor) is not visitor:
            raise HTTPException(409, {"reason": "NAME_TAKEN"})
        device = (await client.codes.pairing(code)).identifier
        await client.bindings.activate((await client.bindings.create(user=new_name, device=device)).id)
    return await ask(visitor, request, code=code, action="sign in", resource="the shop")


@app.post("/sign_in/name")
async def sign_in_by_name(name: Text, visitor: Caller, request: Request) -> dict[str, Any]:
    """Prompts the phones of a user, who types the number that this page shows: nobody accepts somebody else's sign-in."""
    prompt = {"user": name, "action": "sign in", "resource": "the shop", "context": visitor.context}
    return await ask(visitor, request, **prompt, number_match=NumberMatch.ENTER)


@app.post("/pay")
async def pay(
    to: Annotated[str, Body(min_length=1, max_length=100)],
    amount: Annotated[str, Body(pattern=r"^[0-9]{1,6}\.[0-9]{2} EUR$")],
    visitor: Caller,
    request: Request,
) -> dict[str, Any]:
    """Has the user confirm exactly this payment, with their presence, whatever the sign-in was."""
    if (user := visitor.user) is None:
        raise HTTPException(401, {"reason": "NOT_SIGNED_IN"})
    shown = {"action": "pay", "resource": f"{amount} to {to}", "custom_fields": {"to": to, "amount": amount}}
    asked = await ask(visitor, request, user=user, level=2, context=visitor.context, **shown)
    orders[str(asked["id"])] = Order(user, to, amount)
    return asked


@app.get("/result")
async def result(visitor: Caller, response: Response) -> dict[str, str]:
    """Waits for the answer to what this browser's phone was asked, 25 seconds at a time."""
    if (pending := visitor.pending) is None:
        raise HTTPException(409, {"reason": "NOTHING_PENDING"})
    try:
        done = await client.trusonafications.wait(pending, timeout=25)
    except NodkeyError as error:
        if error.reason != "DEADLINE_EXCEEDED":
            raise
        return {"status": "IN_PROGRESS"}
    # Once: another request of this browser may have had the answer, or asked for something else.
    if visitor.pending != pending:
        raise HTTPException(409, {"reason": "NOTHING_PENDING"})
    visitor.pending = None
    if order := orders.get(pending):
        await settle(pending, order, done.status.value, paid=done.is_success)
    elif done.is_success and done.result is not None:
        # A new cookie, and a new visitor: nobody who knew the old one is signed in with it.
        visit(response, Visitor(user=done.result.bound_user_identifier))
    return {"status": done.status.value}


@app.post("/sign_out", status_code=204)
async def sign_out(response: Response, visitor: Annotated[str, Cookie()] = "") -> None:
    """Forgets the browser."""
    visitors.pop(visitor, None)
    response.delete_cookie("visitor")


@app.post("/nodkey", status_code=204)
async def on_webhook(request: Request) -> None:
    """A payment counts even if its browser is gone. The same webhook may come twice, and here that changes nothing."""
    webhook: ReceivedWebhook = await app.state.receive(request)
    if isinstance(webhook, WebhookResult) and (order := orders.get(webhook.receipt.sub)):
        await settle(webhook.receipt.sub, order, webhook.receipt.status.value, paid=webhook.is_success)
        order.notified = True


app.mount("/", StaticFiles(directory=PAGES))
