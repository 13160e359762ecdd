"""Fixtures of all tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from fake import SECRET, TOKEN, Driver, FakeServer, Still
from nodkey import AsyncNodkey, Nodkey


@pytest.fixture(autouse=True)
def no_settings_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "TOKEN", "SECRET", "AUDIENCE", "CA_CERTIFICATE"):
        monkeypatch.delenv(f"NODKEY_{name}", raising=False)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    server = FakeServer()
    yield server
    server.stop()


@pytest.fixture(params=[Nodkey, AsyncNodkey], ids=["blocking", "async"])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., Driver]]:
    """Makes clients of either kind, that pause for no time, and closes them."""
    drivers: list[Driver] = []

    def connect(url: str, **settings: Any) -> Driver:
        settings = {"token": TOKEN, "secret": SECRET, "random": Still(7)} | settings
        drivers.append(Driver(request.param(url, **settings)))
        return drivers[-1]

    yield connect
    for driver in drivers:
        await driver.close()
