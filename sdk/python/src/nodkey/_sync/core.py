# Made by scripts/generate_sync.py from _async/core.py: change that.
"""Sending calls: attempts, pages, waits, and the cache of keys."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import TypeVar

from nodkey import _calls as calls
from nodkey._sync.channel import Channel
from nodkey._calls import Call, Listing
from nodkey._errors import AttemptFailed
from nodkey._jws import Jwks
from nodkey._models import Trusonafication
from nodkey._retry import Attempts, Patience
from nodkey._settings import Settings

T = TypeVar("T")

#: How old the cached keys may be, in seconds.
_KEYS_SECONDS = 300


class Core:
    """What the parts of a client share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.channel = Channel(settings)
        self.monotonic = time.monotonic
        self._keys: tuple[float, Jwks] | None = None

    def request_id(self, given: str | None) -> str:
        """The caller's, or a new one: once for each call, so that all of its attempts have the same."""
        return given or str(uuid.UUID(int=self.settings.random.getrandbits(128), version=4))

    def call(self, call: Call[T]) -> T:
        """Sends a call until it is answered, refused, or failed too often."""
        attempts = Attempts(self.settings.random.random)
        while True:
            try:
                return call.read(self.channel.attempt(call.method, call.request, call.response, self.settings.timeout))
            except AttemptFailed as error:
                pause = attempts.failed(error.failure)
            self.channel.pause(pause)

    def pages(self, listing: Listing[T]) -> Iterator[T]:
        """All items of a list, page by page, as they are needed."""
        token = ""
        while True:
            items, token = self.call(listing.page(token))
            for item in items:
                yield item
            if not token:
                return

    def watch(self, call: Call[Trusonafication], seconds: float) -> Iterator[Trusonafication]:
        """Each new state of a trusonafication up to its end, over any number of streams."""
        patience, seen = Patience(seconds, self.monotonic, self.settings.random.random), 0
        while True:
            failure, ended = None, False
            stream = self.channel.stream(call.method, call.request, call.response, patience.remaining())
            try:
                with closing(stream):
                    # Up to the end of the stream: servers count calls that are abandoned.
                    for message in stream:
                        patience.succeeded()
                        state = call.read(message)
                        ended = ended or state.is_terminal
                        if state.version > seen:
                            seen = state.version
                            yield state
            except AttemptFailed as error:
                failure = error.failure
            if ended:
                return
            self.channel.pause(patience.failed(failure))

    def keys(self, *, refresh: bool) -> Jwks:
        """The deployment's keys, from the cache if they are young enough."""
        now = self.monotonic()
        if refresh or self._keys is None or now - self._keys[0] > _KEYS_SECONDS:
            self._keys = now, self.call(calls.get_jwks())
        return self._keys[1]
