"""The package and sdk/spec, proto/ and itself: what says the same thing twice says the same."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor

import nodkey
from nodkey import AsyncNodkey, Kind, Nodkey, NodkeyError, _calls, _credential, _enums, _errors, _models, _retry, _settings
from nodkey._sync import core

ROOT = Path(__file__).resolve().parents[1]
SPEC: dict[str, Any] = json.loads((ROOT.parent / "spec/server.json").read_text())
RESOURCES = ("bindings", "codes", "deliveries", "devices", "documents", "endpoints", "jwks", "trusonafications", "users")
#: What the package calls otherwise than proto/: the message, and what it has not.
MESSAGES: dict[str, tuple[str, set[str]]] = {
    "Attempt": ("notification.v1.Attempt", set()),
    "Binding": ("binding.v1.Binding", set()),
    "CreatedTrusonafication": ("trusonafication.v1.CreateTrusonaficationResponse", set()),
    "DeactivatedUser": ("binding.v1.DeactivateUserResponse", set()),
    "Delivery": ("notification.v1.Delivery", set()),
    "Device": ("registry.v1.Device", set()),
    "Endpoint": ("notification.v1.Endpoint", set()),
    "EndpointWithSecret": ("notification.v1.CreateEndpointResponse", set()),
    "Freeze": ("binding.v1.Freeze", set()),
    "IdentityDocument": ("registry.v1.IdentityDocument", set()),
    "Pairing": ("trusonafication.v1.Pairing", set()),
    "PresenceKey": ("registry.v1.PresenceKey", set()),
    "RequestContext": ("trusonafication.v1.RequestContext", set()),
    "Result": ("trusonafication.v1.Result", set()),
    # Deprecated: its JSON is there.
    "Trusonafication": ("trusonafication.v1.Trusonafication", {"custom_fields"}),
    "User": ("binding.v1.User", set()),
    "UserDevice": ("binding.v1.UserDevice", set()),
}


def client(kind: type[Nodkey | AsyncNodkey]) -> Any:
    return kind("http://127.0.0.1:1", "e30.eyJqdGkiOiJ4In0.c2ln", "secret")


@pytest.mark.parametrize("kind", [Nodkey, AsyncNodkey])
def test_every_call_of_the_specification_is_a_method_with_its_parameters(kind: type[Nodkey | AsyncNodkey]) -> None:
    known = client(kind)
    named = set()
    for call in SPEC["calls"]:
        resource, name = call["name"].split(".")
        parameters = inspect.signature(getattr(getattr(known, resource), name)).parameters
        expected = {"timeout" if parameter == "timeout_seconds" else parameter for parameter in call["parameters"]}
        extra = {"trusonafications.watch": {"timeout"}, "jwks.get": {"refresh"}}.get(call["name"], set())
        assert set(parameters) == expected | extra, call["name"]
        for parameter, about in call["parameters"].items():
            has_default = parameters[parameter.replace("_seconds", "") if parameter == "timeout_seconds" else parameter].default
            assert (has_default is inspect.Parameter.empty) == about.get("required", False), (call["name"], parameter)
        named.add((resource, name))
    methods = {(resource, name) for resource in RESOURCES for name in vars(type(getattr(known, resource))) if not name.startswith("_")}
    assert methods == named, "and there are no others"


def test_every_call_is_that_rpc() -> None:
    pool = descriptor_pool.Default()
    called = set()
    for source in re.findall(r'_[A-Z_]+ \+ "\w+"|"/nodkey\S+/\w+"|_(?:binding|user|device|document|endpoint|delivery)\w*\(\s*"\w+"', CALLS):
        called.add(re.findall(r"\w+", source)[-1])
    for call in SPEC["calls"]:
        service, name = call["rpc"].split("/")
        method = pool.FindMethodByName(f"{service}.{name}")
        assert call.get("stream", call["name"] == "trusonafications.wait") == method.server_streaming
        assert name in CALLS, name
    assert called <= {call["rpc"].split("/")[1] for call in SPEC["calls"]}


CALLS = (ROOT / "src/nodkey/_calls.py").read_text()


def test_retries_deadlines_and_tokens_are_those_of_the_specification() -> None:
    retry, backoff = SPEC["retry"], SPEC["retry"]["backoff"]
    assert (_retry._ATTEMPTS, list(_retry._CODES)) == (retry["attempts"], retry["codes"])
    assert list(_retry._CODES_WITHOUT_REASON) == retry["codes_without_reason"]
    assert list(_retry._REASONS_WITH_RETRY_INFO) == retry["reasons_with_retry_info"]
    assert SPEC["wait"]["codes"] == ["RESOURCE_EXHAUSTED"]
    assert (backoff["first_milliseconds"], backoff["most_milliseconds"]) == (_retry._FIRST_SECONDS * 1000, _retry._MOST_SECONDS * 1000)
    assert retry["longest_pause_seconds"] == _retry._LONGEST_PAUSE_SECONDS
    assert (SPEC["deadlines"]["attempt_seconds"], SPEC["deadlines"]["wait_seconds"]) == (_retry.ATTEMPT_SECONDS, _retry.WAIT_SECONDS)
    options = dict(_settings._OPTIONS)
    assert options["grpc.keepalive_time_ms"] == SPEC["deadlines"]["keepalive_seconds"] * 1000
    assert options["grpc.min_reconnect_backoff_ms"] == SPEC["deadlines"]["connect_seconds"] * 1000
    assert SPEC["token"]["lifetime_seconds"] == _credential._LIFETIME
    assert SPEC["jwks_cache_seconds"] == core._KEYS_SECONDS


def test_kinds_of_errors_are_those_of_the_specification() -> None:
    errors = SPEC["errors"]
    assert [kind.value for kind in Kind] == errors["kinds"]
    assert {code: _errors._KINDS.get(code, Kind.INTERNAL).value for code in errors["kinds_of_codes"]} == errors["kinds_of_codes"]
    assert set(_errors._KINDS) <= set(errors["kinds_of_codes"])
    retryable = {kind.value for kind in Kind if NodkeyError("R", "m", kind=kind).retryable}
    assert retryable == set(errors["retryable_kinds"])
    assert all(hasattr(NodkeyError("R", "m"), member) for member in errors["members"])


def test_functions_of_the_specification_are_functions_of_the_package() -> None:
    for function in SPEC["functions"]:
        parameters = set(inspect.signature(getattr(nodkey, function["name"])).parameters)
        expected = set(function["parameters"])
        assert parameters - {"receipt"} == expected - ({"jwt"} if function["name"] == "verify_receipt" else set())


def test_types_have_all_that_messages_have() -> None:
    pool = descriptor_pool.Default()
    types = {name: kind for name, kind in vars(_models).items() if isinstance(kind, type) and kind.__module__ == _models.__name__}
    assert set(types) == set(MESSAGES)
    for name, (message, left_out) in MESSAGES.items():
        descriptor: Descriptor = pool.FindMessageTypeByName(f"nodkey.{message}")
        assert {field.name for field in fields(types[name])} == set(descriptor.fields_by_name) - left_out, name


def test_enums_have_all_values() -> None:
    pool = descriptor_pool.Default()
    homes = ("binding", "notification", "registry", "trusonafication")
    for name, kind in vars(_enums).items():
        if not (isinstance(kind, type) and issubclass(kind, _enums.ProtoEnum) and kind is not _enums.ProtoEnum):
            continue
        found = []
        for home in homes:
            try:
                found.append(pool.FindEnumTypeByName(f"nodkey.{home}.v1.{name}"))
            except KeyError:
                continue
        assert len(found) == 1
        assert [value.proto_name for value in kind] == list(found[0].values_by_name), name
        assert all(kind.read(value.proto_name) is value for value in kind)


@pytest.mark.parametrize("resource", ["", *RESOURCES])
def test_both_clients_have_the_same_methods(resource: str) -> None:
    def methods(kind: type[Nodkey | AsyncNodkey]) -> dict[str, list[tuple[str, Any]]]:
        known = client(kind)
        of = getattr(known, resource) if resource else known
        return {
            name: [(parameter.name, parameter.default) for parameter in inspect.signature(getattr(of, name)).parameters.values()]
            for name in dir(of)
            if not name.startswith("_") and callable(getattr(of, name))
        }

    blocking = methods(Nodkey)
    assert blocking == methods(AsyncNodkey)
    assert blocking


def test_the_client_that_blocks_is_made_of_the_other() -> None:
    subprocess.run([sys.executable, ROOT / "scripts/generate_sync.py", "--check"], check=True)


def test_messages_are_made_of_proto(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools")
    made = tmp_path / "_proto"
    subprocess.run([sys.executable, ROOT / "scripts/generate_stubs.py", made], check=True)
    kept = ROOT / "src/nodkey/_proto"

    def texts(folder: Path) -> dict[str, str]:
        return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*.py*")) if path.suffix != ".pyc"}

    assert texts(made) == texts(kept)


def test_everything_public_has_a_docstring() -> None:
    for name in nodkey.__all__:
        public = getattr(nodkey, name)
        assert inspect.getdoc(public), name
        for member, value in vars(public).items() if inspect.isclass(public) else ():
            if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                assert inspect.getdoc(value), f"{name}.{member}"
    assert sorted(nodkey.__all__) == sorted(name for name in vars(nodkey) if not name.startswith("_") and name not in MODULES)


#: What importing leaves behind in the package.
MODULES = {"fastapi"}


def test_no_message_is_in_a_public_signature() -> None:
    for kind in (Nodkey, AsyncNodkey):
        for resource in RESOURCES:
            for name, method in inspect.getmembers(type(getattr(client(kind), resource)), inspect.isfunction):
                if not name.startswith("_"):
                    assert "_pb2" not in str(inspect.signature(method))
    assert "_pb2" not in str(inspect.signature(_calls.get_binding))
