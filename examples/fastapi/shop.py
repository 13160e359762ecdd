"""A small shop: sign in by a secure QR code or by name, confirm payments on the phone, receive webhooks. README.md says how to run it.

What is kept is in memory, for one process. The browser has a cookie, and the shop a Visitor for each.
"""

from __future__ import annotations

import io
import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import segno
from fastapi import Cookie, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field

from nodkey import AsyncNodkey, Expected, NodkeyError, RequestContext, Trusonafication, WebhookResult
from nodkey.fastapi import ReceivedWebhook, webhooks

# In production: NODKEY_URL, NODKEY_TOKEN, NODKEY_SECRET and the endpoint's secret from your configuration.
DEV = json.loads(Path(os.environ.get("NODKEY_DEV_JSON", ".nodkey/dev.json")).read_text())
OWN_URL = os.environ.get("SHOP_URL", "http://127.0.0.1:8000")
GATEWAY, PARTY = DEV["http"], DEV["relying_party_id"]


@dataclass
class Order:
    """A payment that a user was asked to confirm."""

    user: str
    to: str
    amount: str
    paid: bool = False
    notified: bool = False
    evidence: dict[str, Any] | None = None


@dataclass
class Visitor:
    """A browser. `pending` is what its phone was asked, and nobody else's answer counts."""

    context: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    user: str | None = None
    pending: str | None = None


class ByCode(BaseModel):
    """The code that this browser made and a phone scanned. With a name that is new, the phone is set up for that user first."""

    code: str
    new_name: str | None = Field(None, min_length=1, max_length=255)


class ByName(BaseModel):
    """Who wants to sign in."""

    name: str = Field(min_length=1, max_length=255)


class Payment(BaseModel):
    """What to pay, as shown on the phone."""

    to: str = Field(min_length=1, max_length=100)
    amount: str = Field(pattern=r"^[0-9]{1,6}\.[0-9]{2} EUR$")


visitors: dict[str, Visitor] = {}
orders: dict[str, Order] = {}
used_codes: set[str] = set()
client = AsyncNodkey(GATEWAY, DEV["server"]["token"], DEV["server"]["secret"])


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Receives webhooks while it runs. In production the endpoint stays, and its secret is in your configuration."""
    added = await client.endpoints.create(f"{OWN_URL}/nodkey", event_types=["trusonafication.accepted"])
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


def context_of(request: Request) -> RequestContext:
    """Where the call comes from: the phone shows it."""
    return RequestContext(address=request.client.host if request.client else "", browser=request.headers.get("user-agent", "")[:255])


Caller = Annotated[Visitor, Depends(visitor_of)]
Context = Annotated[RequestContext, Depends(context_of)]


@app.exception_handler(NodkeyError)
async def refused(_: Request, error: NodkeyError) -> JSONResponse:
    """What Nodkey refused: pages compare the reason."""
    return JSONResponse({"reason": error.reason, "message": error.message}, 503 if error.retryable else 409)


@app.get("/config")
async def config() -> dict[str, str]:
    """What the page needs to make codes at the gateway."""
    return {"gateway": GATEWAY, "relying_party": PARTY}


@app.get("/qr.svg")
async def qr(payload: Annotated[str, Field(max_length=2000)]) -> Response:
    """Draws a code."""
    image = io.BytesIO()
    segno.make(payload, error="l").save(image, kind="svg", scale=4)
    return Response(image.getvalue(), media_type="image/svg+xml")


@app.get("/me")
async def me(visitor: Caller) -> dict[str, Any]:
    """Who is signed in, and what they paid."""
    mine = [order for order in orders.values() if order.user == visitor.user]
    shown = [{"to": order.to, "amount": order.amount, "paid": order.paid, "notified": order.notified} for order in mine]
    return {"user": visitor.user, "orders": shown}


@app.post("/sign_in/code")
async def sign_in_by_code(by: ByCode, visitor: Caller, context: Context) -> dict[str, str]:
    """Asks the phone that scanned the code of this browser. Each code is taken once."""
    if by.code in used_codes:
        raise HTTPException(409, {"reason": "CODE_USED"})
    used_codes.add(by.code)
    if by.new_name is not None:
        # Anybody may have a new name here. A real shop first makes sure who it is: whoever scanned is this user from now on.
        if await client.users.devices(by.new_name):
            raise HTTPException(409, {"reason": "NAME_TAKEN"})
        device = (await client.codes.pairing(by.code)).identifier
        await client.bindings.activate((await client.bindings.create(user=by.new_name, device=device)).id)
    created = await client.trusonafications.create(code=by.code, action="sign in", resource="the shop", request_context=context)
    visitor.pending = created.id
    return {"number": created.match_number}


@app.post("/sign_in/name")
async def sign_in_by_name(by: ByName, visitor: Caller, context: Context) -> dict[str, str]:
    """Asks every phone of a user. The page shows the number, if there is one, so that nobody accepts somebody else's sign-in."""
    created = await client.trusonafications.create(
        user=by.name, action="sign in", resource="the shop", context=visitor.context, request_context=context
    )
    visitor.pending = created.id
    return {"number": created.match_number}


@app.post("/pay")
async def pay(payment: Payment, visitor: Caller, context: Context) -> dict[str, str]:
    """Asks the user to confirm exactly this payment, with their presence, whatever the sign-in was."""
    if visitor.user is None:
        raise HTTPException(401, {"reason": "NOT_SIGNED_IN"})
    created = await client.trusonafications.create(
        user=visitor.user,
        action="pay",
        resource=f"{payment.amount} to {payment.to}",
        level=2,
        custom_fields=payment.model_dump(),
        context=visitor.context,
        request_context=context,
    )
    visitor.pending = created.id
    orders[created.id] = Order(visitor.user, payment.to, payment.amount)
    return {"number": created.match_number}


@app.get("/result")
async def result(visitor: Caller, response: Response) -> dict[str, Any]:
    """Waits for the answer to what this browser's phone was asked, 25 seconds at a time."""
    if (pending := visitor.pending) is None:
        raise HTTPException(409, {"reason": "NOTHING_PENDING"})
    try:
        done = await client.trusonafications.wait(pending, timeout=25)
    except NodkeyError as error:
        if error.reason != "DEADLINE_EXCEEDED":
            raise
        return {"status": "IN_PROGRESS"}
    if visitor.pending != pending:
        raise HTTPException(409, {"reason": "NOTHING_PENDING"})
    visitor.pending = None
    if done.is_success and pending in orders:
        await settle(done)
    elif done.is_success and done.result is not None:
        # A new cookie, and a new visitor: nobody who knew the old one is signed in with it.
        visit(response, Visitor(user=done.result.bound_user_identifier))
    return {"status": done.status.value}


async def settle(done: Trusonafication) -> None:
    """Keeps the proof of a payment, once it is one."""
    order = orders[done.id]
    evidence = await client.trusonafications.evidence(done.id)
    expected = Expected(trusonafication=done.id, party=PARTY, user=order.user, level=2, max_age=timedelta(days=1))
    await client.verify_evidence(evidence, expected)
    order.paid, order.evidence = True, evidence.to_json()


@app.post("/sign_out", status_code=204)
async def sign_out(response: Response, visitor: Annotated[str, Cookie()] = "") -> None:
    """Forgets the browser."""
    visitors.pop(visitor, None)
    response.delete_cookie("visitor")


async def received(request: Request) -> ReceivedWebhook:
    """The webhook of a request, verified by the secret of the endpoint of this run."""
    webhook: ReceivedWebhook = await request.app.state.receive(request)
    return webhook


@app.post("/nodkey", status_code=204)
async def on_webhook(webhook: Annotated[ReceivedWebhook, Depends(received)]) -> None:
    """A payment counts even if its browser is gone. The same webhook may come twice, and here that changes nothing."""
    if isinstance(webhook, WebhookResult) and webhook.is_success and (order := orders.get(webhook.receipt.sub)):
        order.notified = True
        if not order.paid:
            await settle(await client.trusonafications.get(webhook.receipt.sub))


app.mount("/", StaticFiles(directory=Path(__file__).parent / "page", html=True))
