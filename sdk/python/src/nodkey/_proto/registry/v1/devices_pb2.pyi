import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from nodkey._proto.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PresenceKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRESENCE_KIND_UNSPECIFIED: _ClassVar[PresenceKind]
    PRESENCE_KIND_BIOMETRIC: _ClassVar[PresenceKind]
    PRESENCE_KIND_CREDENTIAL: _ClassVar[PresenceKind]

class Platform(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLATFORM_UNSPECIFIED: _ClassVar[Platform]
    PLATFORM_IOS: _ClassVar[Platform]
    PLATFORM_ANDROID: _ClassVar[Platform]
    PLATFORM_OTHER: _ClassVar[Platform]
    PLATFORM_WEB: _ClassVar[Platform]
    PLATFORM_CLI: _ClassVar[Platform]

class TransferAct(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRANSFER_ACT_UNSPECIFIED: _ClassVar[TransferAct]
    TRANSFER_ACT_REPLACE: _ClassVar[TransferAct]
    TRANSFER_ACT_ADD: _ClassVar[TransferAct]
PRESENCE_KIND_UNSPECIFIED: PresenceKind
PRESENCE_KIND_BIOMETRIC: PresenceKind
PRESENCE_KIND_CREDENTIAL: PresenceKind
PLATFORM_UNSPECIFIED: Platform
PLATFORM_IOS: Platform
PLATFORM_ANDROID: Platform
PLATFORM_OTHER: Platform
PLATFORM_WEB: Platform
PLATFORM_CLI: Platform
TRANSFER_ACT_UNSPECIFIED: TransferAct
TRANSFER_ACT_REPLACE: TransferAct
TRANSFER_ACT_ADD: TransferAct

class PresenceKey(_message.Message):
    __slots__ = ("kind", "jwk", "thumbprint", "counts", "since")
    KIND_FIELD_NUMBER: _ClassVar[int]
    JWK_FIELD_NUMBER: _ClassVar[int]
    THUMBPRINT_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    kind: PresenceKind
    jwk: str
    thumbprint: str
    counts: bool
    since: _timestamp_pb2.Timestamp
    def __init__(self, kind: _Optional[_Union[PresenceKind, str]] = ..., jwk: _Optional[str] = ..., thumbprint: _Optional[str] = ..., counts: bool = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Device(_message.Message):
    __slots__ = ("id", "relying_party_id", "device_key", "presence_keys", "name", "platform", "app_version", "retired", "created_at", "updated_at", "last_seen_at", "key_statement", "key_signatures", "capabilities")
    ID_FIELD_NUMBER: _ClassVar[int]
    RELYING_PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_KEY_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_KEYS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    APP_VERSION_FIELD_NUMBER: _ClassVar[int]
    RETIRED_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_AT_FIELD_NUMBER: _ClassVar[int]
    KEY_STATEMENT_FIELD_NUMBER: _ClassVar[int]
    KEY_SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    id: str
    relying_party_id: str
    device_key: str
    presence_keys: _containers.RepeatedCompositeFieldContainer[PresenceKey]
    name: str
    platform: Platform
    app_version: str
    retired: bool
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    last_seen_at: _timestamp_pb2.Timestamp
    key_statement: str
    key_signatures: _containers.RepeatedScalarFieldContainer[str]
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., relying_party_id: _Optional[str] = ..., device_key: _Optional[str] = ..., presence_keys: _Optional[_Iterable[_Union[PresenceKey, _Mapping]]] = ..., name: _Optional[str] = ..., platform: _Optional[_Union[Platform, str]] = ..., app_version: _Optional[str] = ..., retired: bool = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., key_statement: _Optional[str] = ..., key_signatures: _Optional[_Iterable[str]] = ..., capabilities: _Optional[_Iterable[str]] = ...) -> None: ...

class PhoneCall(_message.Message):
    __slots__ = ("proof", "body")
    PROOF_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    proof: str
    body: bytes
    def __init__(self, proof: _Optional[str] = ..., body: _Optional[bytes] = ...) -> None: ...

class CreateDeviceChallengeRequest(_message.Message):
    __slots__ = ("device_id",)
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    def __init__(self, device_id: _Optional[str] = ...) -> None: ...

class DeviceChallenge(_message.Message):
    __slots__ = ("nonce", "seq", "expires_at")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    nonce: str
    seq: int
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, nonce: _Optional[str] = ..., seq: _Optional[int] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RegisterDeviceRequest(_message.Message):
    __slots__ = ("relying_party_id", "device_key", "presence_keys", "name", "platform", "app_version", "key_statement", "key_signatures", "call")
    RELYING_PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_KEY_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_KEYS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    APP_VERSION_FIELD_NUMBER: _ClassVar[int]
    KEY_STATEMENT_FIELD_NUMBER: _ClassVar[int]
    KEY_SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    relying_party_id: str
    device_key: str
    presence_keys: _containers.RepeatedCompositeFieldContainer[PresenceKey]
    name: str
    platform: Platform
    app_version: str
    key_statement: str
    key_signatures: _containers.RepeatedScalarFieldContainer[str]
    call: PhoneCall
    def __init__(self, relying_party_id: _Optional[str] = ..., device_key: _Optional[str] = ..., presence_keys: _Optional[_Iterable[_Union[PresenceKey, _Mapping]]] = ..., name: _Optional[str] = ..., platform: _Optional[_Union[Platform, str]] = ..., app_version: _Optional[str] = ..., key_statement: _Optional[str] = ..., key_signatures: _Optional[_Iterable[str]] = ..., call: _Optional[_Union[PhoneCall, _Mapping]] = ...) -> None: ...

class RegisterDeviceResponse(_message.Message):
    __slots__ = ("device", "created", "device_identifier_jwt")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    DEVICE_IDENTIFIER_JWT_FIELD_NUMBER: _ClassVar[int]
    device: Device
    created: bool
    device_identifier_jwt: str
    def __init__(self, device: _Optional[_Union[Device, _Mapping]] = ..., created: bool = ..., device_identifier_jwt: _Optional[str] = ...) -> None: ...

class ResolveDeviceRequest(_message.Message):
    __slots__ = ("device_id",)
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    def __init__(self, device_id: _Optional[str] = ...) -> None: ...

class ResolveDeviceResponse(_message.Message):
    __slots__ = ("relying_party_id", "retired")
    RELYING_PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    RETIRED_FIELD_NUMBER: _ClassVar[int]
    relying_party_id: str
    retired: bool
    def __init__(self, relying_party_id: _Optional[str] = ..., retired: bool = ...) -> None: ...

class UpdateDeviceRequest(_message.Message):
    __slots__ = ("device_id", "presence_keys", "name", "app_version", "key_statement", "key_signatures", "call")
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_KEYS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    APP_VERSION_FIELD_NUMBER: _ClassVar[int]
    KEY_STATEMENT_FIELD_NUMBER: _ClassVar[int]
    KEY_SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    presence_keys: _containers.RepeatedCompositeFieldContainer[PresenceKey]
    name: str
    app_version: str
    key_statement: str
    key_signatures: _containers.RepeatedScalarFieldContainer[str]
    call: PhoneCall
    def __init__(self, device_id: _Optional[str] = ..., presence_keys: _Optional[_Iterable[_Union[PresenceKey, _Mapping]]] = ..., name: _Optional[str] = ..., app_version: _Optional[str] = ..., key_statement: _Optional[str] = ..., key_signatures: _Optional[_Iterable[str]] = ..., call: _Optional[_Union[PhoneCall, _Mapping]] = ...) -> None: ...

class IssueDeviceIdentifierJwtRequest(_message.Message):
    __slots__ = ("device_id",)
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    def __init__(self, device_id: _Optional[str] = ...) -> None: ...

class IssueDeviceIdentifierJwtResponse(_message.Message):
    __slots__ = ("device_identifier_jwt",)
    DEVICE_IDENTIFIER_JWT_FIELD_NUMBER: _ClassVar[int]
    device_identifier_jwt: str
    def __init__(self, device_identifier_jwt: _Optional[str] = ...) -> None: ...

class GetDeviceRequest(_message.Message):
    __slots__ = ("device_id",)
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    def __init__(self, device_id: _Optional[str] = ...) -> None: ...

class ListDevicesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDevicesResponse(_message.Message):
    __slots__ = ("devices", "next_page_token")
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    devices: _containers.RepeatedCompositeFieldContainer[Device]
    next_page_token: str
    def __init__(self, devices: _Optional[_Iterable[_Union[Device, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ApproveDeviceKeysRequest(_message.Message):
    __slots__ = ("device_id", "thumbprints")
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    THUMBPRINTS_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    thumbprints: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, device_id: _Optional[str] = ..., thumbprints: _Optional[_Iterable[str]] = ...) -> None: ...

class VerifyTransferRequest(_message.Message):
    __slots__ = ("device_id", "statement", "signature", "request")
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    statement: str
    signature: str
    request: str
    def __init__(self, device_id: _Optional[str] = ..., statement: _Optional[str] = ..., signature: _Optional[str] = ..., request: _Optional[str] = ...) -> None: ...

class VerifiedTransfer(_message.Message):
    __slots__ = ("new_device_id", "act", "challenged_at")
    NEW_DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    ACT_FIELD_NUMBER: _ClassVar[int]
    CHALLENGED_AT_FIELD_NUMBER: _ClassVar[int]
    new_device_id: str
    act: TransferAct
    challenged_at: _timestamp_pb2.Timestamp
    def __init__(self, new_device_id: _Optional[str] = ..., act: _Optional[_Union[TransferAct, str]] = ..., challenged_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RetireDeviceRequest(_message.Message):
    __slots__ = ("device_id",)
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    def __init__(self, device_id: _Optional[str] = ...) -> None: ...
