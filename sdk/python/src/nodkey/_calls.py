"""The calls: how each request is made and its answer read. sdk/spec/server.json lists them. No I/O: both clients send what is made here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from nodkey import _models as models
from nodkey._enums import BindingState, DeliveryState, DocumentType, NumberMatch, ProtoEnum, Status
from nodkey._errors import Kind, NodkeyError
from nodkey._evidence import Evidence
from nodkey._json import InvalidJson, parse
from nodkey._jws import Jwks
from nodkey._proto.binding.v1 import bindings_pb2, users_pb2
from nodkey._proto.notification.v1 import deliveries_pb2, endpoints_pb2
from nodkey._proto.registry.v1 import devices_pb2, identity_documents_pb2, signing_keys_pb2
from nodkey._proto.trusonafication.v1 import trucodes_pb2, trusonafications_pb2
from nodkey._read import names_of, read, timestamp

T = TypeVar("T")
M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and how its answer is read."""

    #: The path of the method.
    method: str
    request: Message
    response: type[Message]
    read: Callable[[Any], T]


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A list that comes in pages."""

    method: str
    #: The request of the first page.
    request: Message
    response: type[Message]
    #: The field of the items.
    items: str
    item: type[T]

    def page(self, token: str) -> Call[tuple[tuple[T, ...], str]]:
        """The call of one page: its items, and the token of the next page, empty on the last one."""
        request = type(self.request)()
        request.CopyFrom(self.request)
        request.page_token = token  # type: ignore[attr-defined]
        return Call(self.method, request, self.response, self._read)

    def _read(self, response: Any) -> tuple[tuple[T, ...], str]:
        return tuple(read(self.item, item) for item in getattr(response, self.items)), response.next_page_token


def invalid_parameter(message: str) -> NodkeyError:
    """The error of a call that was not even sent."""
    return NodkeyError("INVALID_PARAMETER", message)


def unexpected_answer(message: str) -> NodkeyError:
    """The error of an answer that cannot be read."""
    return NodkeyError("UNEXPECTED_ANSWER", message, kind=Kind.INTERNAL)


def _make(kind: type[M], **given: Any) -> M:
    """Makes a request of the parameters that are not None."""
    message = kind()
    for name, value in given.items():
        try:
            _set(message, name, value)
        except (AttributeError, TypeError, ValueError) as error:
            raise invalid_parameter(f"{name}: {error}") from error
    return message


def _set(message: Message, name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, datetime):
        getattr(message, name).CopyFrom(timestamp(value))
    elif isinstance(value, Message):
        getattr(message, name).CopyFrom(value)
    elif isinstance(value, ProtoEnum):
        numbers = {known: number for number, known in names_of(message, name).items()}
        setattr(message, name, numbers[value.proto_name])
    elif isinstance(value, str | bool | int):
        setattr(message, name, value)
    elif isinstance(value, Iterable):
        getattr(message, name).extend(value)
    else:
        raise TypeError(f"has the wrong type: {type(value).__name__}")


_BINDINGS = "/nodkey.binding.v1.BindingService/"
_USERS = "/nodkey.binding.v1.UserService/"
_TRUSONAFICATIONS = "/nodkey.trusonafication.v1.TrusonaficationService/"
_DEVICES = "/nodkey.registry.v1.DeviceService/"
_DOCUMENTS = "/nodkey.registry.v1.IdentityDocumentService/"
_ENDPOINTS = "/nodkey.notification.v1.EndpointService/"
_DELIVERIES = "/nodkey.notification.v1.DeliveryService/"
_SIGNING_KEYS = "/nodkey.registry.v1.SigningKeyService/"


def _reader(kind: type[T]) -> Callable[[Any], T]:
    return lambda response: read(kind, response)


def _binding(method: str, request: Message) -> Call[models.Binding]:
    return Call(_BINDINGS + method, request, bindings_pb2.Binding, _reader(models.Binding))


def create_binding(user: str, device: str, request_id: str) -> Call[models.Binding]:
    fields = {"user_identifier": user, "device_identifier": device, "request_id": request_id}
    return _binding("CreateBinding", _make(bindings_pb2.CreateBindingRequest, **fields))


def activate_binding(identifier: str) -> Call[models.Binding]:
    return _binding("ActivateBinding", _make(bindings_pb2.ActivateBindingRequest, id=identifier))


def deactivate_binding(identifier: str) -> Call[models.Binding]:
    return _binding("DeactivateBinding", _make(bindings_pb2.DeactivateBindingRequest, id=identifier))


def get_binding(identifier: str) -> Call[models.Binding]:
    return _binding("GetBinding", _make(bindings_pb2.GetBindingRequest, id=identifier))


def get_device_binding(device: str) -> Call[models.Binding]:
    return _binding("GetDeviceBinding", _make(bindings_pb2.GetDeviceBindingRequest, device_identifier=device))


def list_bindings(user: str | None, state: BindingState | None, page_size: int | None) -> Listing[models.Binding]:
    request = _make(bindings_pb2.ListBindingsRequest, user_identifier=user, state=state, page_size=page_size)
    return Listing(_BINDINGS + "ListBindings", request, bindings_pb2.ListBindingsResponse, "bindings", models.Binding)


def _user(method: str, request: Message) -> Call[models.User]:
    return Call(_USERS + method, request, users_pb2.User, _reader(models.User))


def get_user(user: str) -> Call[models.User]:
    return _user("GetUser", _make(users_pb2.GetUserRequest, user_identifier=user))


def freeze_user(user: str, note: str) -> Call[models.User]:
    return _user("FreezeUser", _make(users_pb2.FreezeUserRequest, user_identifier=user, note=note))


def release_user(user: str) -> Call[models.User]:
    return _user("ReleaseUser", _make(users_pb2.ReleaseUserRequest, user_identifier=user))


def deactivate_user(user: str) -> Call[models.DeactivatedUser]:
    request = _make(users_pb2.DeactivateUserRequest, user_identifier=user)
    return Call(_USERS + "DeactivateUser", request, users_pb2.DeactivateUserResponse, _reader(models.DeactivatedUser))


def list_user_devices(user: str) -> Call[tuple[models.Binding, ...]]:
    request = _make(users_pb2.ListUserDevicesRequest, user_identifier=user)

    def bindings(response: Any) -> tuple[models.Binding, ...]:
        return tuple(read(models.Binding, binding) for binding in response.bindings)

    return Call(_USERS + "ListUserDevices", request, users_pb2.ListUserDevicesResponse, bindings)


def list_users(prefix: str | None, page_size: int | None) -> Listing[models.User]:
    request = _make(users_pb2.ListUsersRequest, prefix=prefix, page_size=page_size)
    return Listing(_USERS + "ListUsers", request, users_pb2.ListUsersResponse, "users", models.User)


def _trusonafication(method: str, request: Message) -> Call[models.Trusonafication]:
    return Call(_TRUSONAFICATIONS + method, request, trusonafications_pb2.Trusonafication, _reader(models.Trusonafication))


def create_trusonafication(
    *,
    user: str | None,
    device: str | None,
    code: str | None,
    custom_fields: Mapping[str, Any] | None,
    custom_fields_json: str | None,
    number_match: NumberMatch | None,
    request_context: models.RequestContext | None,
    **others: str | int | bool | datetime | None,
) -> Call[models.CreatedTrusonafication]:
    if sum(target is not None for target in (user, device, code)) != 1:
        raise invalid_parameter("exactly one of `user`, `device` and `code` has to be given")
    if custom_fields is not None:
        if custom_fields_json is not None:
            raise invalid_parameter("`custom_fields` and `custom_fields_json` are the same: give one of them")
        custom_fields_json = _json_of(custom_fields)
    context = None
    if request_context is not None:
        address, browser, place = request_context.address, request_context.browser, request_context.place
        context = _make(trusonafications_pb2.RequestContext, address=address, browser=browser, place=place)
    request = _make(
        trusonafications_pb2.CreateTrusonaficationRequest,
        user_identifier=user,
        device_identifier=device,
        trucode_id=code,
        custom_fields_json=custom_fields_json,
        number_match=number_match,
        request_context=context,
        **others,
    )
    response = trusonafications_pb2.CreateTrusonaficationResponse
    return Call(_TRUSONAFICATIONS + "CreateTrusonafication", request, response, _created)


def _json_of(fields: Mapping[str, Any]) -> str:
    """As JSON text, in which whole numbers of any size are exact; a Struct has doubles."""
    try:
        return json.dumps(dict(fields), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise invalid_parameter(f"custom_fields: {error}") from error


def _created(response: Any) -> models.CreatedTrusonafication:
    if not response.HasField("trusonafication"):
        raise unexpected_answer("the answer holds no trusonafication")
    return read(models.CreatedTrusonafication, response)


def get_trusonafication(identifier: str) -> Call[models.Trusonafication]:
    return _trusonafication("GetTrusonafication", _make(trusonafications_pb2.GetTrusonaficationRequest, id=identifier))


def watch_trusonafication(identifier: str) -> Call[models.Trusonafication]:
    return _trusonafication("WatchTrusonafication", _make(trusonafications_pb2.WatchTrusonaficationRequest, id=identifier))


def cancel_trusonafication(identifier: str) -> Call[models.Trusonafication]:
    return _trusonafication("CancelTrusonafication", _make(trusonafications_pb2.CancelTrusonaficationRequest, id=identifier))


def list_trusonafications(
    *, status: Status | None, user: str | None, device: str | None, **others: int | bool | datetime | None
) -> Listing[models.Trusonafication]:
    kind = trusonafications_pb2.ListTrusonaficationsRequest
    request = _make(kind, status=status, user_identifier=user, device_identifier=device, **others)
    response = trusonafications_pb2.ListTrusonaficationsResponse
    return Listing(_TRUSONAFICATIONS + "ListTrusonafications", request, response, "trusonafications", models.Trusonafication)


def get_evidence(identifier: str) -> Call[Evidence]:
    request = _make(trusonafications_pb2.GetEvidenceRequest, id=identifier)
    return Call(_TRUSONAFICATIONS + "GetEvidence", request, trusonafications_pb2.Evidence, _evidence)


def _evidence(response: Any) -> Evidence:
    try:
        return Evidence(
            challenge=response.challenge,
            response=response.response,
            keys=tuple(dict(parse(key)) for key in response.keys),
            receipt=response.receipt or None,
            key_statement=response.key_statement or None,
            key_signatures=tuple(response.key_signatures),
        )
    except (TypeError, ValueError) as error:
        raise unexpected_answer("a key of the evidence is not a JWK") from error


def get_pairing(identifier: str) -> Call[models.Pairing]:
    request = _make(trucodes_pb2.GetPairingRequest, id=identifier)
    method = "/nodkey.trusonafication.v1.TruCodeService/GetPairing"
    return Call(method, request, trucodes_pb2.Pairing, _reader(models.Pairing))


def _device(method: str, request: Message) -> Call[models.Device]:
    return Call(_DEVICES + method, request, devices_pb2.Device, _reader(models.Device))


def get_device(device: str) -> Call[models.Device]:
    return _device("GetDevice", _make(devices_pb2.GetDeviceRequest, device_id=device))


def retire_device(device: str) -> Call[models.Device]:
    return _device("RetireDevice", _make(devices_pb2.RetireDeviceRequest, device_id=device))


def approve_device_keys(device: str, thumbprints: Iterable[str]) -> Call[models.Device]:
    if isinstance(thumbprints, str):
        raise invalid_parameter("thumbprints: has to be a list of strings")
    return _device("ApproveDeviceKeys", _make(devices_pb2.ApproveDeviceKeysRequest, device_id=device, thumbprints=thumbprints))


def list_devices(page_size: int | None) -> Listing[models.Device]:
    request = _make(devices_pb2.ListDevicesRequest, page_size=page_size)
    return Listing(_DEVICES + "ListDevices", request, devices_pb2.ListDevicesResponse, "devices", models.Device)


def _document(method: str, request: Message) -> Call[models.IdentityDocument]:
    return Call(_DOCUMENTS + method, request, identity_documents_pb2.IdentityDocument, _reader(models.IdentityDocument))


def register_document(device: str, digest: str, kind: DocumentType) -> Call[models.IdentityDocument]:
    fields = {"device_id": device, "hash": digest, "type": kind}
    return _document("RegisterIdentityDocument", _make(identity_documents_pb2.RegisterIdentityDocumentRequest, **fields))


def get_document(identifier: str) -> Call[models.IdentityDocument]:
    return _document("GetIdentityDocument", _make(identity_documents_pb2.GetIdentityDocumentRequest, id=identifier))


def list_documents(user: str, counting: bool | None, page_size: int | None) -> Listing[models.IdentityDocument]:
    kind = identity_documents_pb2.ListIdentityDocumentsRequest
    request = _make(kind, user_identifier=user, counting=counting, page_size=page_size)
    response = identity_documents_pb2.ListIdentityDocumentsResponse
    return Listing(_DOCUMENTS + "ListIdentityDocuments", request, response, "identity_documents", models.IdentityDocument)


def _endpoint(method: str, request: Message) -> Call[models.Endpoint]:
    return Call(_ENDPOINTS + method, request, endpoints_pb2.Endpoint, _reader(models.Endpoint))


def _endpoint_with_secret(method: str, request: Message) -> Call[models.EndpointWithSecret]:
    return Call(_ENDPOINTS + method, request, endpoints_pb2.CreateEndpointResponse, _reader(models.EndpointWithSecret))


def create_endpoint(url: str, event_types: Iterable[str] | None, request_id: str) -> Call[models.EndpointWithSecret]:
    fields = {"url": url, "event_types": _types(event_types), "request_id": request_id}
    return _endpoint_with_secret("CreateEndpoint", _make(endpoints_pb2.CreateEndpointRequest, **fields))


def rotate_endpoint_keys(identifier: str, overlap_seconds: int | None, request_id: str) -> Call[models.EndpointWithSecret]:
    fields = {"id": identifier, "overlap_seconds": overlap_seconds, "request_id": request_id}
    return _endpoint_with_secret("RotateEndpointKeys", _make(endpoints_pb2.RotateEndpointKeysRequest, **fields))


def get_endpoint(identifier: str) -> Call[models.Endpoint]:
    return _endpoint("GetEndpoint", _make(endpoints_pb2.GetEndpointRequest, id=identifier))


def update_endpoint(identifier: str, url: str | None, event_types: Iterable[str] | None, enabled: bool | None) -> Call[models.Endpoint]:
    listed = _types(event_types)
    types = None if listed is None else _make(endpoints_pb2.EventTypes, event_types=listed)
    fields = {"id": identifier, "url": url, "event_types": types, "enabled": enabled}
    return _endpoint("UpdateEndpoint", _make(endpoints_pb2.UpdateEndpointRequest, **fields))


def _types(event_types: Iterable[str] | None) -> list[str] | None:
    if isinstance(event_types, str):
        raise invalid_parameter("event_types: has to be a list of strings")
    return None if event_types is None else list(event_types)


def list_endpoints(page_size: int | None) -> Listing[models.Endpoint]:
    request = _make(endpoints_pb2.ListEndpointsRequest, page_size=page_size)
    return Listing(_ENDPOINTS + "ListEndpoints", request, endpoints_pb2.ListEndpointsResponse, "endpoints", models.Endpoint)


def test_endpoint(identifier: str) -> Call[models.Delivery]:
    request = _make(endpoints_pb2.TestEndpointRequest, id=identifier)
    return Call(_ENDPOINTS + "TestEndpoint", request, deliveries_pb2.Delivery, _reader(models.Delivery))


def delete_endpoint(identifier: str) -> Call[None]:
    request = _make(endpoints_pb2.DeleteEndpointRequest, id=identifier)
    return Call(_ENDPOINTS + "DeleteEndpoint", request, endpoints_pb2.DeleteEndpointResponse, lambda _: None)


def _delivery(method: str, request: Message) -> Call[models.Delivery]:
    return Call(_DELIVERIES + method, request, deliveries_pb2.Delivery, _reader(models.Delivery))


def get_delivery(identifier: str) -> Call[models.Delivery]:
    return _delivery("GetDelivery", _make(deliveries_pb2.GetDeliveryRequest, id=identifier))


def redeliver(identifier: str) -> Call[models.Delivery]:
    return _delivery("Redeliver", _make(deliveries_pb2.RedeliverRequest, id=identifier))


def redeliver_many(since: datetime, until: datetime | None, endpoint: str | None, include_succeeded: bool) -> Call[int]:
    fields = {"since": since, "until": until, "endpoint_id": endpoint, "include_succeeded": include_succeeded}
    request = _make(deliveries_pb2.RedeliverManyRequest, **fields)

    def count(response: deliveries_pb2.RedeliverManyResponse) -> int:
        return response.count

    return Call(_DELIVERIES + "RedeliverMany", request, deliveries_pb2.RedeliverManyResponse, count)


def list_deliveries(
    *,
    state: DeliveryState | None,
    trusonafication: str | None,
    endpoint: str | None,
    **others: str | int | bool | datetime | None,
) -> Listing[models.Delivery]:
    kind = deliveries_pb2.ListDeliveriesRequest
    request = _make(kind, state=state, trusonafication_id=trusonafication, endpoint_id=endpoint, **others)
    response = deliveries_pb2.ListDeliveriesResponse
    return Listing(_DELIVERIES + "ListDeliveries", request, response, "deliveries", models.Delivery)


def get_jwks() -> Call[Jwks]:
    return Call(_SIGNING_KEYS + "GetJwks", signing_keys_pb2.GetJwksRequest(), signing_keys_pb2.GetJwksResponse, _jwks)


def get_jwks_archive() -> Call[Jwks]:
    request, response = signing_keys_pb2.GetJwksArchiveRequest(), signing_keys_pb2.GetJwksArchiveResponse
    return Call(_SIGNING_KEYS + "GetJwksArchive", request, response, _jwks)


def _jwks(response: Any) -> Jwks:
    try:
        return Jwks(response.jwks)
    except InvalidJson as error:
        raise unexpected_answer("the JWKS is not valid") from error
