"""The connection of the asynchronous client: one attempt of a call, one stream, one pause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from nodkey._errors import AttemptFailed, client_closed, failure_of
from nodkey._settings import Settings

M = TypeVar("M", bound=Message)


class AsyncChannel:
    """A connection that is made on first use, and again when it is lost. It belongs to the event loop of its first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._channel: grpc.aio.Channel | None = None
        self._closed = False

    async def attempt(self, method: str, request: Message, response: type[M], seconds: float) -> M:
        """Sends a request once. Raises AttemptFailed."""
        send = self._open().unary_unary(method, type(request).SerializeToString, response.FromString)
        try:
            answer: M = await send(request, timeout=seconds, metadata=self._settings.metadata())
        except grpc.aio.AioRpcError as error:
            raise self._failed(error) from None
        except asyncio.CancelledError:
            self._refuse_if_closed()
            raise
        return answer

    async def stream(self, method: str, request: Message, response: type[M], seconds: float) -> AsyncGenerator[M, None]:
        """Sends a request that is answered by a stream. Raises AttemptFailed. To leave it early cancels it."""
        send = self._open().unary_stream(method, type(request).SerializeToString, response.FromString)
        call = send(request, timeout=seconds, metadata=self._settings.metadata())
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as error:
            raise self._failed(error) from None
        except asyncio.CancelledError:
            self._refuse_if_closed()
            raise
        finally:
            call.cancel()

    async def pause(self, seconds: float) -> None:
        """Waits before the next attempt."""
        await asyncio.sleep(seconds)
        self._open()

    async def close(self) -> None:
        """Ends the connection, and the calls that are in progress."""
        self._closed = True
        if self._channel is not None:
            await self._channel.close()

    def _open(self) -> grpc.aio.Channel:
        if self._closed:
            raise client_closed()
        if self._channel is None:
            settings = self._settings
            if settings.is_secure:
                credentials = grpc.ssl_channel_credentials(settings.authority)
                self._channel = grpc.aio.secure_channel(settings.target, credentials, settings.options)
            else:
                self._channel = grpc.aio.insecure_channel(settings.target, settings.options)
        return self._channel

    def _failed(self, error: grpc.aio.AioRpcError) -> AttemptFailed:
        trailers: Iterable[tuple[str, str | bytes]] = error.trailing_metadata() or ()
        return AttemptFailed(failure_of(error.code(), error.details(), trailers, self._settings.url))

    def _refuse_if_closed(self) -> None:
        """Calls that end because the client was closed look cancelled. Nobody cancelled their task."""
        task = asyncio.current_task()
        is_cancelled = task is not None and getattr(task, "cancelling", int)() > 0
        if self._closed and not is_cancelled:
            raise client_closed() from None
