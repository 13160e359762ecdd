"""Has schemathesis call as the backend of `nodkey dev`: with a token of its own for each call."""

import base64
import hashlib
import hmac
import json
import os
import time

import schemathesis

with open(os.environ["NODKEY_DEV_JSON"]) as file:
    DEV = json.load(file)["server"]


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def credential_id() -> str:
    claims = DEV["token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["jti"]


def bearer_token() -> str:
    header = {"alg": "HS256", "kid": credential_id()}
    claims = {"aud": "nodkey", "exp": int(time.time()) + 60}
    signed = ".".join(b64u(json.dumps(part).encode()) for part in (header, claims))
    return signed + "." + b64u(hmac.new(DEV["secret"].encode(), signed.encode(), hashlib.sha256).digest())


@schemathesis.auth(refresh_interval=20)
class Backend:
    def get(self, case, context):
        return bearer_token()

    def set(self, case, data, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"
