"""aio-pika: the usual client of asyncio applications: topology, confirms, iterators, RPC, and its robust connection."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import aio_pika.abc
import aiormq.exceptions
import pytest
import pytest_asyncio
from aio_pika.patterns import RPC, Master

from tests.support.proxy import Proxy
from tests.support.server import Server

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def connection(amqp_url: str) -> AsyncIterator[aio_pika.abc.AbstractRobustConnection]:
    connected = await aio_pika.connect_robust(amqp_url, timeout=20)
    async with connected:
        yield connected


@pytest.fixture
def name() -> str:
    return f"aio.{uuid.uuid4().hex[:12]}"


async def test_a_message_travels_through_a_declared_topology(
    connection: aio_pika.abc.AbstractRobustConnection, name: str
) -> None:
    """Exchange, queue, binding, publish with confirm, iterate, acknowledge."""
    channel = await connection.channel()
    exchange = await channel.declare_exchange(name, aio_pika.ExchangeType.TOPIC, auto_delete=True)
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(exchange, "a.#")
    await exchange.publish(
        aio_pika.Message(b"m", headers={"n": 1}, delivery_mode=aio_pika.DeliveryMode.PERSISTENT), routing_key="a.b"
    )
    async with queue.iterator(timeout=10) as messages:
        async for message in messages:
            async with message.process():
                assert (message.body, message.headers, message.routing_key) == (b"m", {"n": 1}, "a.b")
            break


async def test_publishes_are_confirmed_concurrently(
    connection: aio_pika.abc.AbstractRobustConnection, name: str
) -> None:
    """Each awaits its own confirm, however the server groups them."""
    channel = await connection.channel()
    queue = await channel.declare_queue(name, durable=True)
    message = aio_pika.Message(b"m", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    publish = channel.default_exchange.publish
    await asyncio.gather(*(publish(message, routing_key=name, timeout=20) for _ in range(300)))
    assert (await queue.declare()).message_count == 300
    await queue.delete(if_empty=False)


async def test_an_unroutable_mandatory_message_raises(connection: aio_pika.abc.AbstractRobustConnection) -> None:
    """aio-pika publishes mandatory by default and correlates the basic.return with the confirm that follows."""
    channel = await connection.channel(on_return_raises=True)
    with pytest.raises(aio_pika.exceptions.DeliveryError):
        await channel.default_exchange.publish(aio_pika.Message(b""), routing_key="nowhere")


async def test_requeue_reject_and_get(connection: aio_pika.abc.AbstractRobustConnection) -> None:
    """basic.get with a redelivery."""
    channel = await connection.channel()
    queue = await channel.declare_queue(exclusive=True)
    await channel.default_exchange.publish(aio_pika.Message(b"m"), routing_key=queue.name)
    first = await queue.get(timeout=10)
    await first.reject(requeue=True)
    second = await queue.get(timeout=10)
    assert second.redelivered
    await second.ack()
    assert await queue.get(fail=False) is None


async def test_a_transaction_commits_or_rolls_back(connection: aio_pika.abc.AbstractRobustConnection) -> None:
    """tx on a channel without confirms."""
    channel = await connection.channel(publisher_confirms=False)
    queue = await channel.declare_queue(exclusive=True)
    async with channel.transaction():
        await channel.default_exchange.publish(aio_pika.Message(b"kept"), routing_key=queue.name)

    async def change_ones_mind() -> None:
        async with channel.transaction():
            await channel.default_exchange.publish(aio_pika.Message(b"forgotten"), routing_key=queue.name)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change_ones_mind()
    assert [message.body for message in [await queue.get(no_ack=True)] if message] == [b"kept"]
    assert await queue.get(no_ack=True, fail=False) is None


async def test_rpc_pattern_calls_and_fails_over_the_broker(
    connection: aio_pika.abc.AbstractRobustConnection, name: str
) -> None:
    """aio_pika.patterns.RPC: an exclusive reply queue, a headers exchange, dead-lettering of lost calls."""

    async def multiply(*, x: int, y: int) -> int:
        if y == 0:
            raise ValueError("zero")
        return x * y

    rpc = await RPC.create(await connection.channel())
    await rpc.register(name, multiply, auto_delete=True)
    assert await asyncio.gather(*(rpc.call(name, {"x": x, "y": 3}) for x in range(20))) == [3 * x for x in range(20)]
    with pytest.raises(ValueError, match="zero"):
        await rpc.call(name, {"x": 1, "y": 0})
    await rpc.close()


async def test_worker_pattern_hands_out_tasks(connection: aio_pika.abc.AbstractRobustConnection, name: str) -> None:
    """aio_pika.patterns.Master: a queue of tasks, each done once."""
    done: asyncio.Queue[int] = asyncio.Queue()

    async def work(*, number: int) -> None:
        await done.put(number)

    channel = await connection.channel()
    await channel.set_qos(prefetch_count=4)
    master = Master(channel)
    worker = await master.create_worker(name, work, auto_delete=True)
    for number in range(20):
        await master.create_task(name, {"number": number})
    assert sorted([await asyncio.wait_for(done.get(), 10) for _ in range(20)]) == list(range(20))
    await worker.close()


async def test_a_channel_closed_by_the_broker_raises_with_its_code(
    connection: aio_pika.abc.AbstractRobustConnection, name: str
) -> None:
    """The client turns reply codes into classes: 404 and 406 here."""
    channel = await connection.channel()
    with pytest.raises(aiormq.exceptions.ChannelNotFoundEntity):
        await channel.declare_queue(name, passive=True)
    channel = await connection.channel()
    await channel.declare_queue(name, exclusive=True)
    with pytest.raises(aiormq.exceptions.ChannelPreconditionFailed):
        await channel.declare_queue(name, exclusive=True, auto_delete=True)


async def test_a_cancelled_consumer_ends_its_iterator(connection: aio_pika.abc.AbstractRobustConnection) -> None:
    """basic.cancel when the iterator is left; the queue is deletable as unused after it."""
    channel = await connection.channel()
    queue = await channel.declare_queue(f"aio.{uuid.uuid4().hex}")
    await channel.default_exchange.publish(aio_pika.Message(b"m"), routing_key=queue.name)
    async with queue.iterator() as messages:
        message = await asyncio.wait_for(anext(messages), 10)
        await message.ack()
    assert (await queue.declare()).consumer_count == 0
    await queue.delete()


async def test_a_robust_connection_restores_its_topology(server: Server, name: str) -> None:
    """The TCP connection breaks; exclusive queue, binding and consumer come back, and messages flow again."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def on_message(message: Any) -> None:
        async with message.process():
            await heard.put(message.body)

    async with Proxy(server.address) as proxy:
        url = f"amqp://guest:guest@127.0.0.1:{proxy.port}/"
        connection = await aio_pika.connect_robust(url, reconnect_interval=0.1, timeout=20)
        channel = await connection.channel()
        exchange = await channel.declare_exchange(name, aio_pika.ExchangeType.FANOUT, auto_delete=True)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange)
        await queue.consume(on_message)
        await exchange.publish(aio_pika.Message(b"before"), routing_key="")
        assert await asyncio.wait_for(heard.get(), 10) == b"before"
        restored = asyncio.Event()
        connection.reconnect_callbacks.add(lambda *_: restored.set())
        await proxy.cut()
        await asyncio.wait_for(restored.wait(), 20)
        await exchange.publish(aio_pika.Message(b"after"), routing_key="", timeout=10)
        assert await asyncio.wait_for(heard.get(), 10) == b"after"
        await connection.close()
