import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from nodkey._proto.options.v1 import options_pb2 as _options_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateTruCodeRequest(_message.Message):
    __slots__ = ("relying_party_id", "origin", "place")
    RELYING_PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    relying_party_id: str
    origin: str
    place: str
    def __init__(self, relying_party_id: _Optional[str] = ..., origin: _Optional[str] = ..., place: _Optional[str] = ...) -> None: ...

class TruCode(_message.Message):
    __slots__ = ("id", "relying_party_id", "payload", "expires_at", "match_number")
    ID_FIELD_NUMBER: _ClassVar[int]
    RELYING_PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    MATCH_NUMBER_FIELD_NUMBER: _ClassVar[int]
    id: str
    relying_party_id: str
    payload: str
    expires_at: _timestamp_pb2.Timestamp
    match_number: str
    def __init__(self, id: _Optional[str] = ..., relying_party_id: _Optional[str] = ..., payload: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., match_number: _Optional[str] = ...) -> None: ...

class GetTruCodeStatusRequest(_message.Message):
    __slots__ = ("id", "origin")
    ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    id: str
    origin: str
    def __init__(self, id: _Optional[str] = ..., origin: _Optional[str] = ...) -> None: ...

class TruCodeStatus(_message.Message):
    __slots__ = ("id", "paired", "expires_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    PAIRED_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    paired: bool
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., paired: bool = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetTruCodeContextRequest(_message.Message):
    __slots__ = ("reference",)
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    reference: str
    def __init__(self, reference: _Optional[str] = ...) -> None: ...

class TruCodeContext(_message.Message):
    __slots__ = ("relying_party_name", "origin", "place", "match_number", "expires_at")
    RELYING_PARTY_NAME_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    MATCH_NUMBER_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    relying_party_name: str
    origin: str
    place: str
    match_number: bool
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, relying_party_name: _Optional[str] = ..., origin: _Optional[str] = ..., place: _Optional[str] = ..., match_number: bool = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PairTruCodeRequest(_message.Message):
    __slots__ = ("payload", "identifier", "proven", "match_number")
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    PROVEN_FIELD_NUMBER: _ClassVar[int]
    MATCH_NUMBER_FIELD_NUMBER: _ClassVar[int]
    payload: str
    identifier: str
    proven: bool
    match_number: str
    def __init__(self, payload: _Optional[str] = ..., identifier: _Optional[str] = ..., proven: bool = ..., match_number: _Optional[str] = ...) -> None: ...

class Pairing(_message.Message):
    __slots__ = ("id", "identifier")
    ID_FIELD_NUMBER: _ClassVar[int]
    IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    id: str
    identifier: str
    def __init__(self, id: _Optional[str] = ..., identifier: _Optional[str] = ...) -> None: ...

class GetPairingRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...
