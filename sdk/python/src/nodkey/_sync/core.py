# Made by scripts/generate_sync.py from _async/core.py: change that.
"""Sending calls: attempts, pages, waits, and the cache of keys."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Generator
from contextlib import closing
from copy import copy
from typing import TypeVar

from nodkey import _calls as calls
from nodkey._sync.channel import Channel
from nodkey._calls import Call, Listing
from nodkey._errors import AttemptFailed, NodkeyError
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
        #: The keys that were fetched last, and the failure of the last fetch, if it failed; each with the time when it was asked for.
        self._keys: tuple[float, Jwks] | None = None
        self._failed: tuple[float, NodkeyError] | None = None
        self._fetching = threading.Lock()

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

    def pages(self, listing: Listing[T]) -> Generator[T, None, None]:
        """All items of a list, page by page, as they are needed."""
        token = ""
        while True:
            items, token = self.call(listing.page(token))
            for item in items:
                yield item
            if not token:
                return

    def watch(self, call: Call[Trusonafication], seconds: float) -> Generator[Trusonafication, None, None]:
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
        """The deployment's keys, from the cache if they are young enough. Those that ask together ask the deployment once."""
        asked = self.monotonic()
        since = asked if refresh else asked - _KEYS_SECONDS
        if not refresh and (keys := self._cached(since)) is not None:
            return keys
        with self._fetching:
            # Somebody else may have fetched them meanwhile, or tried.
            if self._failed is not None and self._failed[0] >= asked:
                raise copy(self._failed[1])
            if (keys := self._cached(since)) is not None:
                return keys
            began = self.monotonic()
            try:
                keys = self.call(calls.get_jwks())
            except NodkeyError as error:
                self._failed = self.monotonic(), error
                raise
            self._keys, self._failed = (began, keys), None
            return keys

    def _cached(self, since: float) -> Jwks | None:
        """The keys, if they are not older than that."""
        return self._keys[1] if self._keys is not None and self._keys[0] >= since else None
