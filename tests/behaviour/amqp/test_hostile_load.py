"""More than fits into memory, and more names than anybody needs: bounded memory, and no long pause for others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.support import amqp_codec as codec
from tests.support.amqp_raw import RawConnection, raw_connection
from tests.support.hostility import anonymous_mib, fill, others_are_served, publishes
from tests.support.server import HubbubServer, serving

pytestmark = [pytest.mark.hubbub_only, pytest.mark.timeout(180)]

METHOD = codec.FRAME_METHOD
PAUSE_S = 5.0
MEMORY_MIB = 64


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubbubServer]:
    running = HubbubServer(tmp_path_factory.mktemp("load"), {"memory.messages_bytes_max": MEMORY_MIB * 1024 * 1024})
    with serving(running):
        yield running


@pytest.fixture
def raw(server: HubbubServer) -> Iterator[RawConnection]:
    with raw_connection(server.address, 60.0) as connection:
        yield connection.open().open_channel()


def methods(*calls: tuple[str, dict[str, object]]) -> bytes:
    return b"".join(codec.encode_frame(METHOD, 1, codec.encode_method(name, **fields)) for name, fields in calls)


def say(raw: RawConnection, frames: list[bytes]) -> None:
    """Say it, and come back when all of it is done."""
    for start in range(0, len(frames), 500):
        raw.send_bytes(b"".join(frames[start : start + 500]))
        raw.rpc("basic.qos")


def test_a_queue_without_consumers_pages_out(server: HubbubServer, raw: RawConnection) -> None:
    """300 MB of confirmed messages that nobody wants: they wait on disk."""
    raw.rpc("queue.declare", queue="ignored", durable=True)
    with others_are_served(server):
        before = anonymous_mib(server)
        fill(raw, "ignored", b"p" * 1000, 300_000)
        assert anonymous_mib(server) - before < 100
        raw.send("basic.get", queue="ignored", no_ack=True)
        assert raw.expect("basic.get-ok").body == b"p" * 1000
        assert raw.rpc("queue.delete", queue="ignored").fields["message_count"] == 299_999


@pytest.mark.parametrize("delivery_mode", [1, 2], ids=["transient", "persistent"])
def test_a_publisher_faster_than_the_disk_waits(server: HubbubServer, raw: RawConnection, delivery_mode: int) -> None:
    """1 GB without confirms: over the budget of memory it is blocked, and goes on when the disk has caught up."""
    raw.rpc("queue.declare", queue="flooded", durable=True)
    with others_are_served(server, publishes=False):
        before = anonymous_mib(server)
        with raw_connection(server.address, 60.0) as flood:
            flood.open(capabilities={}).open_channel()
            chunk = publishes("flooded", b"f" * 10_000, 1000, delivery_mode=delivery_mode)
            peak = before
            for _ in range(100):
                flood.send_bytes(chunk)
                peak = max(peak, anonymous_mib(server))
            flood.rpc("basic.qos")
        assert peak - before < MEMORY_MIB * 3 + 400, "what comes in half a second, twice"
        assert raw.rpc("queue.delete", queue="flooded").fields["message_count"] == 100_000


def test_a_consumer_that_hoards_gives_everything_back(server: HubbubServer, raw: RawConnection) -> None:
    """It takes 200,000 messages, acknowledges none, and goes."""
    raw.rpc("queue.declare", queue="hoarded", durable=True)
    fill(raw, "hoarded", b"h" * 100, 200_000)
    with others_are_served(server):
        before = anonymous_mib(server)
        with raw_connection(server.address, 60.0) as hoarder:
            hoarder.open().open_channel()
            hoarder.send("basic.consume", queue="hoarded", no_wait=True)
            for _ in range(200_000):
                hoarder.read_frame()
                hoarder.read_frame()
                hoarder.read_frame()
            assert anonymous_mib(server) - before < 150
        deleted = 0
        while deleted != 200_000:
            deleted = raw.rpc("queue.declare", queue="hoarded", passive=True).fields["message_count"]
    raw.rpc("queue.delete", queue="hoarded")


def test_ten_thousand_queues_and_bindings_come_and_go(server: HubbubServer, raw: RawConnection) -> None:
    names = [f"many-{number}" for number in range(10_000)]
    with others_are_served(server) as bystander:
        before = anonymous_mib(server)
        say(raw, [methods(("queue.declare", {"queue": name, "no_wait": True})) for name in names])
        say(
            raw,
            [
                methods(
                    (
                        "queue.bind",
                        {"queue": name, "exchange": "amq.topic", "routing_key": f"#.{name}", "no_wait": True},
                    )
                )
                for name in names
            ],
        )
        raw.publish("amq.topic", "a.b.many-77", b"one of them")
        raw.send("basic.get", queue="many-77", no_ack=True)
        assert raw.expect("basic.get-ok").body == b"one of them"
        assert anonymous_mib(server) - before < 120
        say(raw, [methods(("queue.delete", {"queue": name, "no_wait": True})) for name in names])
        assert anonymous_mib(server) - before < 120
    assert bystander.slowest_s < PAUSE_S


def test_ten_thousand_bindings_of_one_queue_go_with_it(server: HubbubServer, raw: RawConnection) -> None:
    with others_are_served(server) as bystander:
        raw.rpc("queue.declare", queue="bound")
        for exchange in ("amq.direct", "amq.topic", "amq.headers", "amq.fanout"):
            say(
                raw,
                [
                    methods(
                        ("queue.bind", {"queue": "bound", "exchange": exchange, "routing_key": f"k{number}",
                                        "no_wait": True, "arguments": {"n": number}})
                    )
                    for number in range(2500)
                ],
            )  # fmt: skip
        raw.rpc("queue.delete", queue="bound")
    assert bystander.slowest_s < PAUSE_S


def test_a_chain_of_a_thousand_auto_delete_exchanges_falls_as_a_whole(server: HubbubServer, raw: RawConnection) -> None:
    with others_are_served(server) as bystander:
        names = [f"link-{number}" for number in range(1000)]
        declare = {"type": "fanout", "auto_delete": True, "no_wait": True}
        say(raw, [methods(("exchange.declare", {"exchange": name, **declare})) for name in names])
        say(
            raw,
            [
                methods(("exchange.bind", {"source": one, "destination": other, "no_wait": True}))
                for one, other in itertools.pairwise(names)
            ],
        )
        raw.rpc("queue.declare", queue="end-of-chain")
        raw.rpc("queue.bind", queue="end-of-chain", exchange=names[-1])
        raw.publish(names[0], "", b"all the way")
        raw.send("basic.get", queue="end-of-chain", no_ack=True)
        assert raw.expect("basic.get-ok").body == b"all the way"
        raw.rpc("queue.delete", queue="end-of-chain")
        raw.send("exchange.declare", exchange=names[0], type="fanout", passive=True)
        assert raw.expect("channel.close").fields["reply_code"] == 404
    assert bystander.slowest_s < PAUSE_S


def test_a_pattern_of_many_hashes_does_not_explode(server: HubbubServer, raw: RawConnection) -> None:
    """Backtracking would need 2^60 steps."""
    raw.rpc("queue.declare", queue="patterned", exclusive=True)
    with others_are_served(server) as bystander:
        pattern = ".".join(["#", "a"] * 60) + ".b"
        raw.rpc("queue.bind", queue="patterned", exchange="amq.topic", routing_key=pattern)
        raw.rpc("queue.bind", queue="patterned", exchange="amq.topic", routing_key="*.#." * 40 + "b")
        for size in range(1, 120):
            raw.publish("amq.topic", ".".join(["a"] * size), b"")
        raw.rpc("basic.qos")
    assert bystander.slowest_s < PAUSE_S


def test_ten_thousand_consumers_leave_quickly(server: HubbubServer, raw: RawConnection) -> None:
    raw.rpc("queue.declare", queue="popular")
    with others_are_served(server) as bystander:
        with raw_connection(server.address, 60.0) as crowd:
            crowd.open().open_channel()
            say(crowd, [methods(("basic.consume", {"queue": "popular", "no_wait": True}))] * 10_000)
        while raw.rpc("queue.declare", queue="popular", passive=True).fields["consumer_count"]:
            pass
    assert bystander.slowest_s < PAUSE_S
    raw.rpc("queue.delete", queue="popular")
