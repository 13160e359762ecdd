import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from nodkey._proto.options.v1 import options_pb2 as _options_pb2
from nodkey._proto.registry.v1 import devices_pb2 as _devices_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DocumentType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DOCUMENT_TYPE_UNSPECIFIED: _ClassVar[DocumentType]
    DOCUMENT_TYPE_AAMVA_DRIVERS_LICENSE: _ClassVar[DocumentType]

class VerificationStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERIFICATION_STATUS_UNSPECIFIED: _ClassVar[VerificationStatus]
    VERIFICATION_STATUS_UNVERIFIED: _ClassVar[VerificationStatus]
    VERIFICATION_STATUS_UNVERIFIABLE: _ClassVar[VerificationStatus]
    VERIFICATION_STATUS_VERIFIED: _ClassVar[VerificationStatus]
    VERIFICATION_STATUS_FAILED: _ClassVar[VerificationStatus]
DOCUMENT_TYPE_UNSPECIFIED: DocumentType
DOCUMENT_TYPE_AAMVA_DRIVERS_LICENSE: DocumentType
VERIFICATION_STATUS_UNSPECIFIED: VerificationStatus
VERIFICATION_STATUS_UNVERIFIED: VerificationStatus
VERIFICATION_STATUS_UNVERIFIABLE: VerificationStatus
VERIFICATION_STATUS_VERIFIED: VerificationStatus
VERIFICATION_STATUS_FAILED: VerificationStatus

class IdentityDocument(_message.Message):
    __slots__ = ("id", "relying_party_id", "user_identifier", "hash", "type", "verification_status", "verified_at", "created_at", "counts")
    ID_FIELD_NUMBER: _ClassVar[int]
    RELYING_PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    USER_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_STATUS_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_AT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    id: str
    relying_party_id: str
    user_identifier: str
    hash: str
    type: DocumentType
    verification_status: VerificationStatus
    verified_at: _timestamp_pb2.Timestamp
    created_at: _timestamp_pb2.Timestamp
    counts: bool
    def __init__(self, id: _Optional[str] = ..., relying_party_id: _Optional[str] = ..., user_identifier: _Optional[str] = ..., hash: _Optional[str] = ..., type: _Optional[_Union[DocumentType, str]] = ..., verification_status: _Optional[_Union[VerificationStatus, str]] = ..., verified_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., counts: bool = ...) -> None: ...

class RegisterIdentityDocumentRequest(_message.Message):
    __slots__ = ("device_id", "hash", "type", "call")
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    hash: str
    type: DocumentType
    call: _devices_pb2.PhoneCall
    def __init__(self, device_id: _Optional[str] = ..., hash: _Optional[str] = ..., type: _Optional[_Union[DocumentType, str]] = ..., call: _Optional[_Union[_devices_pb2.PhoneCall, _Mapping]] = ...) -> None: ...

class GetIdentityDocumentRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ListIdentityDocumentsRequest(_message.Message):
    __slots__ = ("user_identifier", "page_size", "page_token", "counting")
    USER_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    COUNTING_FIELD_NUMBER: _ClassVar[int]
    user_identifier: str
    page_size: int
    page_token: str
    counting: bool
    def __init__(self, user_identifier: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., counting: bool = ...) -> None: ...

class ListIdentityDocumentsResponse(_message.Message):
    __slots__ = ("identity_documents", "next_page_token")
    IDENTITY_DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    identity_documents: _containers.RepeatedCompositeFieldContainer[IdentityDocument]
    next_page_token: str
    def __init__(self, identity_documents: _Optional[_Iterable[_Union[IdentityDocument, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SetVerificationStatusRequest(_message.Message):
    __slots__ = ("id", "verification_status")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_STATUS_FIELD_NUMBER: _ClassVar[int]
    id: str
    verification_status: VerificationStatus
    def __init__(self, id: _Optional[str] = ..., verification_status: _Optional[_Union[VerificationStatus, str]] = ...) -> None: ...
