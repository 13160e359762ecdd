"""The connection of the client that blocks: one attempt of a call, one stream, one pause."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from nodkey._errors import AttemptFailed, client_closed, failure_of
from nodkey._settings import Settings

M = TypeVar("M", bound=Message)


#: How many streams a connection has at most. Servers take 100 calls on each and hold up the others, so this leaves room for short ones.
_MOST_STREAMS = 80


class _Connection:
    """A channel of gRPC, how many calls use it, and how many of them are streams."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.uses = 0
        self.streams = 0


class Channel:
    """Connections, made when they are needed, and again when they are lost: one, and more for many streams. Threads may share it.

    As with the asynchronous one, the attempt after one that found nobody has a new channel.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        #: Guards what follows.
        self._lock = threading.Lock()
        #: Those for new calls. The first stays open when nothing uses it.
        self._usable: list[_Connection] = []
        self._connections: set[_Connection] = set()
        self._closed = threading.Event()

    def attempt(self, method: str, request: Message, response: type[M], seconds: float) -> M:
        """Sends a request once. Raises AttemptFailed."""
        with self._connected(is_stream=False) as channel:
            send = channel.unary_unary(method, type(request).SerializeToString, response.FromString)
            answer: M = send(request, timeout=seconds, metadata=self._settings.metadata())
            return answer

    def stream(self, method: str, request: Message, response: type[M], seconds: float) -> Generator[M, None, None]:
        """Sends a request that is answered by a stream. Raises AttemptFailed. To leave it early cancels it."""
        with self._connected(is_stream=True) as channel:
            send = channel.unary_stream(method, type(request).SerializeToString, response.FromString)
            call = send(request, timeout=seconds, metadata=self._settings.metadata())
            try:
                yield from call
            finally:
                call.cancel()

    def pause(self, seconds: float) -> None:
        """Waits before the next attempt, unless the client is closed meanwhile."""
        self._closed.wait(seconds)

    def close(self) -> None:
        """Ends the connection, and the calls that are in progress in other threads."""
        with self._lock:
            self._closed.set()
            connections = tuple(self._connections)
        for connection in connections:
            connection.channel.close()

    @contextmanager
    def _connected(self, *, is_stream: bool) -> Generator[grpc.Channel, None, None]:
        """A channel to use for one call, whose errors it translates."""
        with self._lock:
            if self._closed.is_set():
                raise client_closed()
            free = [connection for connection in self._usable if not is_stream or connection.streams < _MOST_STREAMS]
            connection = min(free, key=lambda connection: connection.streams) if free else self._connect()
            connection.uses += 1
            connection.streams += is_stream
        try:
            yield connection.channel
        except (grpc.RpcError, ValueError) as error:
            raise self._failed(error, connection, is_stream=is_stream) from None
        finally:
            with self._lock:
                connection.uses -= 1
                connection.streams -= is_stream
                is_over = connection.uses == 0 and connection not in self._usable[:1]
                if is_over:
                    self._connections.discard(connection)
                    self._give_up(connection)
            if is_over:
                connection.channel.close()

    def _connect(self) -> _Connection:
        settings = self._settings
        if settings.is_secure:
            credentials = grpc.ssl_channel_credentials(settings.authority)
            channel = grpc.secure_channel(settings.target, credentials, settings.options)
        else:
            channel = grpc.insecure_channel(settings.target, settings.options)
        connection = _Connection(channel)
        self._usable.append(connection)
        self._connections.add(connection)
        return connection

    def _give_up(self, connection: _Connection) -> None:
        """Takes no new call on a connection."""
        if connection in self._usable:
            self._usable.remove(connection)

    def _failed(self, error: Exception, connection: _Connection, *, is_stream: bool) -> Exception:
        # A channel that is closed at this moment says so by ValueError.
        if self._closed.is_set():
            return client_closed()
        if not isinstance(error, grpc.Call):
            return error
        failure = failure_of(error.code(), error.details(), error.trailing_metadata() or (), self._settings.url)
        # That the time of a stream is over says nothing about its connection.
        is_over = is_stream and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        if failure.is_of_connection and not is_over:
            with self._lock:
                self._give_up(connection)
        return AttemptFailed(failure)
