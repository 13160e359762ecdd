"""The connection of the asynchronous client: one attempt of a call, one stream, one pause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from nodkey._errors import AttemptFailed, client_closed, failure_of
from nodkey._settings import Settings

M = TypeVar("M", bound=Message)


#: How many streams a connection has at most. Servers take 100 calls on each and hold up the others, so this leaves room for short ones.
_MOST_STREAMS = 80


class _Connection:
    """A channel of gRPC, how many calls use it, and how many of them are streams."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.uses = 0
        self.streams = 0


class AsyncChannel:
    """Connections, made when they are needed, and again when they are lost: one, and more for many streams.

    They belong to the event loop of their first use.

    A channel of gRPC fails what is sent while it pauses before it reconnects, so an attempt made meanwhile would be none. Here the attempt
    after one that found nobody has a new channel, and the old one is closed when the last call is off it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        #: Those for new calls. The first stays open when nothing uses it.
        self._usable: list[_Connection] = []
        self._connections: set[_Connection] = set()
        self._closed = False

    async def attempt(self, method: str, request: Message, response: type[M], seconds: float) -> M:
        """Sends a request once. Raises AttemptFailed."""
        async with self._connected(is_stream=False) as channel:
            send = channel.unary_unary(method, type(request).SerializeToString, response.FromString)
            answer: M = await send(request, timeout=seconds, metadata=self._settings.metadata())
            return answer

    async def stream(self, method: str, request: Message, response: type[M], seconds: float) -> AsyncGenerator[M, None]:
        """Sends a request that is answered by a stream. Raises AttemptFailed. To leave it early cancels it."""
        async with self._connected(is_stream=True) as channel:
            send = channel.unary_stream(method, type(request).SerializeToString, response.FromString)
            call = send(request, timeout=seconds, metadata=self._settings.metadata())
            try:
                async for message in call:
                    yield message
            finally:
                call.cancel()

    async def pause(self, seconds: float) -> None:
        """Waits before the next attempt."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Ends the connection, and the calls that are in progress."""
        self._closed = True
        for connection in tuple(self._connections):
            await connection.channel.close()

    @asynccontextmanager
    async def _connected(self, *, is_stream: bool) -> AsyncGenerator[grpc.aio.Channel, None]:
        """A channel to use for one call, whose errors it translates."""
        if self._closed:
            raise client_closed()
        free = [connection for connection in self._usable if not is_stream or connection.streams < _MOST_STREAMS]
        connection = min(free, key=lambda connection: connection.streams) if free else self._connect()
        connection.uses += 1
        connection.streams += is_stream
        try:
            yield connection.channel
        except grpc.aio.AioRpcError as error:
            trailers: Iterable[tuple[str, str | bytes]] = error.trailing_metadata() or ()
            failure = failure_of(error.code(), error.details(), trailers, self._settings.url)
            # That the time of a stream is over says nothing about its connection.
            is_over = is_stream and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            if failure.is_of_connection and not is_over and connection in self._usable:
                self._usable.remove(connection)
            raise AttemptFailed(failure) from None
        except asyncio.CancelledError:
            self._refuse_if_closed()
            raise
        finally:
            connection.uses -= 1
            connection.streams -= is_stream
            if connection.uses == 0 and connection not in self._usable[:1]:
                self._connections.discard(connection)
                if connection in self._usable:
                    self._usable.remove(connection)
                await connection.channel.close()

    def _connect(self) -> _Connection:
        settings = self._settings
        if settings.is_secure:
            credentials = grpc.ssl_channel_credentials(settings.authority)
            channel = grpc.aio.secure_channel(settings.target, credentials, settings.options)
        else:
            channel = grpc.aio.insecure_channel(settings.target, settings.options)
        connection = _Connection(channel)
        self._usable.append(connection)
        self._connections.add(connection)
        return connection

    def _refuse_if_closed(self) -> None:
        """Calls that end because the client was closed look cancelled. Nobody cancelled their task."""
        task = asyncio.current_task()
        is_cancelled = task is not None and getattr(task, "cancelling", int)() > 0
        if self._closed and not is_cancelled:
            raise client_closed() from None
