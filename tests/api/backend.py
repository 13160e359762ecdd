"""The bearer token of a backend, as anybody makes it: the credential of `nodkey dev`, named by NODKEY_DEV_JSON."""

import base64
import hashlib
import hmac
import json
import os
import time

with open(os.environ["NODKEY_DEV_JSON"]) as file:
    DEV = json.load(file)


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def credential_id() -> str:
    claims = DEV["server"]["token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["jti"]


def bearer_token() -> str:
    header = {"alg": "HS256", "kid": credential_id()}
    claims = {"aud": "nodkey", "exp": int(time.time()) + 60}
    signed = ".".join(b64u(json.dumps(part).encode()) for part in (header, claims))
    return signed + "." + b64u(hmac.new(DEV["server"]["secret"].encode(), signed.encode(), hashlib.sha256).digest())
