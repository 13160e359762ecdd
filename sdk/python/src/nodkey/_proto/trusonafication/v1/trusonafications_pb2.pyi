import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from nodkey._proto.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATUS_UNSPECIFIED: _ClassVar[Status]
    STATUS_IN_PROGRESS: _ClassVar[Status]
    STATUS_ACCEPTED: _ClassVar[Status]
    STATUS_ACCEPTED_AT_HIGHER_LEVEL: _ClassVar[Status]
    STATUS_ACCEPTED_AT_LOWER_LEVEL: _ClassVar[Status]
    STATUS_REJECTED: _ClassVar[Status]
    STATUS_EXPIRED: _ClassVar[Status]
    STATUS_CANCELED: _ClassVar[Status]

class NumberMatch(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NUMBER_MATCH_UNSPECIFIED: _ClassVar[NumberMatch]
    NUMBER_MATCH_CHOOSE: _ClassVar[NumberMatch]
    NUMBER_MATCH_ENTER: _ClassVar[NumberMatch]

class RejectReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REJECT_REASON_UNSPECIFIED: _ClassVar[RejectReason]
    REJECT_REASON_NOT_ME: _ClassVar[RejectReason]
    REJECT_REASON_CHANGED_MIND: _ClassVar[RejectReason]
    REJECT_REASON_NUMBER_MISMATCH: _ClassVar[RejectReason]
STATUS_UNSPECIFIED: Status
STATUS_IN_PROGRESS: Status
STATUS_ACCEPTED: Status
STATUS_ACCEPTED_AT_HIGHER_LEVEL: Status
STATUS_ACCEPTED_AT_LOWER_LEVEL: Status
STATUS_REJECTED: Status
STATUS_EXPIRED: Status
STATUS_CANCELED: Status
NUMBER_MATCH_UNSPECIFIED: NumberMatch
NUMBER_MATCH_CHOOSE: NumberMatch
NUMBER_MATCH_ENTER: NumberMatch
REJECT_REASON_UNSPECIFIED: RejectReason
REJECT_REASON_NOT_ME: RejectReason
REJECT_REASON_CHANGED_MIND: RejectReason
REJECT_REASON_NUMBER_MISMATCH: RejectReason

class Trusonafication(_message.Message):
    __slots__ = ("id", "relying_party_id", "status", "desired_level", "action", "resource", "user_identifier", "device_identifier", "trucode_id", "prompt", "user_presence", "show_identity_document", "custom_fields", "callback_url", "relying_party_name", "created_at", "updated_at", "expires_at", "result", "number_match", "version", "custom_fields_json", "context", "request_context")
    ID_FIELD_NUMBER: _ClassVar[int]
    RELYING_PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DESIRED_LEVEL_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    USER_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    DEVICE_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    TRUCODE_ID_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    USER_PRESENCE_FIELD_NUMBER: _ClassVar[int]
    SHOW_IDENTITY_DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_FIELDS_FIELD_NUMBER: _ClassVar[int]
    CALLBACK_URL_FIELD_NUMBER: _ClassVar[int]
    RELYING_PARTY_NAME_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_MATCH_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_FIELDS_JSON_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    id: str
    relying_party_id: str
    status: Status
    desired_level: int
    action: str
    resource: str
    user_identifier: str
    device_identifier: str
    trucode_id: str
    prompt: bool
    user_presence: bool
    show_identity_document: bool
    custom_fields: _struct_pb2.Struct
    callback_url: str
    relying_party_name: str
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    result: Result
    number_match: NumberMatch
    version: int
    custom_fields_json: str
    context: str
    request_context: RequestContext
    def __init__(self, id: _Optional[str] = ..., relying_party_id: _Optional[str] = ..., status: _Optional[_Union[Status, str]] = ..., desired_level: _Optional[int] = ..., action: _Optional[str] = ..., resource: _Optional[str] = ..., user_identifier: _Optional[str] = ..., device_identifier: _Optional[str] = ..., trucode_id: _Optional[str] = ..., prompt: bool = ..., user_presence: bool = ..., show_identity_document: bool = ..., custom_fields: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., callback_url: _Optional[str] = ..., relying_party_name: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., result: _Optional[_Union[Result, _Mapping]] = ..., number_match: _Optional[_Union[NumberMatch, str]] = ..., version: _Optional[int] = ..., custom_fields_json: _Optional[str] = ..., context: _Optional[str] = ..., request_context: _Optional[_Union[RequestContext, _Mapping]] = ...) -> None: ...

class RequestContext(_message.Message):
    __slots__ = ("address", "browser", "place")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    BROWSER_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    address: str
    browser: str
    place: str
    def __init__(self, address: _Optional[str] = ..., browser: _Optional[str] = ..., place: _Optional[str] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("id", "accepted", "accepted_level", "bound_user_identifier", "device_identifier", "reject_reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_LEVEL_FIELD_NUMBER: _ClassVar[int]
    BOUND_USER_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    DEVICE_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    REJECT_REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    accepted: bool
    accepted_level: int
    bound_user_identifier: str
    device_identifier: str
    reject_reason: RejectReason
    def __init__(self, id: _Optional[str] = ..., accepted: bool = ..., accepted_level: _Optional[int] = ..., bound_user_identifier: _Optional[str] = ..., device_identifier: _Optional[str] = ..., reject_reason: _Optional[_Union[RejectReason, str]] = ...) -> None: ...

class CreateTrusonaficationRequest(_message.Message):
    __slots__ = ("request_id", "desired_level", "user_identifier", "device_identifier", "trucode_id", "action", "resource", "prompt", "user_presence", "show_identity_document", "expires_at", "custom_fields", "callback_url", "number_match", "custom_fields_json", "context", "request_context", "shows_number")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DESIRED_LEVEL_FIELD_NUMBER: _ClassVar[int]
    USER_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    DEVICE_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    TRUCODE_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    USER_PRESENCE_FIELD_NUMBER: _ClassVar[int]
    SHOW_IDENTITY_DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_FIELDS_FIELD_NUMBER: _ClassVar[int]
    CALLBACK_URL_FIELD_NUMBER: _ClassVar[int]
    NUMBER_MATCH_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_FIELDS_JSON_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SHOWS_NUMBER_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    desired_level: int
    user_identifier: str
    device_identifier: str
    trucode_id: str
    action: str
    resource: str
    prompt: bool
    user_presence: bool
    show_identity_document: bool
    expires_at: _timestamp_pb2.Timestamp
    custom_fields: _struct_pb2.Struct
    callback_url: str
    number_match: NumberMatch
    custom_fields_json: str
    context: str
    request_context: RequestContext
    shows_number: bool
    def __init__(self, request_id: _Optional[str] = ..., desired_level: _Optional[int] = ..., user_identifier: _Optional[str] = ..., device_identifier: _Optional[str] = ..., trucode_id: _Optional[str] = ..., action: _Optional[str] = ..., resource: _Optional[str] = ..., prompt: bool = ..., user_presence: bool = ..., show_identity_document: bool = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., custom_fields: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., callback_url: _Optional[str] = ..., number_match: _Optional[_Union[NumberMatch, str]] = ..., custom_fields_json: _Optional[str] = ..., context: _Optional[str] = ..., request_context: _Optional[_Union[RequestContext, _Mapping]] = ..., shows_number: bool = ...) -> None: ...

class CreateTrusonaficationResponse(_message.Message):
    __slots__ = ("trusonafication", "match_number")
    TRUSONAFICATION_FIELD_NUMBER: _ClassVar[int]
    MATCH_NUMBER_FIELD_NUMBER: _ClassVar[int]
    trusonafication: Trusonafication
    match_number: str
    def __init__(self, trusonafication: _Optional[_Union[Trusonafication, _Mapping]] = ..., match_number: _Optional[str] = ...) -> None: ...

class GetTrusonaficationRequest(_message.Message):
    __slots__ = ("id", "wait_seconds")
    ID_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    wait_seconds: int
    def __init__(self, id: _Optional[str] = ..., wait_seconds: _Optional[int] = ...) -> None: ...

class WatchTrusonaficationRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class WatchResultsRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class WatchResultsResponse(_message.Message):
    __slots__ = ("id", "trusonafication", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    TRUSONAFICATION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    trusonafication: Trusonafication
    error: Refusal
    def __init__(self, id: _Optional[str] = ..., trusonafication: _Optional[_Union[Trusonafication, _Mapping]] = ..., error: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("code", "reason", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: str
    message: str
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class WatchTrusonaficationsRequest(_message.Message):
    __slots__ = ("user_identifier", "device_identifier")
    USER_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    DEVICE_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    user_identifier: str
    device_identifier: str
    def __init__(self, user_identifier: _Optional[str] = ..., device_identifier: _Optional[str] = ...) -> None: ...

class ListTrusonaficationsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "status", "user_identifier", "device_identifier", "created_after", "created_before", "oldest_first")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    USER_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    DEVICE_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    status: Status
    user_identifier: str
    device_identifier: str
    created_after: _timestamp_pb2.Timestamp
    created_before: _timestamp_pb2.Timestamp
    oldest_first: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., status: _Optional[_Union[Status, str]] = ..., user_identifier: _Optional[str] = ..., device_identifier: _Optional[str] = ..., created_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., oldest_first: bool = ...) -> None: ...

class ListTrusonaficationsResponse(_message.Message):
    __slots__ = ("trusonafications", "next_page_token")
    TRUSONAFICATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    trusonafications: _containers.RepeatedCompositeFieldContainer[Trusonafication]
    next_page_token: str
    def __init__(self, trusonafications: _Optional[_Iterable[_Union[Trusonafication, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CountTrusonaficationsRequest(_message.Message):
    __slots__ = ("created_after", "created_before", "step_seconds")
    CREATED_AFTER_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    STEP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    created_after: _timestamp_pb2.Timestamp
    created_before: _timestamp_pb2.Timestamp
    step_seconds: int
    def __init__(self, created_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., step_seconds: _Optional[int] = ...) -> None: ...

class CountTrusonaficationsResponse(_message.Message):
    __slots__ = ("counts", "truncated")
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    counts: _containers.RepeatedCompositeFieldContainer[TrusonaficationCount]
    truncated: bool
    def __init__(self, counts: _Optional[_Iterable[_Union[TrusonaficationCount, _Mapping]]] = ..., truncated: bool = ...) -> None: ...

class TrusonaficationCount(_message.Message):
    __slots__ = ("start", "in_progress", "accepted", "rejected", "expired", "canceled")
    START_FIELD_NUMBER: _ClassVar[int]
    IN_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    CANCELED_FIELD_NUMBER: _ClassVar[int]
    start: _timestamp_pb2.Timestamp
    in_progress: int
    accepted: int
    rejected: int
    expired: int
    canceled: int
    def __init__(self, start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., in_progress: _Optional[int] = ..., accepted: _Optional[int] = ..., rejected: _Optional[int] = ..., expired: _Optional[int] = ..., canceled: _Optional[int] = ...) -> None: ...

class CancelTrusonaficationRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetEvidenceRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class Evidence(_message.Message):
    __slots__ = ("challenge", "response", "keys", "receipt", "key_statement", "key_signatures")
    CHALLENGE_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    KEY_STATEMENT_FIELD_NUMBER: _ClassVar[int]
    KEY_SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    challenge: str
    response: str
    keys: _containers.RepeatedScalarFieldContainer[str]
    receipt: str
    key_statement: str
    key_signatures: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, challenge: _Optional[str] = ..., response: _Optional[str] = ..., keys: _Optional[_Iterable[str]] = ..., receipt: _Optional[str] = ..., key_statement: _Optional[str] = ..., key_signatures: _Optional[_Iterable[str]] = ...) -> None: ...

class ListChangesRequest(_message.Message):
    __slots__ = ("cursor",)
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    def __init__(self, cursor: _Optional[str] = ...) -> None: ...

class ListChangesResponse(_message.Message):
    __slots__ = ("changes", "cursor", "more", "paired_trucode_ids")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    PAIRED_TRUCODE_IDS_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[TrusonaficationChange]
    cursor: str
    more: bool
    paired_trucode_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, changes: _Optional[_Iterable[_Union[TrusonaficationChange, _Mapping]]] = ..., cursor: _Optional[str] = ..., more: bool = ..., paired_trucode_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class TrusonaficationChange(_message.Message):
    __slots__ = ("id", "ended", "device_identifiers")
    ID_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    DEVICE_IDENTIFIERS_FIELD_NUMBER: _ClassVar[int]
    id: str
    ended: bool
    device_identifiers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., ended: bool = ..., device_identifiers: _Optional[_Iterable[str]] = ...) -> None: ...

class SignResultRequest(_message.Message):
    __slots__ = ("id", "delivery_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    delivery_id: str
    def __init__(self, id: _Optional[str] = ..., delivery_id: _Optional[str] = ...) -> None: ...

class SignResultResponse(_message.Message):
    __slots__ = ("jwt",)
    JWT_FIELD_NUMBER: _ClassVar[int]
    jwt: str
    def __init__(self, jwt: _Optional[str] = ...) -> None: ...

class ListPendingRequest(_message.Message):
    __slots__ = ("device_id", "recent_binding")
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    RECENT_BINDING_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    recent_binding: bool
    def __init__(self, device_id: _Optional[str] = ..., recent_binding: bool = ...) -> None: ...

class DeviceUpdate(_message.Message):
    __slots__ = ("created", "ended_id")
    CREATED_FIELD_NUMBER: _ClassVar[int]
    ENDED_ID_FIELD_NUMBER: _ClassVar[int]
    created: PendingTrusonafication
    ended_id: str
    def __init__(self, created: _Optional[_Union[PendingTrusonafication, _Mapping]] = ..., ended_id: _Optional[str] = ...) -> None: ...

class ListPendingResponse(_message.Message):
    __slots__ = ("trusonafications",)
    TRUSONAFICATIONS_FIELD_NUMBER: _ClassVar[int]
    trusonafications: _containers.RepeatedCompositeFieldContainer[PendingTrusonafication]
    def __init__(self, trusonafications: _Optional[_Iterable[_Union[PendingTrusonafication, _Mapping]]] = ...) -> None: ...

class PendingTrusonafication(_message.Message):
    __slots__ = ("id", "challenge", "expires_at", "self_started")
    ID_FIELD_NUMBER: _ClassVar[int]
    CHALLENGE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    SELF_STARTED_FIELD_NUMBER: _ClassVar[int]
    id: str
    challenge: str
    expires_at: _timestamp_pb2.Timestamp
    self_started: bool
    def __init__(self, id: _Optional[str] = ..., challenge: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., self_started: bool = ...) -> None: ...

class RespondRequest(_message.Message):
    __slots__ = ("device_id", "response")
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    response: str
    def __init__(self, device_id: _Optional[str] = ..., response: _Optional[str] = ...) -> None: ...

class RespondResponse(_message.Message):
    __slots__ = ("id", "status", "accepted_level", "held_until")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_LEVEL_FIELD_NUMBER: _ClassVar[int]
    HELD_UNTIL_FIELD_NUMBER: _ClassVar[int]
    id: str
    status: Status
    accepted_level: int
    held_until: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., status: _Optional[_Union[Status, str]] = ..., accepted_level: _Optional[int] = ..., held_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
