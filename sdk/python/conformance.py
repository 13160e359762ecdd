"""Drives the SDK by lines of JSON, for the scenarios of sdk/spec: see "Conformance" in its README.md.

Usage: python conformance.py [--blocking]. The environment says where the deployment is. With --blocking it is the client that blocks, each
call in a thread of its own.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import inspect
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import nodkey
from nodkey import AsyncNodkey, Jwks, Nodkey, NodkeyError, VerificationError
from nodkey._enums import ProtoEnum
from nodkey._json import parse
from nodkey._keys import b64u, b64u_decode, hmac_sha256

#: Fields of proto/ with 64 bits, which protobuf JSON writes as text.
INT64 = ("version", "duration_ms", "body_bytes")
#: Parameters that the SDK has as an enum.
ENUMS: dict[tuple[str, str], type[ProtoEnum]] = {
    ("bindings.list", "state"): nodkey.BindingState,
    ("trusonafications.create", "number_match"): nodkey.NumberMatch,
    ("trusonafications.list", "status"): nodkey.Status,
    ("documents.register", "type"): nodkey.DocumentType,
    ("deliveries.list", "state"): nodkey.DeliveryState,
}
TIMES = ("expires_at", "created_after", "created_before", "since", "until")
#: Names of parameters that the SDK calls otherwise.
RENAMED = {"timeout_seconds": "timeout"}


def claims(value: Any) -> Any:
    """Claims as they were in the JWT: without what is None."""
    if is_dataclass(value):
        written = {field.name: claims(getattr(value, field.name)) for field in fields(value)}
        return {name: member for name, member in written.items() if member is not None}
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def proto(value: Any) -> Any:
    """Protobuf JSON with the original names of fields."""
    if isinstance(value, nodkey.Evidence):
        return value.to_json()
    if isinstance(value, Jwks):
        return value.document
    if is_dataclass(value):
        fields_of_ones_own = {"custom_fields": value.custom_fields} if isinstance(value, nodkey.Trusonafication) else {}
        written = fields_of_ones_own | {field.name: proto(getattr(value, field.name)) for field in fields(value)}
        return {name: str(member) if name in INT64 else member for name, member in written.items() if member is not None}
    if isinstance(value, ProtoEnum):
        return value.proto_name
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return [proto(item) for item in value] if isinstance(value, tuple) else value


def result_claims(found: nodkey.ResultClaims) -> dict[str, Any]:
    """A result has the members of its receipt beside its own."""
    members: dict[str, Any] = claims(found)
    receipt: dict[str, Any] = members.pop("receipt", {})
    return members | receipt


def bearer_token(given: dict[str, Any]) -> dict[str, Any]:
    token = nodkey.bearer_token(given["token"], given["secret"], audience=given["audience"], now=given["now"])
    header, claims, signature = token.split(".")
    expected = b64u(hmac_sha256(given["secret"].encode(), f"{header}.{claims}".encode()))
    if signature != expected:
        raise AssertionError("the token is not signed by the secret")
    return {"header": parse(b64u_decode(header)), "claims": parse(b64u_decode(claims))}


def verify_evidence(given: dict[str, Any]) -> dict[str, Any]:
    expected = dict(given["expected"])
    if "max_age_seconds" in expected:
        expected["max_age"] = timedelta(seconds=expected.pop("max_age_seconds"))
    verified = nodkey.verify_evidence(given["evidence"], Jwks(given["jwks"]), nodkey.Expected(**expected), now=given["now"])
    return {"receipt": claims(verified.receipt), "certification": claims(verified.certification)}


def verify_webhook(given: dict[str, Any]) -> dict[str, Any]:
    body = base64.b64decode(given["body_base64"]) if "body_base64" in given else given["body"].encode()
    trust = {"key": given["key"], "jwks": Jwks(given["jwks"]), "relying_party": given["relying_party"], "now": given["now"]}
    webhook = nodkey.verify_webhook(given["headers"], body, **trust)
    kind = "result" if isinstance(webhook, nodkey.WebhookResult) else "notice"
    common = {"kind": kind, "id": webhook.id, "type": webhook.type, "timestamp": webhook.timestamp}
    common |= {"data": webhook.data, "data_json": webhook.data_json}
    return common | ({"receipt": claims(webhook.receipt)} if isinstance(webhook, nodkey.WebhookResult) else {})


def verify_result(given: dict[str, Any]) -> dict[str, Any]:
    trust = {"issuer": given["issuer"], "relying_party": given["relying_party"]}
    return {"claims": result_claims(nodkey.verify_result(given["jwt"], Jwks(given["jwks"]), **trust))}


def verify_receipt(given: dict[str, Any]) -> dict[str, Any]:
    return {"claims": claims(nodkey.verify_receipt(given["jwt"], Jwks(given["jwks"])))}


def verify_device_identifier(given: dict[str, Any]) -> dict[str, Any]:
    trust = {"issuer": given["issuer"], "relying_party": given["relying_party"], "now": given["now"]}
    return {"claims": claims(nodkey.verify_device_identifier(given["jwt"], Jwks(given["jwks"]), **trust))}


def hash_user_identifier(given: dict[str, Any]) -> dict[str, Any]:
    return {"hash": nodkey.hash_user_identifier(b64u_decode(given["key"]), given["user_identifier"])}


FUNCTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    function.__name__: function
    for function in (
        bearer_token,
        verify_evidence,
        verify_webhook,
        verify_result,
        verify_receipt,
        verify_device_identifier,
        hash_user_identifier,
    )
}


def error(caught: BaseException) -> dict[str, Any]:
    """What a call raised, as the runner reads it."""
    match caught:
        case VerificationError(reason=reason, detail=detail):
            return {"reason": reason} | ({} if detail is None else {"detail": detail})
        case asyncio.CancelledError():
            return error(NodkeyError("CANCELLED", "the caller cancelled the call", kind=nodkey.Kind.UNAVAILABLE))
        case TypeError() | ValueError():
            # What Python itself says of parameters.
            return error(NodkeyError("INVALID_PARAMETER", str(caught)))
        case NodkeyError():
            violations = [{"field": violation.field, "description": violation.description} for violation in caught.fields]
            described: dict[str, Any] = {"reason": caught.reason, "kind": caught.kind.value, "message": caught.message}
            described |= {"retryable": caught.retryable, "fields": violations}
            return described | ({} if caught.retry_after is None else {"retry_after": caught.retry_after})
        case _:
            return {"reason": type(caught).__name__, "kind": "INTERNAL", "message": str(caught), "retryable": False, "fields": []}


def parameters(call: str, given: dict[str, Any]) -> dict[str, Any]:
    """Parameters as the SDK takes them."""
    taken: dict[str, Any] = {}
    for name, value in given.items():
        if (call, name) in ENUMS and isinstance(value, str):
            enum = ENUMS[call, name]
            value = enum(value.removeprefix(enum.prefix()))  # noqa: PLW2901
        elif name in TIMES and isinstance(value, str):
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))  # noqa: PLW2901
        elif name == "request_context":
            value = nodkey.RequestContext(**value)  # noqa: PLW2901
        taken[RENAMED.get(name, name)] = value
    return taken


def method(client: AsyncNodkey | Nodkey, call: str) -> Callable[..., Any]:
    """The method of that name."""
    resource, _, name = call.partition(".")
    found: Callable[..., Any] | None = getattr(getattr(client, resource, None), name, None)
    if found is None:
        raise ValueError(f"there is no call {call}")
    return found


def written(value: Any) -> dict[str, Any]:
    """What a method returned, as the runner reads it."""
    if value is None:
        return {}
    if isinstance(value, int):
        return {"count": str(value)}
    return {"items": proto(value)} if isinstance(value, tuple) else proto(value)


async def run(client: AsyncNodkey, call: str, given: dict[str, Any]) -> dict[str, Any]:
    """Makes a call by the asynchronous client."""
    limit = given.pop("limit", None)
    found = method(client, call)(**parameters(call, given))
    if inspect.isawaitable(found):
        return written(await found)
    items: list[Any] = []
    iterator: AsyncIterator[Any] = found
    async with contextlib.aclosing(iterator):  # type: ignore[type-var]
        async for item in iterator:
            items.append(proto(item))
            if len(items) == limit:
                break
    return {"items": items}


def run_blocking(client: Nodkey, call: str, given: dict[str, Any]) -> dict[str, Any]:
    """Makes a call by the client that blocks."""
    limit = given.pop("limit", None)
    found = method(client, call)(**parameters(call, given))
    if isinstance(found, tuple) or not isinstance(found, Iterable):
        return written(found)
    items: list[Any] = []
    for item in found:
        items.append(proto(item))
        if len(items) == limit:
            break
    return {"items": items}


class Program:
    """Answers commands in any order, each once."""

    def __init__(self, *, blocking: bool) -> None:
        self._blocking = blocking
        self._tasks: dict[Any, asyncio.Task[None]] = {}
        self._client: AsyncNodkey | None = None
        self._shared: Nodkey | None = None

    async def read(self) -> None:
        """Reads commands up to the end of the input."""
        loop = asyncio.get_running_loop()
        # Each call that blocks has a thread, whatever the number of cores.
        loop.set_default_executor(ThreadPoolExecutor(256))
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            command = json.loads(line)
            if "cancel" in command:
                if task := self._tasks.get(command["cancel"]):
                    task.cancel()
                self._reply(command["id"], result={})
            else:
                self._tasks[command["id"]] = asyncio.create_task(self._answer(command))
        for task in self._tasks.values():
            task.cancel()
        if self._client is not None:
            await self._client.close()
        if self._shared is not None:
            self._shared.close()

    async def _answer(self, command: dict[str, Any]) -> None:
        call, given = command["call"], command.get("params", {})
        try:
            if call in FUNCTIONS:
                result = FUNCTIONS[call](given)
            elif self._blocking:
                result = await self._in_a_thread(call, given)
            else:
                self._client = self._client or AsyncNodkey()
                result = await run(self._client, call, given)
            self._reply(command["id"], result=result)
        except (Exception, asyncio.CancelledError) as caught:  # noqa: BLE001
            self._reply(command["id"], error=error(caught))

    async def _in_a_thread(self, call: str, given: dict[str, Any]) -> dict[str, Any]:
        """What waits has a client of its own: to close it is how another thread cancels that."""
        has_its_own = call in ("trusonafications.wait", "trusonafications.watch")
        client = Nodkey() if has_its_own else self._shared or Nodkey()
        self._shared = self._shared if has_its_own else client
        is_over = has_its_own
        try:
            return await asyncio.to_thread(run_blocking, client, call, given)
        except asyncio.CancelledError:
            is_over = True
            raise
        finally:
            if is_over:
                self._shared = None if self._shared is client else self._shared
                client.close()

    @staticmethod
    def _reply(identifier: Any, **outcome: Any) -> None:
        print(json.dumps({"id": identifier, **outcome}), flush=True)


if __name__ == "__main__":
    asyncio.run(Program(blocking="--blocking" in sys.argv[1:]).read())
