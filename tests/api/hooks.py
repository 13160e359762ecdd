"""Has schemathesis call as a backend, by a fresh token."""

import schemathesis
from backend import bearer_token


@schemathesis.auth(refresh_interval=20)
class Backend:
    def get(self, case, context):
        return bearer_token()

    def set(self, case, data, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"
