from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class Principal(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRINCIPAL_UNSPECIFIED: _ClassVar[Principal]
    PRINCIPAL_PUBLIC: _ClassVar[Principal]
    PRINCIPAL_BACKEND: _ClassVar[Principal]
    PRINCIPAL_OPERATOR: _ClassVar[Principal]
    PRINCIPAL_OWNER: _ClassVar[Principal]
    PRINCIPAL_AUDITOR: _ClassVar[Principal]
    PRINCIPAL_GATEWAY: _ClassVar[Principal]
    PRINCIPAL_REGISTRY: _ClassVar[Principal]
    PRINCIPAL_BINDING: _ClassVar[Principal]
    PRINCIPAL_TRUSONAFICATION: _ClassVar[Principal]
    PRINCIPAL_NOTIFICATION: _ClassVar[Principal]
    PRINCIPAL_GATEWAY_FOR_CONSOLE: _ClassVar[Principal]
    PRINCIPAL_REGISTRY_FOR_CONSOLE: _ClassVar[Principal]
    PRINCIPAL_SELF: _ClassVar[Principal]

class Text(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TEXT_UNSPECIFIED: _ClassVar[Text]
    TEXT_LINES: _ClassVar[Text]
    TEXT_ANY: _ClassVar[Text]
PRINCIPAL_UNSPECIFIED: Principal
PRINCIPAL_PUBLIC: Principal
PRINCIPAL_BACKEND: Principal
PRINCIPAL_OPERATOR: Principal
PRINCIPAL_OWNER: Principal
PRINCIPAL_AUDITOR: Principal
PRINCIPAL_GATEWAY: Principal
PRINCIPAL_REGISTRY: Principal
PRINCIPAL_BINDING: Principal
PRINCIPAL_TRUSONAFICATION: Principal
PRINCIPAL_NOTIFICATION: Principal
PRINCIPAL_GATEWAY_FOR_CONSOLE: Principal
PRINCIPAL_REGISTRY_FOR_CONSOLE: Principal
PRINCIPAL_SELF: Principal
TEXT_UNSPECIFIED: Text
TEXT_LINES: Text
TEXT_ANY: Text
ALLOW_FIELD_NUMBER: _ClassVar[int]
allow: _descriptor.FieldDescriptor
RECONFIRM_FIELD_NUMBER: _ClassVar[int]
reconfirm: _descriptor.FieldDescriptor
TEXT_FIELD_NUMBER: _ClassVar[int]
text: _descriptor.FieldDescriptor
MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
max_bytes: _descriptor.FieldDescriptor
