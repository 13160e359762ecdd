"""JSON as strict as the rest of Nodkey reads it: no repeated members where they matter, no NaN, no overflow, nothing but UTF-8."""

from __future__ import annotations

import json
import math
from typing import Any, TypeAlias

#: A JSON value, as `json.loads` returns it.
Json: TypeAlias = Any

WHITE_SPACE = " \t\n\r"


class InvalidJson(ValueError):
    """The text is not JSON, or not the JSON that belongs here."""


class Members(dict[str, Json]):
    """A JSON object that knows whether it repeats a member. Of repeated ones it has the last."""

    repeats = False


def _members(pairs: list[tuple[str, Json]]) -> Members:
    members = Members(pairs)
    members.repeats = len(members) != len(pairs)
    return members


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise InvalidJson("a number is out of range")
    return number


def _integer(text: str) -> int:
    if len(text) > 300:
        _number(text)
    return int(text)


def _constant(text: str) -> float:
    raise InvalidJson(f"{text} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_float=_number, parse_int=_integer, parse_constant=_constant)


def _text(source: str | bytes) -> str:
    try:
        text = source if isinstance(source, str) else source.decode()
        # A lone surrogate, which is no text in UTF-8.
        text.encode()
    except UnicodeError as error:
        raise InvalidJson("not UTF-8") from error
    return text


def parse(source: str | bytes) -> Json:
    """Reads a JSON text. Raises InvalidJson."""
    text = _text(source)
    value, end = _value(text, _skip(text, 0))
    if _skip(text, end) != len(text):
        raise InvalidJson("something follows the value")
    return value


def parse_object(source: str | bytes) -> Members:
    """Reads a JSON text that is an object without repeated members. Objects inside it say themselves whether they have some."""
    value = parse(source)
    if not isinstance(value, Members) or value.repeats:
        raise InvalidJson("not an object, or one that repeats a member")
    return value


def raw_members(source: bytes) -> dict[str, tuple[Json, str]]:
    """Reads a JSON text that is an object without repeated members: each value, and its characters as they are in the text."""
    text, members = _text(source), dict[str, tuple[Json, str]]()
    if parse_object(text) == {}:
        return members
    # The text is valid, so there is no need to look for what may be missing.
    at = _skip(text, _skip(text, 0) + 1)
    while True:
        name, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)
        value, end = _DECODER.raw_decode(text, at)
        members[name] = value, text[at:end]
        at = _skip(text, end)
        if text[at] == "}":
            return members
        at = _skip(text, at + 1)


def _value(text: str, at: int) -> tuple[Json, int]:
    try:
        value, end = _DECODER.raw_decode(text, at)
        if "\\u" in text:
            _refuse_lone_surrogates(value)
    except RecursionError as error:
        raise InvalidJson("nested too deep") from error
    except InvalidJson:
        raise
    except ValueError as error:
        raise InvalidJson(str(error)) from error
    return value, end


def _refuse_lone_surrogates(value: Json) -> None:
    """An escape may name half a character, which is no text."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise InvalidJson("half of a surrogate pair") from error


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in WHITE_SPACE:
        at += 1
    return at
