"""Calls against a server on a real socket: what is sent, what is repeated, what is raised."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import grpc
import pytest

import nodkey
from fake import SECRET, TOKEN, Driver, FakeServer, Refusal
from nodkey import FieldViolation, Kind, NodkeyError, _settings
from nodkey._keys import b64u_decode
from nodkey._proto.binding.v1 import bindings_pb2, users_pb2
from nodkey._proto.notification.v1 import deliveries_pb2, endpoints_pb2
from nodkey._proto.registry.v1 import signing_keys_pb2
from nodkey._proto.trusonafication.v1 import trusonafications_pb2

Connect = Callable[..., Driver]
UNAVAILABLE = Refusal(grpc.StatusCode.UNAVAILABLE)
CREATED = trusonafications_pb2.CreateTrusonaficationResponse(
    trusonafication={"id": "t", "status": trusonafications_pb2.STATUS_IN_PROGRESS}, match_number="42"
)


def create(client: Any, **parameters: Any) -> Any:
    return client.trusonafications.create(**parameters)


async def test_a_call_that_a_server_did_not_take_is_repeated_with_the_same_request_id_and_a_new_token(
    server: FakeServer, connect: Connect
) -> None:
    for answer in (UNAVAILABLE, UNAVAILABLE, bindings_pb2.Binding(id="b", state=bindings_pb2.BINDING_STATE_INACTIVE)):
        server.answer("CreateBinding", answer)
    driver = connect(server.url, clock=itertools.count(1_790_000_000).__next__)
    binding = await driver.call(lambda client: client.bindings.create(user="ada", device="d"))
    assert (binding.id, binding.state) == ("b", nodkey.BindingState.INACTIVE)
    assert [(asked.request.user_identifier, asked.request.device_identifier) for asked in server.asked] == [("ada", "d")] * 3
    identifiers = {asked.request.request_id for asked in server.asked}
    assert len(identifiers) == 1
    assert uuid.UUID(identifiers.pop()).version == 4
    tokens = [asked.metadata["authorization"] for asked in server.asked]
    assert len(set(tokens)) == 3
    assert {round(asked.seconds or 0) for asked in server.asked} == {10}
    claims = json.loads(b64u_decode(tokens[0].removeprefix("Bearer ").split(".")[1]))
    assert claims == {"aud": "nodkey", "iat": 1_790_000_000, "exp": 1_790_000_030}


async def test_each_call_has_a_request_id_of_its_own_unless_the_caller_has_one(server: FakeServer, connect: Connect) -> None:
    server.answer("CreateTrusonafication", CREATED)
    driver = connect(server.url)
    for request_id in (None, None, "mine"):
        await driver.call(partial(create, user="ada", action="a", resource="r", request_id=request_id))
    first, second, third = (asked.request.request_id for asked in server.asked)
    assert first != second
    assert third == "mine"


async def test_after_three_attempts_the_error_is_raised(server: FakeServer, connect: Connect) -> None:
    server.answer("GetUser", Refusal(grpc.StatusCode.UNAVAILABLE, "OVERLOADED", "UNAVAILABLE", "too much"))
    with pytest.raises(NodkeyError) as caught:
        await connect(server.url).call(lambda client: client.users.get("ada"))
    assert len(server.asked) == 3
    assert (caught.value.reason, caught.value.kind, caught.value.retryable) == ("OVERLOADED", Kind.UNAVAILABLE, True)
    assert str(caught.value) == "too much (OVERLOADED)"


async def test_a_refusal_is_not_repeated_and_says_which_fields_are_wrong(server: FakeServer, connect: Connect) -> None:
    fields = {"action": "must not be blank", "resource": "is too long"}
    server.answer("CreateTrusonafication", Refusal(grpc.StatusCode.INVALID_ARGUMENT, "VALIDATION_FAILED", "INVALID", fields=fields))
    with pytest.raises(NodkeyError) as caught:
        await connect(server.url).call(lambda client: client.trusonafications.create(user="ada", action="", resource="r"))
    assert len(server.asked) == 1
    assert caught.value.fields == tuple(FieldViolation(*violation) for violation in fields.items())
    assert not caught.value.retryable


async def test_the_kind_is_the_servers_as_there_are_more_kinds_than_codes(server: FakeServer, connect: Connect) -> None:
    server.answer("ActivateBinding", Refusal(grpc.StatusCode.FAILED_PRECONDITION, "BINDING_DEACTIVATED", "GONE"))
    with pytest.raises(NodkeyError) as caught:
        await connect(server.url).call(lambda client: client.bindings.activate("b"))
    assert caught.value.kind is Kind.GONE


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED])
async def test_what_no_server_of_nodkey_said_is_repeated(server: FakeServer, connect: Connect, code: grpc.StatusCode) -> None:
    server.answer("GetUser", Refusal(code))
    server.answer("GetUser", users_pb2.User(user_identifier="ada", devices=2))
    user = await connect(server.url).call(lambda client: client.users.get("ada"))
    assert (user.user_identifier, user.devices, user.freeze) == ("ada", 2, None)
    assert len(server.asked) == 2


async def test_a_fault_that_the_server_knows_of_is_not_repeated(server: FakeServer, connect: Connect) -> None:
    server.answer("GetUser", Refusal(grpc.StatusCode.INTERNAL, "INTERNAL", "INTERNAL"))
    with pytest.raises(NodkeyError, match="INTERNAL"):
        await connect(server.url).call(lambda client: client.users.get("ada"))
    assert len(server.asked) == 1


async def test_a_rate_is_waited_for_only_where_the_server_says_how_long_and_no_other_limit_is(server: FakeServer, connect: Connect) -> None:
    driver = connect(server.url)
    exhausted = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", "EXHAUSTED", retry_after=0.01)
    server.answer("GetUser", exhausted)
    server.answer("GetUser", users_pb2.User(user_identifier="ada"))
    await driver.call(lambda client: client.users.get("ada"))
    assert len(server.asked) == 2
    for refusal in (
        Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", "EXHAUSTED", retry_after=3600),
        Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", "EXHAUSTED"),
        Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "PROMPT_BUDGET_EXHAUSTED", "EXHAUSTED", retry_after=0.01),
    ):
        server.asked.clear()
        server.answers.clear()
        server.answer("GetUser", refusal)
        with pytest.raises(NodkeyError) as caught:
            await driver.call(lambda client: client.users.get("ada"))
        assert len(server.asked) == 1
        assert caught.value.retry_after == refusal.retry_after


async def test_a_server_that_is_not_there_is_named(server: FakeServer, connect: Connect) -> None:
    server.stop()
    with pytest.raises(NodkeyError) as caught:
        await connect(server.url).call(lambda client: client.users.get("ada"))
    assert (caught.value.reason, caught.value.kind) == ("UNAVAILABLE", Kind.UNAVAILABLE)
    assert caught.value.message.startswith(f"cannot reach {server.url}: ")


async def test_an_attempt_ends_in_time(server: FakeServer, connect: Connect) -> None:
    server.answer("GetUser", threading.Event())
    with pytest.raises(NodkeyError) as caught:
        await connect(server.url, timeout=0.05).call(lambda client: client.users.get("ada"))
    assert (caught.value.reason, caught.value.message) == ("DEADLINE_EXCEEDED", f"no answer from {server.url} in time")


async def test_pages_are_fetched_as_they_are_needed(server: FakeServer, connect: Connect) -> None:
    pages = {"": (("a", "b"), "2"), "2": ((), "3"), "3": (("c",), "")}
    for identifiers, token in pages.values():
        bindings = [bindings_pb2.Binding(id=identifier) for identifier in identifiers]
        server.answer("ListBindings", bindings_pb2.ListBindingsResponse(bindings=bindings, next_page_token=token))
    driver = connect(server.url)
    some = await driver.items(lambda client: client.bindings.list(user="ada", page_size=2), limit=1)
    assert [binding.id for binding in some] == ["a"]
    assert len(server.asked) == 1
    rest = await driver.items(lambda client: client.bindings.list())
    assert [binding.id for binding in rest] == ["c"]
    server.answers.clear()
    server.asked.clear()
    for identifiers, token in pages.values():
        bindings = [bindings_pb2.Binding(id=identifier) for identifier in identifiers]
        server.answer("ListBindings", bindings_pb2.ListBindingsResponse(bindings=bindings, next_page_token=token))
    all_of_them = await driver.items(lambda client: client.bindings.list(state=nodkey.BindingState.ACTIVE, page_size=2))
    assert [binding.id for binding in all_of_them] == ["a", "b", "c"]
    assert [asked.request.page_token for asked in server.asked] == list(pages)
    assert {(asked.request.page_size, asked.request.state) for asked in server.asked} == {(2, bindings_pb2.BINDING_STATE_ACTIVE)}


async def test_custom_fields_are_sent_exactly_in_their_order(server: FakeServer, connect: Connect) -> None:
    server.answer("CreateTrusonafication", CREATED)
    fields = {"to": "Jörg", "amount": 12345678901234567890123, "deep": {"z": [1, 2.5, None], "a": True}}
    driver = connect(server.url)
    created = await driver.call(
        lambda client: client.trusonafications.create(
            code="c", action="pay", resource="r", custom_fields=fields, level=3, number_match=nodkey.NumberMatch.ENTER
        )
    )
    assert (created.id, created.match_number, created.trusonafication.is_terminal) == ("t", "42", False)
    request = server.asked[0].request
    assert request.custom_fields_json == '{"to":"Jörg","amount":12345678901234567890123,"deep":{"z":[1,2.5,null],"a":true}}'
    assert (request.WhichOneof("target"), request.desired_level, request.shows_number) == ("trucode_id", 3, True)
    assert not any(request.HasField(name) for name in ("prompt", "user_presence", "expires_at", "request_context", "custom_fields"))


async def test_what_is_absent_is_not_sent_and_what_is_empty_is(server: FakeServer, connect: Connect) -> None:
    server.answer("UpdateEndpoint", endpoints_pb2.Endpoint(id="e", enabled=True))
    driver = connect(server.url)
    await driver.call(lambda client: client.endpoints.update("e", event_types=[]))
    await driver.call(lambda client: client.endpoints.update("e", enabled=False))
    first, second = (asked.request for asked in server.asked)
    assert first.HasField("event_types")
    assert not first.HasField("enabled")
    assert not second.HasField("event_types")
    assert (second.HasField("enabled"), second.enabled, second.HasField("url")) == (True, False, False)


async def test_a_parameter_that_is_wrong_is_refused_before_anything_is_sent(server: FakeServer, connect: Connect) -> None:
    driver = connect(server.url)
    given: dict[str, Any] = {"action": "a", "resource": "r"}
    for wrong in (
        given,
        given | {"user": "ada", "code": "c"},
        given | {"user": 7},
        given | {"user": "ada", "level": "2"},
        given | {"user": "ada", "expires_at": datetime(2026, 1, 1)},  # noqa: DTZ001
        given | {"user": "ada", "custom_fields": {"amount": float("nan")}},
        given | {"user": "ada", "custom_fields": {"a": 1}, "custom_fields_json": "{}"},
        given | {"user": "\ud800"},
        given | {"user": b"ada"},
        given | {"user": ["ada"]},
        given | {"user": datetime(2026, 1, 1, tzinfo=timezone.utc)},
    ):
        with pytest.raises(NodkeyError) as caught:
            await driver.call(partial(create, **wrong))
        assert (caught.value.reason, caught.value.kind) == ("INVALID_PARAMETER", Kind.INVALID), wrong
    with pytest.raises(NodkeyError, match="INVALID_PARAMETER"):
        await driver.call(lambda client: client.endpoints.create("https://shop.example.com", event_types="user.frozen"))
    assert server.asked == []


async def test_times_are_in_utc_whatever_the_zone_they_were_given_in(server: FakeServer, connect: Connect) -> None:
    server.answer("RedeliverMany", deliveries_pb2.RedeliverManyResponse(count=3))
    since = datetime(2026, 9, 21, 16, 0, tzinfo=timezone(timedelta(hours=2)))
    assert await connect(server.url).call(lambda client: client.deliveries.redeliver_many(since=since)) == 3
    assert server.asked[0].request.since.ToJsonString() == "2026-09-21T14:00:00Z"
    assert not server.asked[0].request.HasField("until")


async def test_what_a_later_release_says_is_unspecified_here(server: FakeServer, connect: Connect) -> None:
    server.answer("GetTrusonafication", trusonafications_pb2.Trusonafication(id="t", status=99))  # type: ignore[arg-type]
    found = await connect(server.url).call(lambda client: client.trusonafications.get("t"))
    assert (found.status, found.is_terminal, found.is_success) == (nodkey.Status.UNSPECIFIED, False, False)


async def test_an_answer_that_cannot_be_read_is_an_error(server: FakeServer, connect: Connect) -> None:
    server.answer("GetJwks", signing_keys_pb2.GetJwksResponse(jwks="[]"))
    server.answer("GetEvidence", trusonafications_pb2.Evidence(challenge="c", response="r", keys=["7"]))
    server.answer("CreateTrusonafication", trusonafications_pb2.CreateTrusonaficationResponse())
    driver = connect(server.url)
    for use in (
        lambda client: client.jwks.get(),
        lambda client: client.trusonafications.evidence("t"),
        lambda client: client.trusonafications.create(user="ada", action="a", resource="r"),
    ):
        with pytest.raises(NodkeyError) as caught:
            await driver.call(use)
        assert (caught.value.reason, caught.value.kind) == ("UNEXPECTED_ANSWER", Kind.INTERNAL)


async def test_no_secret_is_in_a_message_or_the_text_of_an_object(server: FakeServer, connect: Connect) -> None:
    server.answer("CreateEndpoint", endpoints_pb2.CreateEndpointResponse(endpoint={"id": "e"}, secret="whsec_SECRET"))
    server.answer("GetUser", Refusal(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", "UNAUTHENTICATED", "who are you"))
    driver = connect(server.url)
    created = await driver.call(lambda client: client.endpoints.create("https://shop.example.com"))
    assert created.secret == "whsec_SECRET"
    with pytest.raises(NodkeyError) as caught:
        await driver.call(lambda client: client.users.get("ada"))
    core = driver.client._core
    shown = [driver.client, created, caught.value, core.settings, core.settings.credential, vars(caught.value)]
    for text in map(repr, shown):
        assert not any(secret in text for secret in (SECRET, TOKEN, "whsec_SECRET", "Bearer")), text


async def test_who_accepts_a_connection_and_says_nothing_did_not_answer_in_time(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    options = dict(_settings._OPTIONS) | {"grpc.min_reconnect_backoff_ms": 100}
    monkeypatch.setattr(_settings, "_OPTIONS", tuple(options.items()))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(NodkeyError) as caught:
            await connect(url).call(lambda client: client.users.get("ada"))
    assert (caught.value.reason, caught.value.message) == ("DEADLINE_EXCEEDED", f"no answer from {url} in time")


async def test_an_attempt_after_one_without_an_answer_is_on_a_new_connection(server: FakeServer, connect: Connect) -> None:
    driver = connect(server.url, timeout=0.3)
    server.answer("GetUser", threading.Event())
    server.answer("GetUser", users_pb2.User(user_identifier="ada"))
    await driver.call(lambda client: client.users.get("ada"))
    assert len({asked.peer for asked in server.asked}) == 2
