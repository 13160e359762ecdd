"""Webhooks in FastAPI: a dependency that verifies what arrives. Needs `nodkey[fastapi]`.

::

    receive = webhooks(client, key="whsec_...", relying_party="...")


    @app.post("/nodkey", status_code=204)
    async def on_webhook(webhook: Annotated[ReceivedWebhook, Depends(receive)]) -> None:
        if isinstance(webhook, WebhookResult) and webhook.is_success:
            ...  # act once for each webhook.receipt.sub
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from fastapi import HTTPException, Request

from nodkey._async.client import AsyncNodkey
from nodkey._errors import NodkeyError
from nodkey._webhooks import WebhookError, WebhookNotice, WebhookResult

__all__ = ["ReceivedWebhook", "webhooks"]

#: What a webhook is, once it is verified.
ReceivedWebhook: TypeAlias = WebhookResult | WebhookNotice

#: Custom fields of 1 MB, and what is around them, escaped in any way.
_MOST_BYTES = 8 << 20


def webhooks(client: AsyncNodkey, *, key: str, relying_party: str) -> Callable[[Request], Awaitable[ReceivedWebhook]]:
    """Makes a dependency whose value is the verified webhook.

    It reads the body as it arrived: declare no other body in the same route. Responses to what does not verify are 400 with
    `{"detail": {"reason": ...}}`, 413 to what is too large, and 503 while the keys of the deployment cannot be fetched, so that it is
    delivered again.

    Args:
        client: Whose keys verify receipts.
        key: The secret of the endpoint (`whsec_`), or its public key (`whpk_`).
        relying_party: UUID of your relying party.
    """

    async def receive(request: Request) -> ReceivedWebhook:
        body = await _body(request)
        try:
            return await client.verify_webhook(request.headers, body, key=key, relying_party=relying_party)
        except WebhookError as error:
            raise HTTPException(400, {"reason": error.reason, "detail": error.detail}) from error
        except NodkeyError as error:
            raise HTTPException(503, {"reason": error.reason}) from error

    return receive


async def _body(request: Request) -> bytes:
    """The body, up to a limit: anybody may send one."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            raise HTTPException(413, {"reason": "too_large"})
    return bytes(body)
