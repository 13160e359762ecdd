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

class BindingState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BINDING_STATE_UNSPECIFIED: _ClassVar[BindingState]
    BINDING_STATE_INACTIVE: _ClassVar[BindingState]
    BINDING_STATE_ACTIVE: _ClassVar[BindingState]
    BINDING_STATE_DEACTIVATED: _ClassVar[BindingState]
BINDING_STATE_UNSPECIFIED: BindingState
BINDING_STATE_INACTIVE: BindingState
BINDING_STATE_ACTIVE: BindingState
BINDING_STATE_DEACTIVATED: BindingState

class Binding(_message.Message):
    __slots__ = ("id", "relying_party_id", "user_identifier", "device_identifier", "state", "created_at", "activated_at", "deactivated_at", "user_frozen", "vouched_by", "user_devices")
    ID_FIELD_NUMBER: _ClassVar[int]
    RELYING_PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    USER_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    DEVICE_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    ACTIVATED_AT_FIELD_NUMBER: _ClassVar[int]
    DEACTIVATED_AT_FIELD_NUMBER: _ClassVar[int]
    USER_FROZEN_FIELD_NUMBER: _ClassVar[int]
    VOUCHED_BY_FIELD_NUMBER: _ClassVar[int]
    USER_DEVICES_FIELD_NUMBER: _ClassVar[int]
    id: str
    relying_party_id: str
    user_identifier: str
    device_identifier: str
    state: BindingState
    created_at: _timestamp_pb2.Timestamp
    activated_at: _timestamp_pb2.Timestamp
    deactivated_at: _timestamp_pb2.Timestamp
    user_frozen: bool
    vouched_by: str
    user_devices: _containers.RepeatedCompositeFieldContainer[UserDevice]
    def __init__(self, id: _Optional[str] = ..., relying_party_id: _Optional[str] = ..., user_identifier: _Optional[str] = ..., device_identifier: _Optional[str] = ..., state: _Optional[_Union[BindingState, str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., activated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deactivated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., user_frozen: bool = ..., vouched_by: _Optional[str] = ..., user_devices: _Optional[_Iterable[_Union[UserDevice, _Mapping]]] = ...) -> None: ...

class UserDevice(_message.Message):
    __slots__ = ("activated_at", "is_this")
    ACTIVATED_AT_FIELD_NUMBER: _ClassVar[int]
    IS_THIS_FIELD_NUMBER: _ClassVar[int]
    activated_at: _timestamp_pb2.Timestamp
    is_this: bool
    def __init__(self, activated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., is_this: bool = ...) -> None: ...

class CreateBindingRequest(_message.Message):
    __slots__ = ("request_id", "user_identifier", "device_identifier")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    USER_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    DEVICE_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    user_identifier: str
    device_identifier: str
    def __init__(self, request_id: _Optional[str] = ..., user_identifier: _Optional[str] = ..., device_identifier: _Optional[str] = ...) -> None: ...

class ActivateBindingRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class DeactivateBindingRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class TransferBindingRequest(_message.Message):
    __slots__ = ("device_identifier", "statement", "signature", "request")
    DEVICE_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    device_identifier: str
    statement: str
    signature: str
    request: str
    def __init__(self, device_identifier: _Optional[str] = ..., statement: _Optional[str] = ..., signature: _Optional[str] = ..., request: _Optional[str] = ...) -> None: ...

class GetBindingRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetDeviceBindingRequest(_message.Message):
    __slots__ = ("device_identifier", "with_user_devices")
    DEVICE_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    WITH_USER_DEVICES_FIELD_NUMBER: _ClassVar[int]
    device_identifier: str
    with_user_devices: bool
    def __init__(self, device_identifier: _Optional[str] = ..., with_user_devices: bool = ...) -> None: ...

class ListBindingsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "user_identifier", "state")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    USER_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    user_identifier: str
    state: BindingState
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., user_identifier: _Optional[str] = ..., state: _Optional[_Union[BindingState, str]] = ...) -> None: ...

class ListBindingsResponse(_message.Message):
    __slots__ = ("bindings", "next_page_token")
    BINDINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    bindings: _containers.RepeatedCompositeFieldContainer[Binding]
    next_page_token: str
    def __init__(self, bindings: _Optional[_Iterable[_Union[Binding, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
