import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from nodkey._proto.binding.v1 import bindings_pb2 as _bindings_pb2
from nodkey._proto.options.v1 import options_pb2 as _options_pb2
from nodkey._proto.registry.v1 import devices_pb2 as _devices_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FrozenBy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FROZEN_BY_UNSPECIFIED: _ClassVar[FrozenBy]
    FROZEN_BY_BACKEND: _ClassVar[FrozenBy]
    FROZEN_BY_OPERATOR: _ClassVar[FrozenBy]
    FROZEN_BY_DEVICE: _ClassVar[FrozenBy]
FROZEN_BY_UNSPECIFIED: FrozenBy
FROZEN_BY_BACKEND: FrozenBy
FROZEN_BY_OPERATOR: FrozenBy
FROZEN_BY_DEVICE: FrozenBy

class User(_message.Message):
    __slots__ = ("user_identifier", "freeze", "devices")
    USER_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    FREEZE_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    user_identifier: str
    freeze: Freeze
    devices: int
    def __init__(self, user_identifier: _Optional[str] = ..., freeze: _Optional[_Union[Freeze, _Mapping]] = ..., devices: _Optional[int] = ...) -> None: ...

class Freeze(_message.Message):
    __slots__ = ("frozen_at", "frozen_by", "frozen_by_device", "note")
    FROZEN_AT_FIELD_NUMBER: _ClassVar[int]
    FROZEN_BY_FIELD_NUMBER: _ClassVar[int]
    FROZEN_BY_DEVICE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    frozen_at: _timestamp_pb2.Timestamp
    frozen_by: FrozenBy
    frozen_by_device: str
    note: str
    def __init__(self, frozen_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., frozen_by: _Optional[_Union[FrozenBy, str]] = ..., frozen_by_device: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class DeactivateUserRequest(_message.Message):
    __slots__ = ("user_identifier",)
    USER_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    user_identifier: str
    def __init__(self, user_identifier: _Optional[str] = ...) -> None: ...

class DeactivateUserResponse(_message.Message):
    __slots__ = ("device_identifiers",)
    DEVICE_IDENTIFIERS_FIELD_NUMBER: _ClassVar[int]
    device_identifiers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, device_identifiers: _Optional[_Iterable[str]] = ...) -> None: ...

class ListUserDevicesRequest(_message.Message):
    __slots__ = ("user_identifier",)
    USER_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    user_identifier: str
    def __init__(self, user_identifier: _Optional[str] = ...) -> None: ...

class ListUserDevicesResponse(_message.Message):
    __slots__ = ("bindings",)
    BINDINGS_FIELD_NUMBER: _ClassVar[int]
    bindings: _containers.RepeatedCompositeFieldContainer[_bindings_pb2.Binding]
    def __init__(self, bindings: _Optional[_Iterable[_Union[_bindings_pb2.Binding, _Mapping]]] = ...) -> None: ...

class FreezeUserRequest(_message.Message):
    __slots__ = ("user_identifier", "note")
    USER_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    user_identifier: str
    note: str
    def __init__(self, user_identifier: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class FreezeDeviceUserRequest(_message.Message):
    __slots__ = ("device_identifier", "call")
    DEVICE_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    device_identifier: str
    call: _devices_pb2.PhoneCall
    def __init__(self, device_identifier: _Optional[str] = ..., call: _Optional[_Union[_devices_pb2.PhoneCall, _Mapping]] = ...) -> None: ...

class ReleaseUserRequest(_message.Message):
    __slots__ = ("user_identifier",)
    USER_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    user_identifier: str
    def __init__(self, user_identifier: _Optional[str] = ...) -> None: ...

class GetUserRequest(_message.Message):
    __slots__ = ("user_identifier",)
    USER_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    user_identifier: str
    def __init__(self, user_identifier: _Optional[str] = ...) -> None: ...

class ListUsersRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "prefix")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    prefix: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., prefix: _Optional[str] = ...) -> None: ...

class ListUsersResponse(_message.Message):
    __slots__ = ("users", "next_page_token")
    USERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[User]
    next_page_token: str
    def __init__(self, users: _Optional[_Iterable[_Union[User, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
