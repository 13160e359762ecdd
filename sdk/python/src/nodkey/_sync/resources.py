# Made by scripts/generate_sync.py from _async/resources.py: change that.
"""The calls of a client, by what they are about."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from datetime import datetime
from typing import Any

from nodkey import _calls as calls
from nodkey._sync.core import Core
from nodkey._enums import BindingState, DeliveryState, DocumentType, NumberMatch, Status
from nodkey._evidence import Evidence
from nodkey._jws import Jwks
from nodkey._models import (
    Binding,
    CreatedTrusonafication,
    DeactivatedUser,
    Delivery,
    Device,
    Endpoint,
    EndpointWithSecret,
    IdentityDocument,
    Pairing,
    RequestContext,
    Trusonafication,
    User,
)
from nodkey._retry import WAIT_SECONDS


class _Resource:
    def __init__(self, core: Core) -> None:
        self._core = core


class Bindings(_Resource):
    """Which devices belong to which users. Every method raises NodkeyError."""

    def create(self, *, user: str, device: str, request_id: str | None = None) -> Binding:
        """Binds a device to a user, inactive. The id of the binding is its activation code.

        Args:
            user: Your own name for the user: 1 to 255 characters, case-sensitive.
            device: Device identifier, as your app handed it over; see `verify_device_identifier`.
            request_id: The same id and content within 24 hours has no second effect. Made for you if not given.

        Raises:
            NodkeyError: `DEVICE_NOT_FOUND`, `DEVICE_RETIRED`, `DEVICE_ALREADY_BOUND`, `TOO_MANY_DEVICES` and so on.
        """
        return self._core.call(calls.create_binding(user, device, self._core.request_id(request_id)))

    def activate(self, id: str) -> Binding:
        """Activates a binding: from now on the user can be prompted, and log in.

        First make sure, by your own means, that whoever holds the phone is that user.
        """
        return self._core.call(calls.activate_binding(id))

    def deactivate(self, id: str) -> Binding:
        """Ends a binding, permanently."""
        return self._core.call(calls.deactivate_binding(id))

    def get(self, id: str) -> Binding:
        """Returns a binding."""
        return self._core.call(calls.get_binding(id))

    def for_device(self, device: str) -> Binding:
        """Returns the binding of a device that has not ended; NOT_FOUND if there is none."""
        return self._core.call(calls.get_device_binding(device))

    def list(
        self, *, user: str | None = None, state: BindingState | None = None, page_size: int | None = None
    ) -> Generator[Binding, None, None]:
        """All bindings, newest first, those that have ended included.

        Args:
            user: Only this user's.
            state: Only those in this state.
            page_size: How many are requested at a time: at most 500; 50 if not given.
        """
        return self._core.pages(calls.list_bindings(user, state, page_size))


class Users(_Resource):
    """Users, by the names that you give them. Every method raises NodkeyError."""

    def get(self, user: str) -> User:
        """Returns a user who has a device bound, or is frozen; NOT_FOUND otherwise."""
        return self._core.call(calls.get_user(user))

    def list(self, *, prefix: str | None = None, page_size: int | None = None) -> Generator[User, None, None]:
        """All users who were ever bound, in the byte order of their identifiers.

        Args:
            prefix: The beginning of their identifiers, case-sensitive.
            page_size: How many are requested at a time: at most 500; 50 if not given.
        """
        return self._core.pages(calls.list_users(prefix, page_size))

    def devices(self, user: str) -> tuple[Binding, ...]:
        """Returns the bindings of a user that have not ended, oldest first: at most 100. Empty for an unknown user."""
        return self._core.call(calls.list_user_devices(user))

    def freeze(self, user: str, *, note: str = "") -> User:
        """Freezes a user: nobody can prompt them, and none of their devices can respond, until they are released.

        Args:
            user: Your own name for the user.
            note: Why, for people: at most 200 characters.
        """
        return self._core.call(calls.freeze_user(user, note))

    def release(self, user: str) -> User:
        """Releases a frozen user: everything is as before. First make sure that they, and nobody else, have their phones."""
        return self._core.call(calls.release_user(user))

    def deactivate(self, user: str) -> DeactivatedUser:
        """Ends every binding of a user and retires the devices.

        If the answer is lost, its repetition raises `NOT_FOUND`: then there is nobody left to deactivate.
        """
        return self._core.call(calls.deactivate_user(user))


class Trusonafications(_Resource):
    """Requests to people, and their outcomes. Every method raises NodkeyError."""

    def create(
        self,
        *,
        action: str,
        resource: str,
        user: str | None = None,
        device: str | None = None,
        code: str | None = None,
        level: int | None = None,
        prompt: bool | None = None,
        user_presence: bool | None = None,
        show_identity_document: bool | None = None,
        expires_at: datetime | None = None,
        custom_fields: Mapping[str, Any] | None = None,
        custom_fields_json: str | None = None,
        callback_url: str | None = None,
        number_match: NumberMatch | None = None,
        context: str | None = None,
        request_context: RequestContext | None = None,
        shows_number: bool = True,
        request_id: str | None = None,
    ) -> CreatedTrusonafication:
        """Sends a request to the phones of a user, to one device, or to the device that scanned a secure QR code.

        Args:
            action: Shown to the person, such as `log in`: 1 to 255 characters, none of them invisible.
            resource: Shown to the person, such as `Acme Bank`: as `action`.
            user: Your own name for the user. Exactly one of `user`, `device` and `code` has to be given.
            device: Device identifier of a device with an active binding.
            code: UUID of a secure QR code, which is valid for one request. Somebody may still have to scan it.
            level: 1 (the phone), 2 (the phone and the person's presence; the default) or 3 (and an identity document).
            prompt: Whether the phone shows it. False has no effect unless an operator allowed it.
            user_presence: Whether presence has to be proven; true if not given, except at level 1.
            show_identity_document: Whether a document has to be presented; true if not given at level 3 only.
            expires_at: At most 24 hours ahead, with a time zone; two minutes from now if not given.
            custom_fields: Your own fields, shown and signed: at most 1 MB as JSON. Whole numbers are exact, others are floats.
            custom_fields_json: The same as JSON text, shown and signed character by character.
            callback_url: Where the signed result is sent; see `verify_result`.
            number_match: Whether the person matches a number that your page shows.
            context: Your login session, at most 255 characters. A newer request of the same context replaces an older one.
            request_context: Where the request to you came from; the phone shows it.
            shows_number: Whether your page shows `match_number` whenever there is one. Then one may come that you did not ask for.
            request_id: The same id and content within 24 hours has no second effect. Made for you if not given.

        Raises:
            NodkeyError: `USER_NOT_FOUND`, `USER_HAS_NO_ACTIVE_DEVICE`, `USER_FROZEN`, `TRUCODE_USED`, `PROMPT_BUDGET_EXHAUSTED`,
                `PROMPTS_HELD` and so on (docs/errors.md).
        """
        call = calls.create_trusonafication(
            user=user,
            device=device,
            code=code,
            custom_fields=custom_fields,
            custom_fields_json=custom_fields_json,
            number_match=number_match,
            request_context=request_context,
            action=action,
            resource=resource,
            desired_level=level,
            prompt=prompt,
            user_presence=user_presence,
            show_identity_document=show_identity_document,
            expires_at=expires_at,
            callback_url=callback_url,
            context=context,
            shows_number=shows_number,
            request_id=self._core.request_id(request_id),
        )
        return self._core.call(call)

    def get(self, id: str) -> Trusonafication:
        """Returns a trusonafication as it is now."""
        return self._core.call(calls.get_trusonafication(id))

    def wait(self, id: str, *, timeout: float = WAIT_SECONDS) -> Trusonafication:
        """Returns a trusonafication once it has ended, whatever the end: look at `is_success`.

        A restart of the server, or a connection that breaks, does not end it.

        Args:
            id: UUID of the trusonafication.
            timeout: The most seconds to wait.

        Raises:
            NodkeyError: `DEADLINE_EXCEEDED` when the time is over; wait again if you like. `NOT_FOUND` and so on.
        """
        last: Trusonafication | None = None
        for state in self.watch(id, timeout=timeout):
            last = state
        if last is None:
            raise calls.unexpected_answer("the stream held no trusonafication")
        return last

    def watch(self, id: str, *, timeout: float = WAIT_SECONDS) -> Generator[Trusonafication, None, None]:
        """The current state immediately, then each change up to the end. Like `wait`, it outlives connections.

        Who leaves it before the end closes it (`with closing(…)`): until then the deployment goes on telling.

        Args:
            id: UUID of the trusonafication.
            timeout: The most seconds to watch.

        Raises:
            NodkeyError: As `wait`.
        """
        return self._core.watch(calls.watch_trusonafication(id), timeout)

    def cancel(self, id: str) -> Trusonafication:
        """Cancels a trusonafication that is in progress."""
        return self._core.call(calls.cancel_trusonafication(id))

    def list(
        self,
        *,
        status: Status | None = None,
        user: str | None = None,
        device: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        oldest_first: bool = False,
        page_size: int | None = None,
    ) -> Generator[Trusonafication, None, None]:
        """All trusonafications, newest first. Filters are combined.

        Args:
            status: Only those in this status.
            user: Only those of this user.
            device: Only those of this device.
            created_after: Only those created at this time or later.
            created_before: Only those created before this time.
            oldest_first: The oldest first instead.
            page_size: How many are requested at a time: at most 500; 50 if not given.
        """
        listing = calls.list_trusonafications(
            status=status,
            user=user,
            device=device,
            created_after=created_after,
            created_before=created_before,
            oldest_first=oldest_first,
            page_size=page_size,
        )
        return self._core.pages(listing)

    def evidence(self, id: str) -> Evidence:
        """Returns the evidence of an answered trusonafication; NOT_FOUND before. It proves nothing until it is verified."""
        return self._core.call(calls.get_evidence(id))


class Codes(_Resource):
    """Secure QR codes. Pages make them, and backends ask who scanned. Every method raises NodkeyError."""

    def pairing(self, id: str) -> Pairing:
        """Returns which device scanned a code; NOT_FOUND before."""
        return self._core.call(calls.get_pairing(id))


class Devices(_Resource):
    """Devices that registered with your relying party. Every method raises NodkeyError."""

    def get(self, device: str) -> Device:
        """Returns a device with its public keys."""
        return self._core.call(calls.get_device(device))

    def list(self, *, page_size: int | None = None) -> Generator[Device, None, None]:
        """All devices, newest first, retired ones included. `page_size` is how many are requested at a time: at most 500."""
        return self._core.pages(calls.list_devices(page_size))

    def approve_keys(self, device: str, thumbprints: Iterable[str]) -> Device:
        """Makes presence keys count that were added after the device was registered: 1 or 2 RFC 7638 thumbprints.

        First make sure that the device is still the user's.
        """
        return self._core.call(calls.approve_device_keys(device, thumbprints))

    def retire(self, device: str) -> Device:
        """Retires a device, permanently: its keys are revoked immediately."""
        return self._core.call(calls.retire_device(device))


class Documents(_Resource):
    """Hashes of identity documents, for level 3. Every method raises NodkeyError."""

    def register(self, *, device: str, hash: str, type: DocumentType = DocumentType.AAMVA_DRIVERS_LICENSE) -> IdentityDocument:
        """Makes a document of the user of a device count: accepts that present its hash are level 3 from then on.

        First verify by other means that it is the user's.

        Args:
            device: Device identifier; its binding has to be active.
            hash: The app's hash of the document: 1 to 255 characters, compared exactly.
            type: The type of document.
        """
        return self._core.call(calls.register_document(device, hash, type))

    def get(self, id: str) -> IdentityDocument:
        """Returns a document."""
        return self._core.call(calls.get_document(id))

    def list(self, *, user: str, counting: bool | None = None, page_size: int | None = None) -> Generator[IdentityDocument, None, None]:
        """All documents of a user, newest first; with `counting` only those that count. `page_size` is at most 500."""
        return self._core.pages(calls.list_documents(user, counting, page_size))


class Endpoints(_Resource):
    """Webhook endpoints: URLs of yours that are notified of events. Every method raises NodkeyError."""

    def create(self, url: str, *, event_types: Iterable[str] | None = None, request_id: str | None = None) -> EndpointWithSecret:
        """Adds an endpoint. Only this answer has its secret.

        Args:
            url: https URL of a public host.
            event_types: Such as `trusonafication.accepted` (docs/guides/webhooks.md); all if not given.
            request_id: The same id and content within 24 hours has no second effect. Made for you if not given.
        """
        return self._core.call(calls.create_endpoint(url, event_types, self._core.request_id(request_id)))

    def get(self, id: str) -> Endpoint:
        """Returns an endpoint."""
        return self._core.call(calls.get_endpoint(id))

    def list(self, *, page_size: int | None = None) -> Generator[Endpoint, None, None]:
        """All endpoints, newest first. `page_size` is how many are requested at a time: at most 500."""
        return self._core.pages(calls.list_endpoints(page_size))

    def update(
        self, id: str, *, url: str | None = None, event_types: Iterable[str] | None = None, enabled: bool | None = None
    ) -> Endpoint:
        """Changes what is given. `event_types` replaces the types, and empty is all; `enabled` true also forgets failures."""
        return self._core.call(calls.update_endpoint(id, url, event_types, enabled))

    def rotate_keys(self, id: str, *, overlap_seconds: int | None = None, request_id: str | None = None) -> EndpointWithSecret:
        """Gives an endpoint new keys.

        Args:
            id: UUID of the endpoint.
            overlap_seconds: How long the old keys also sign: 0 to 604800; a day if not given.
            request_id: The same id and content within 24 hours has no second effect. Made for you if not given.
        """
        return self._core.call(calls.rotate_endpoint_keys(id, overlap_seconds, self._core.request_id(request_id)))

    def test(self, id: str) -> Delivery:
        """Sends an endpoint an `endpoint.test`. Refused while it is off: `ENDPOINT_DISABLED`."""
        return self._core.call(calls.test_endpoint(id))

    def delete(self, id: str) -> None:
        """Removes an endpoint; its pending deliveries are given up. An unknown one is not an error."""
        self._core.call(calls.delete_endpoint(id))


class Deliveries(_Resource):
    """Deliveries of webhooks: past, current and future. Every method raises NodkeyError."""

    def list(
        self,
        *,
        state: DeliveryState | None = None,
        trusonafication: str | None = None,
        endpoint: str | None = None,
        subject: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        oldest_first: bool = False,
        page_size: int | None = None,
    ) -> Generator[Delivery, None, None]:
        """All deliveries, newest first, without attempts and bodies. Filters are combined.

        Args:
            state: Only those in this state.
            trusonafication: Only those about this trusonafication, a UUID.
            endpoint: Only those to this endpoint, a UUID.
            subject: Only those about this object, written as in `Delivery.subject`. Not together with `trusonafication`.
            created_after: Only those created at this time or later.
            created_before: Only those created before this time.
            oldest_first: The oldest first instead.
            page_size: How many are requested at a time: at most 500; 50 if not given.
        """
        listing = calls.list_deliveries(
            state=state,
            trusonafication=trusonafication,
            endpoint=endpoint,
            subject=subject,
            created_after=created_after,
            created_before=created_before,
            oldest_first=oldest_first,
            page_size=page_size,
        )
        return self._core.pages(listing)

    def get(self, id: str) -> Delivery:
        """Returns a delivery with its attempts."""
        return self._core.call(calls.get_delivery(id))

    def redeliver(self, id: str) -> Delivery:
        """Sends a delivery again, with the same `webhook-id`."""
        return self._core.call(calls.redeliver(id))

    def redeliver_many(
        self,
        *,
        since: datetime,
        until: datetime | None = None,
        endpoint: str | None = None,
        include_succeeded: bool = False,
    ) -> int:
        """Sends the exhausted deliveries created in a time again, and returns how many.

        Args:
            since: Those created at this time or later.
            until: Those created before this time; until now if not given.
            endpoint: Only those to this endpoint, a UUID.
            include_succeeded: Also succeeded ones: receivers get them twice.
        """
        return self._core.call(calls.redeliver_many(since, until, endpoint, include_succeeded))


class Keys(_Resource):
    """The public keys of the deployment. Every method raises NodkeyError."""

    def get(self, *, refresh: bool = False) -> Jwks:
        """Returns the keys whose signatures may still be valid, from a cache that is at most five minutes old, unless `refresh`."""
        return self._core.keys(refresh=refresh)

    def archive(self) -> Jwks:
        """Returns every key that ever signed evidence, for evidence of any age. Not cached: keep a copy at each rotation."""
        return self._core.call(calls.get_jwks_archive())
