"""The client."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from random import Random, SystemRandom
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from nodkey._async.core import AsyncCore
from nodkey._async.resources import (
    AsyncBindings,
    AsyncCodes,
    AsyncDeliveries,
    AsyncDevices,
    AsyncDocuments,
    AsyncEndpoints,
    AsyncKeys,
    AsyncTrusonafications,
    AsyncUsers,
)
from nodkey._evidence import Evidence, Expected, VerifiedEvidence, verify_evidence
from nodkey._identifiers import DeviceClaims, verify_device_identifier
from nodkey._jws import Jwks
from nodkey._receipts import ReceiptClaims, ResultClaims, verify_receipt, verify_result
from nodkey._retry import ATTEMPT_SECONDS
from nodkey._settings import settings_of
from nodkey._verification import VerificationError
from nodkey._webhooks import WebhookNotice, WebhookResult, verify_webhook

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class AsyncNodkey:
    """A client of a Nodkey deployment, for backends.

    Make one and keep it: it connects on first use, and again when the connection is lost. Every call is repeated when the server cannot be
    reached, at most three times in all, and has no second effect. What is refused raises :class:`NodkeyError`.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        secret: str | None = None,
        *,
        audience: str | None = None,
        ca_certificate: bytes | str | os.PathLike[str] | None = None,
        timeout: float = ATTEMPT_SECONDS,
        clock: Callable[[], float] = time.time,
        random: Random | None = None,
    ) -> None:
        """Makes a client; what is not given comes from the environment.

        Args:
            url: The public URL of the deployment, such as `https://auth.example.com`; `NODKEY_URL`.
            token: The token of your server credential; `NODKEY_TOKEN`.
            secret: The secret that was shown with it; `NODKEY_SECRET`. It is never sent.
            audience: The audience of the deployment; `NODKEY_AUDIENCE`, or `nodkey`.
            ca_certificate: The only authority to trust for https, as PEM (bytes) or as the name of its file; `NODKEY_CA_CERTIFICATE`,
                or those that come with grpcio.
            timeout: Seconds that each attempt of a call may take.
            clock: Returns the seconds since 1970; for tests.
            random: Makes request ids and pauses; for tests.

        Raises:
            NodkeyError: `INVALID_URL` or `INVALID_CREDENTIAL`.
            OSError: The file of the authority cannot be read.
        """
        settings = settings_of(
            url=url,
            token=token,
            secret=secret,
            audience=audience,
            ca_certificate=ca_certificate,
            timeout=timeout,
            clock=clock,
            random=random or SystemRandom(),
        )
        self._core = AsyncCore(settings)
        self._clock = clock
        #: Which devices belong to which users.
        self.bindings = AsyncBindings(self._core)
        #: Secure QR codes.
        self.codes = AsyncCodes(self._core)
        #: Deliveries of webhooks.
        self.deliveries = AsyncDeliveries(self._core)
        #: Devices.
        self.devices = AsyncDevices(self._core)
        #: Hashes of identity documents.
        self.documents = AsyncDocuments(self._core)
        #: Webhook endpoints.
        self.endpoints = AsyncEndpoints(self._core)
        #: The public keys of the deployment.
        self.jwks = AsyncKeys(self._core)
        #: Requests to people, and their outcomes.
        self.trusonafications = AsyncTrusonafications(self._core)
        #: Users.
        self.users = AsyncUsers(self._core)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._core.settings.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection. Calls that are in progress raise NodkeyError: `CANCELLED`."""
        await self._core.channel.close()

    async def verify_evidence(self, evidence: Evidence | dict[str, Any], expected: Expected | None = None) -> VerifiedEvidence:
        """Verifies evidence with the keys of the deployment; `verify_evidence` does it without a connection.

        Raises:
            EvidenceError: It is not genuine, not proven, or not what was expected.
            NodkeyError: The keys cannot be fetched.
        """
        return await self._verify(lambda jwks: verify_evidence(evidence, jwks, expected, now=self._clock()))

    async def verify_webhook(
        self, headers: Mapping[str, str], body: bytes, *, key: str, relying_party: str
    ) -> WebhookResult | WebhookNotice:
        """Verifies a request to a webhook endpoint with the keys of the deployment; see `nodkey.verify_webhook`.

        Args:
            headers: The headers of the request.
            body: The exact bytes of the body.
            key: The secret of the endpoint (`whsec_`), or its public key (`whpk_`).
            relying_party: UUID of your relying party.

        Raises:
            WebhookError: The request must not be acted upon.
            NodkeyError: The keys cannot be fetched. Respond with 503, and it is delivered again.
        """
        now = self._clock()
        return await self._verify(lambda jwks: verify_webhook(headers, body, key=key, jwks=jwks, relying_party=relying_party, now=now))

    async def verify_result(self, jwt: str, *, issuer: str, relying_party: str) -> ResultClaims:
        """Verifies what a `callback_url` received with the keys of the deployment; see `nodkey.verify_result`."""
        return await self._verify(lambda jwks: verify_result(jwt, jwks, issuer=issuer, relying_party=relying_party))

    async def verify_receipt(self, receipt: str) -> ReceiptClaims:
        """Verifies a receipt with the keys of the deployment; see `nodkey.verify_receipt`."""
        return await self._verify(lambda jwks: verify_receipt(receipt, jwks))

    async def verify_device_identifier(self, jwt: str, *, issuer: str, relying_party: str) -> DeviceClaims:
        """Verifies what your app handed over with the keys of the deployment; see `nodkey.verify_device_identifier`."""
        now = self._clock()
        return await self._verify(lambda jwks: verify_device_identifier(jwt, jwks, issuer=issuer, relying_party=relying_party, now=now))

    async def _verify(self, verify: Callable[[Jwks], T]) -> T:
        """Verifies with the cached keys, and with fresh ones, once, if a key is missing."""
        try:
            return verify(await self.jwks.get())
        except VerificationError as error:
            if not error.is_unknown_key:
                raise
        return verify(await self.jwks.get(refresh=True))
