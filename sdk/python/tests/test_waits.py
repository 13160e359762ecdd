"""Waiting and watching, over whatever happens to streams; and leaving."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from random import Random

import grpc
import pytest

from fake import SECRET, TOKEN, Driver, FakeServer, Refusal, Still
from nodkey import AsyncNodkey, Kind, Nodkey, NodkeyError, Status
from nodkey._proto.trusonafication.v1 import trusonafications_pb2 as t

Connect = Callable[..., Driver]
PENDING = t.Trusonafication(id="t", status=t.STATUS_IN_PROGRESS, version=1)
ACCEPTED = t.Trusonafication(
    id="t",
    status=t.STATUS_ACCEPTED,
    version=2,
    result=t.Result(id="r", accepted=True, accepted_level=2, bound_user_identifier="ada"),
)
WATCH = "WatchTrusonafication"


async def test_a_wait_outlives_everything_that_passes(server: FakeServer, connect: Connect) -> None:
    server.answer(WATCH, Refusal(grpc.StatusCode.UNAVAILABLE))
    server.answer(WATCH, PENDING)
    server.answer(WATCH, PENDING, Refusal(grpc.StatusCode.INTERNAL))
    server.answer(WATCH, Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WAITS", "EXHAUSTED"))
    server.answer(WATCH)
    for _ in range(10):
        server.answer(WATCH, Refusal(grpc.StatusCode.UNAVAILABLE, "OVERLOADED", "UNAVAILABLE"))
    server.answer(WATCH, PENDING, ACCEPTED)
    done = await connect(server.url).call(lambda client: client.trusonafications.wait("t", timeout=60))
    assert (done.status, done.is_success, done.result.bound_user_identifier) == (Status.ACCEPTED, True, "ada")
    assert len(server.asked) == 16
    assert all(30 < (asked.seconds or 0) < 61 for asked in server.asked), "a stream lasts as long as the wait"


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "NOT_FOUND"),
        Refusal(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", "UNAUTHENTICATED"),
        Refusal(grpc.StatusCode.INTERNAL, "INTERNAL", "INTERNAL"),
    ],
)
async def test_a_refusal_ends_a_wait(server: FakeServer, connect: Connect, refusal: Refusal) -> None:
    server.answer(WATCH, PENDING, refusal)
    with pytest.raises(NodkeyError) as caught:
        await connect(server.url).call(lambda client: client.trusonafications.wait("t"))
    assert caught.value.reason == refusal.reason
    assert len(server.asked) == 1


async def test_a_wait_ends_when_its_time_is_over(server: FakeServer, connect: Connect) -> None:
    server.answer(WATCH, PENDING, threading.Event())
    with pytest.raises(NodkeyError) as caught:
        await connect(server.url).call(lambda client: client.trusonafications.wait("t", timeout=0.1))
    assert (caught.value.reason, caught.value.kind, caught.value.retryable) == ("DEADLINE_EXCEEDED", Kind.UNAVAILABLE, True)
    assert caught.value.message.startswith("it has not ended within 0.1 s")


async def test_a_wait_whose_time_is_over_leaves_the_connection_to_others(server: FakeServer, connect: Connect) -> None:
    server.answer(WATCH, PENDING, threading.Event())
    server.answer("GetTrusonafication", PENDING)
    driver = connect(server.url)
    for _ in range(2):
        with pytest.raises(NodkeyError, match="DEADLINE_EXCEEDED"):
            await driver.call(lambda client: client.trusonafications.wait("t", timeout=0.1))
        await driver.call(lambda client: client.trusonafications.get("t"))
    assert len({asked.peer for asked in server.asked}) == 1


async def test_a_wait_for_a_server_that_stays_away_says_so_at_the_end(server: FakeServer, connect: Connect) -> None:
    server.stop()
    with pytest.raises(NodkeyError) as caught:
        await connect(server.url, random=Random(1)).call(lambda client: client.trusonafications.wait("t", timeout=0.5))
    assert caught.value.reason == "DEADLINE_EXCEEDED"
    assert f"cannot reach {server.url}" in caught.value.message


async def test_a_wait_survives_a_restart_of_the_server(server: FakeServer, connect: Connect) -> None:
    server.answer(WATCH, PENDING, threading.Event())
    driver = connect(server.url, random=Random(1))
    waiting = asyncio.create_task(driver.call(lambda client: client.trusonafications.wait("t", timeout=60)))
    await asyncio.to_thread(server.arrived.acquire)
    await asyncio.to_thread(server.stop)
    server.answers.clear()
    server.answer(WATCH, ACCEPTED)
    server.start()
    assert (await waiting).is_success
    assert len(server.asked) == 2


async def test_the_attempt_after_one_that_found_nobody_finds_a_server_that_is_back(server: FakeServer, connect: Connect) -> None:
    server.answer("GetTrusonafication", ACCEPTED)
    driver = connect(server.url)
    await driver.call(lambda client: client.trusonafications.get("t"))
    server.stop()
    channel = driver.client._core.channel

    def pause(_: float) -> None:
        server.start()

    async def pause_asynchronously(_: float) -> None:
        server.start()

    channel.pause = pause if isinstance(driver.client, Nodkey) else pause_asynchronously
    assert (await driver.call(lambda client: client.trusonafications.get("t"))).is_success
    assert len(server.asked) == 2
    assert len(channel._connections) == 1, "the lost one is closed"


async def test_watching_says_each_state_once_over_any_number_of_streams(server: FakeServer, connect: Connect) -> None:
    server.answer(WATCH, PENDING, Refusal(grpc.StatusCode.UNAVAILABLE))
    server.answer(WATCH, PENDING)
    server.answer(WATCH, PENDING, ACCEPTED)
    states = await connect(server.url).items(lambda client: client.trusonafications.watch("t"))
    assert [state.status for state in states] == [Status.IN_PROGRESS, Status.ACCEPTED]


async def test_a_stream_that_is_left_is_cancelled(server: FakeServer, connect: Connect) -> None:
    server.answer(WATCH, PENDING, threading.Event())
    states = await connect(server.url).items(lambda client: client.trusonafications.watch("t"), limit=1)
    assert [state.status for state in states] == [Status.IN_PROGRESS]
    assert await asyncio.to_thread(server.ended.wait, 10)


async def test_a_task_that_is_cancelled_cancels_its_call(server: FakeServer) -> None:
    server.answer(WATCH, PENDING, threading.Event())
    server.answer("GetTrusonafication", threading.Event())
    async with AsyncNodkey(server.url, TOKEN, SECRET, random=Still(1)) as client:
        for call in (client.trusonafications.wait, client.trusonafications.get):
            server.ended.clear()
            task = asyncio.ensure_future(call("t"))
            await asyncio.to_thread(server.arrived.acquire)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(server.ended.wait, 10)
        assert len(server.asked) == 2, "what was cancelled is not repeated"


@pytest.mark.parametrize("call", ["wait", "get"])
async def test_closing_a_client_ends_what_it_waits_for(server: FakeServer, connect: Connect, call: str) -> None:
    server.answer(WATCH, PENDING, threading.Event())
    server.answer("GetTrusonafication", threading.Event())
    driver = connect(server.url)
    waiting = asyncio.create_task(driver.call(lambda client: getattr(client.trusonafications, call)("t")))
    await asyncio.to_thread(server.arrived.acquire)
    await driver.close()
    with pytest.raises(NodkeyError) as caught:
        await waiting
    assert (caught.value.reason, caught.value.message) == ("CANCELLED", "the client is closed")
    with pytest.raises(NodkeyError, match="closed"):
        await driver.call(lambda client: client.trusonafications.get("t"))
    assert len(server.asked) == 1


def test_closing_a_client_ends_a_pause(server: FakeServer) -> None:
    server.answer("GetUser", Refusal(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", "UNAVAILABLE", retry_after=9))
    client = Nodkey(server.url, TOKEN, SECRET)
    raised: list[BaseException] = []

    def call() -> None:
        try:
            client.users.get("ada")
        except NodkeyError as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    server.arrived.acquire()
    began = time.monotonic()
    client.close()
    thread.join()
    assert time.monotonic() - began < 8
    assert [getattr(error, "reason", None) for error in raised] == ["CANCELLED"]
