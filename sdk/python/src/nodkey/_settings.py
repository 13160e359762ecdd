"""What a client is made from: parameters, or the environment where they are not given."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from nodkey._credential import Credential
from nodkey._errors import NodkeyError

#: Options of a channel, for both clients.
ChannelOptions = tuple[tuple[str, int], ...]
_OPTIONS: ChannelOptions = (
    # The client repeats what may be repeated, with a new token for each attempt.
    ("grpc.enable_retries", 0),
    # Clients share no connection, so that each has its own trust.
    ("grpc.use_local_subchannel_pool", 1),
    # Custom fields of 1 MB, a hundred of them per page.
    ("grpc.max_receive_message_length", 128 << 20),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Connecting takes at most 5 s.
    ("grpc.min_reconnect_backoff_ms", 5_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where a client connects to, and as whom."""

    url: str
    #: Host and port, as gRPC names them.
    target: str
    #: Whether the connection is TLS.
    is_secure: bool
    #: PEM of the only authority to trust; None: those that come with grpcio.
    authority: bytes | None = field(repr=False)
    credential: Credential
    #: Seconds of one attempt.
    timeout: float
    random: Random = field(repr=False)
    options: ChannelOptions = field(repr=False)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata of one attempt, with a token of its own."""
        return (("authorization", f"Bearer {self.credential.token()}"),)


def settings_of(
    *,
    url: str | None,
    token: str | None,
    secret: str | None,
    audience: str | None,
    ca_certificate: bytes | str | os.PathLike[str] | None,
    timeout: float,
    clock: Callable[[], float],
    random: Random,
) -> Settings:
    """Reads the parameters of a client."""
    environment = os.environ.get
    url = url or environment("NODKEY_URL", "")
    target, is_secure = _target(url)
    ca_certificate = ca_certificate or environment("NODKEY_CA_CERTIFICATE") or None
    if ca_certificate is not None and not isinstance(ca_certificate, bytes):
        ca_certificate = Path(ca_certificate).read_bytes()
    credential = Credential(
        token or environment("NODKEY_TOKEN", ""),
        secret or environment("NODKEY_SECRET", ""),
        audience or environment("NODKEY_AUDIENCE") or "nodkey",
        clock,
    )
    return Settings(
        url=url,
        target=target,
        is_secure=is_secure,
        authority=ca_certificate,
        credential=credential,
        timeout=timeout,
        random=random,
        options=_OPTIONS,
    )


def _target(url: str) -> tuple[str, bool]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.path not in ("", "/") or parts.query or parts.username:
        raise NodkeyError(
            "INVALID_URL", "the URL has to be that of the gateway, such as https://auth.example.com: give it, or set NODKEY_URL"
        )
    is_secure = parts.scheme == "https"
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port or (443 if is_secure else 80)}", is_secure
