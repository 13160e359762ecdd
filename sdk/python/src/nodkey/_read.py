"""Reads messages of proto/ into the types of this package: members by their names."""

from __future__ import annotations

import types
from dataclasses import fields
from datetime import datetime, timezone
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from nodkey._enums import ProtoEnum

T = TypeVar("T")


def read(kind: type[T], message: Message) -> T:
    """Reads a message whose fields include those of the dataclass `kind`."""
    members: tuple[tuple[str, Any], ...] = _members(kind)  # type: ignore[arg-type] # mypy does not see that types are hashable
    return kind(**{name: _value(hint, message, name) for name, hint in members})


def timestamp(at: datetime) -> Timestamp:
    """Writes a time, which has to have a time zone."""
    if at.tzinfo is None:
        raise ValueError("a time has to have a time zone: datetime.now(timezone.utc)")
    written = Timestamp()
    written.FromDatetime(at.astimezone(timezone.utc))
    return written


def names_of(message: Message, field: str) -> dict[int, str]:
    """The names of an enum, by their numbers: of the enum of this field."""
    kind = message.DESCRIPTOR.fields_by_name[field].enum_type
    return {} if kind is None else {number: value.name for number, value in kind.values_by_number.items()}


@cache
def _members(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(kind)
    return tuple((member.name, hints[member.name]) for member in fields(kind))


def _value(hint: Any, message: Message, name: str) -> Any:
    value = getattr(message, name)
    if get_origin(hint) in (Union, types.UnionType):
        hint = get_args(hint)[0]
        if not message.HasField(name):
            return None
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        return tuple(value) if inner is str else tuple(read(inner, one) for one in value)
    if issubclass(hint, ProtoEnum):
        return hint.read(names_of(message, name).get(value, ""))
    if hint is datetime:
        return value.ToDatetime(tzinfo=timezone.utc)
    return read(hint, value) if isinstance(value, Message) else value
