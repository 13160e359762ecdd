"""The connection of the client that blocks: one attempt of a call, one stream, one pause."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from nodkey._errors import AttemptFailed, client_closed, failure_of
from nodkey._settings import Settings

M = TypeVar("M", bound=Message)


class Channel:
    """A connection that is made on first use, and again when it is lost. Threads may share it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._closed = threading.Event()

    def attempt(self, method: str, request: Message, response: type[M], seconds: float) -> M:
        """Sends a request once. Raises AttemptFailed."""
        send = self._open().unary_unary(method, type(request).SerializeToString, response.FromString)
        try:
            answer: M = send(request, timeout=seconds, metadata=self._settings.metadata())
        except (grpc.RpcError, ValueError) as error:
            raise self._failed(error) from None
        return answer

    def stream(self, method: str, request: Message, response: type[M], seconds: float) -> Generator[M, None, None]:
        """Sends a request that is answered by a stream. Raises AttemptFailed. To leave it early cancels it."""
        send = self._open().unary_stream(method, type(request).SerializeToString, response.FromString)
        call = None
        try:
            call = send(request, timeout=seconds, metadata=self._settings.metadata())
            yield from call
        except (grpc.RpcError, ValueError) as error:
            raise self._failed(error) from None
        finally:
            if call is not None:
                call.cancel()

    def pause(self, seconds: float) -> None:
        """Waits before the next attempt, unless the client is closed meanwhile."""
        self._closed.wait(seconds)
        self._open()

    def close(self) -> None:
        """Ends the connection, and the calls that are in progress in other threads."""
        with self._lock:
            self._closed.set()
            if self._channel is not None:
                self._channel.close()

    def _open(self) -> grpc.Channel:
        with self._lock:
            if self._closed.is_set():
                raise client_closed()
            if self._channel is None:
                settings = self._settings
                if settings.is_secure:
                    credentials = grpc.ssl_channel_credentials(settings.authority)
                    self._channel = grpc.secure_channel(settings.target, credentials, settings.options)
                else:
                    self._channel = grpc.insecure_channel(settings.target, settings.options)
            return self._channel

    def _failed(self, error: Exception) -> AttemptFailed:
        # A channel that is closed at this moment says so by ValueError.
        if self._closed.is_set():
            raise client_closed() from None
        if not isinstance(error, grpc.Call):
            raise error
        trailers = error.trailing_metadata() or ()
        return AttemptFailed(failure_of(error.code(), error.details(), trailers, self._settings.url))
