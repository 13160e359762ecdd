"""The vectors of sdk/spec: every file, every case."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

import conformance
from nodkey import NodkeyError, VerificationError
from nodkey._keys import b64u_decode

SPEC = Path(__file__).resolve().parents[2] / "spec"


RUNNERS = {
    "bearer": (conformance.bearer_token, {"token", "secret", "audience", "now"}),
    "webhooks": (conformance.verify_webhook, {"key", "headers", "body", "body_base64", "jwks", "relying_party", "now"}),
    "results": (conformance.verify_result, {"jwt", "jwks", "issuer", "relying_party"}),
    "receipts": (conformance.verify_receipt, {"jwt", "jwks"}),
    "evidence": (conformance.verify_evidence, {"evidence", "jwks", "expected", "now"}),
    "device-identifiers": (conformance.verify_device_identifier, {"jwt", "jwks", "issuer", "relying_party", "now"}),
    "user-identifiers": (conformance.hash_user_identifier, {"key", "user_identifier"}),
}
FILES = {path.stem: json.loads(path.read_text()) for path in sorted((SPEC / "vectors").glob("*.json"))}
CASES = [pytest.param(name, case, id=f"{name}:{case['name']}") for name, file in FILES.items() for case in file["cases"]]


def without_nulls(value: Any) -> Any:
    """Null is absent in what a deployment signs."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    return value


def test_every_file_of_vectors_is_known_and_there_is_no_member_that_is_not_run() -> None:
    assert set(FILES) == set(RUNNERS)
    for name, file in FILES.items():
        inputs = RUNNERS[name][1]
        assert set(file) <= inputs | {"about", "cases"}, name
        assert len(file["cases"]) > 0
        assert len({case["name"] for case in file["cases"]}) == len(file["cases"])


@pytest.mark.parametrize(("name", "case"), CASES)
def test_the_vectors_hold(name: str, case: dict[str, Any]) -> None:
    runner, inputs = RUNNERS[name]
    assert set(case) <= {"name", "about", "input", "expect"}
    assert set(case["input"]) <= inputs
    assert set(case["expect"]) in ({"ok"}, {"error"}, {"error", "detail"})
    defaults = {member: value for member, value in FILES[name].items() if member in inputs}
    given = defaults | case["input"]
    if "body" in case["input"]:
        given.pop("body_base64", None)
    try:
        outcome: dict[str, Any] = {"ok": runner(given)}
    except VerificationError as error:
        outcome = {"error": error.reason} | ({} if error.detail is None else {"detail": error.detail})
    except NodkeyError as error:
        outcome = {"error": error.reason}
    assert without_nulls(outcome) == without_nulls(case["expect"])


def test_a_genuine_webhook_is_one_whatever_the_case_of_its_headers() -> None:
    file = FILES["webhooks"]
    case = next(case for case in file["cases"] if case["expect"].get("ok", {}).get("kind") == "result" and "body" in case["input"])
    given = file | case["input"]
    given["headers"] = {name.title(): value for name, value in given["headers"].items()}
    assert conformance.verify_webhook(given)["kind"] == "result"


def test_base64_that_is_not_canonical_is_refused() -> None:
    assert b64u_decode("-_8") == b"\xfb\xff"
    for text in ("-_8=", "-_9", "+/8", "-_8\n", "-", " -_8", "ä"):
        with pytest.raises(ValueError, match="base64url"):
            b64u_decode(text)
    assert base64.b64decode("-_9=", altchars=b"-_", validate=True) == b"\xfb\xff", "the library would have read it"
