"""A server on a real socket that answers as it is told, and remembers what it was asked. And the two clients, driven in one way."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import Any

import grpc
from google.protobuf import any_pb2, descriptor_pool, duration_pb2, message_factory
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from nodkey import AsyncNodkey, Nodkey
from nodkey._keys import b64u

TOKEN = f"e30.{b64u(json.dumps({'jti': 'the-credential'}).encode())}.c2ln"
SECRET = "the secret that nobody may see"


class Still(Random):
    """Randomness without pauses: what is drawn is always 0, and ids are those of a seed."""

    def random(self) -> float:
        return 0.0


@dataclass
class Refusal:
    """A status with details of google.rpc."""

    code: grpc.StatusCode
    reason: str | None = None
    kind: str | None = None
    message: str = "refused"
    retry_after: float | None = None
    fields: dict[str, str] = field(default_factory=dict)

    def details(self) -> bytes:
        details: list[Message] = []
        if self.reason is not None:
            metadata = {} if self.kind is None else {"kind": self.kind}
            details.append(error_details_pb2.ErrorInfo(reason=self.reason, domain="nodkey", metadata=metadata))
        if self.retry_after is not None:
            delay = duration_pb2.Duration()
            delay.FromMilliseconds(int(self.retry_after * 1000))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        if self.fields:
            violation = error_details_pb2.BadRequest.FieldViolation
            violations = [violation(field=name, description=wrong) for name, wrong in self.fields.items()]
            details.append(error_details_pb2.BadRequest(field_violations=violations))
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        for detail in details:
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        return bytes(status.SerializeToString())


@dataclass
class Asked:
    """A request that arrived."""

    method: str
    request: Any
    metadata: dict[str, str]
    seconds: float | None
    peer: str


#: A message, a refusal, or an event: nothing is answered before it is set, which stopping does.
Answer = Message | Refusal | threading.Event


class FakeServer(grpc.GenericRpcHandler):
    """Answers each method with what was given for it in turn; the last answer stays."""

    def __init__(self, *, credentials: grpc.ServerCredentials | None = None) -> None:
        self.answers: defaultdict[str, deque[list[Answer]]] = defaultdict(deque)
        self.asked: list[Asked] = []
        #: Set when a request is over, for whatever reason. What waits for an event is over when its caller leaves.
        self.ended = threading.Event()
        self.arrived = threading.Semaphore(0)
        self._credentials = credentials
        self._held: list[threading.Event] = []
        self.port = 0
        self.start()

    def start(self) -> None:
        """Starts, at the same address as before if there was one."""
        self._server = grpc.server(ThreadPoolExecutor(8), handlers=[self], options=[("grpc.so_reuseport", 0)])
        address = f"127.0.0.1:{self.port}"
        if self._credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, self._credentials)
        self._server.start()

    def stop(self) -> None:
        """Ends every connection."""
        ended = self._server.stop(None)
        for event in self._held:
            event.set()
        ended.wait()

    @property
    def url(self) -> str:
        return f"{'http' if self._credentials is None else 'https'}://127.0.0.1:{self.port}"

    def answer(self, method: str, *answers: Answer) -> None:
        """One more answer of the method of that name; a stream may have several parts."""
        self.answers[method].append(list(answers))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        _, service, name = handler_call_details.method.split("/")
        method = descriptor_pool.Default().FindMethodByName(f"{service}.{name}")
        read = message_factory.GetMessageClass(method.input_type).FromString

        def parts(request: Any, context: grpc.ServicerContext) -> Iterator[Message]:
            metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
            self.asked.append(Asked(name, request, metadata, context.time_remaining(), context.peer()))
            context.add_callback(self.ended.set)
            self.arrived.release()
            queue = self.answers[name]
            for part in queue.popleft() if len(queue) > 1 else queue[0]:
                yield from self._part(part, context)

        def unary(request: Any, context: grpc.ServicerContext) -> Message:
            return next(parts(request, context))

        def write(message: Message) -> bytes:
            return message.SerializeToString()

        if name.startswith("Watch"):
            return grpc.unary_stream_rpc_method_handler(parts, read, write)
        return grpc.unary_unary_rpc_method_handler(unary, read, write)

    def _part(self, part: Answer, context: grpc.ServicerContext) -> Iterator[Message]:
        if isinstance(part, Refusal):
            context.set_trailing_metadata((("grpc-status-details-bin", part.details()),))
            context.abort(part.code, part.message)
        elif isinstance(part, threading.Event):
            self._held.append(part)
            part.wait()
            context.abort(grpc.StatusCode.ABORTED, "nobody waits for this any more")
        else:
            yield part


class Driver:
    """A client of either kind. What it does is written for one that blocks, and awaited."""

    def __init__(self, client: Nodkey | AsyncNodkey) -> None:
        self.client: Any = client

    async def call(self, use: Callable[[Any], Any]) -> Any:
        """Makes a call."""
        if isinstance(self.client, Nodkey):
            return await asyncio.to_thread(use, self.client)
        answer: Awaitable[Any] = use(self.client)
        return await answer

    async def items(self, use: Callable[[Any], Any], limit: int | None = None) -> list[Any]:
        """The items of a list or a stream, up to a number of them."""
        items: list[Any] = []
        if isinstance(self.client, Nodkey):
            iterator = use(self.client)
            while len(items) != limit and (item := await asyncio.to_thread(next, iterator, None)) is not None:
                items.append(item)
            iterator.close()
            return items
        iterator = use(self.client)
        async for item in iterator:
            items.append(item)
            if len(items) == limit:
                break
        await iterator.aclose()
        return items

    async def close(self) -> None:
        await self.call(lambda client: client.close())
