"""Who publishes to what, and who is given what: the figures of channels, and the rows of queues and exchanges."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from broker.core.message import Message
from broker.core.properties import encode_properties
from broker.management import views
from storage.memory_store import MemoryStore
from tests.support.peer import Core, Peer
from tests.unit.management.conftest import Api, ObservedCore

Stats = dict[str, int]


def stats_of(rows: list[dict[str, Any]], kind: str) -> dict[str, Stats]:
    """Counts without their rates, by the name of what the row is about."""
    return {
        row[kind]["name"]: {word: count for word, count in row["stats"].items() if not word.endswith("_details")}
        for row in rows
    }


async def shown(api: Api, peer: Peer) -> dict[str, Any]:
    name = quote(views.channel_name(peer.connection.channels[1]), safe="")
    found: dict[str, Any] = await api.get(f"/api/channels/{name}")
    return found


async def test_a_channel_tells_what_it_publishes_to_each_exchange(api: Api, core: Core, server: ObservedCore) -> None:
    peer = core.connect()
    peer.declare("q")
    peer.call("confirm.select")
    for exchange, key, mandatory in (
        ("", "q", False), ("", "q", False), ("amq.topic", "none", False), ("amq.topic", "none", True), ("", "q", False),
    ):  # fmt: skip
        peer.publish(key, b"m", exchange=exchange, mandatory=mandatory)
    core.commit()

    channel = await shown(api, peer)
    assert stats_of(channel["publishes"], "exchange") == {
        "": {"publish": 3, "return_unroutable": 0, "drop_unroutable": 0},
        "amq.topic": {"publish": 2, "return_unroutable": 1, "drop_unroutable": 1},
    }
    stats = channel["message_stats"]
    assert (stats["publish"], stats["confirm"]) == (5, 5)
    assert (stats["return_unroutable"], stats["drop_unroutable"]) == (1, 1)
    (row,) = (await api.get("/api/exchanges/%2F/amq.topic"))["incoming"]
    assert row["channel_details"]["name"] == channel["name"]
    assert row["stats"]["publish"] == 2
    vhost = await api.get("/api/vhosts/%2F")
    assert vhost["message_stats"]["confirm"] == 5
    assert vhost["message_stats"]["return_unroutable"] == 1


async def test_a_channel_tells_what_each_queue_gives_it_and_what_of_it_is_acknowledged(api: Api, core: Core) -> None:
    peer = core.connect()
    for name in ("a", "b", "c"):
        peer.declare(name)
    peer.consume("a", "acks")
    peer.consume("b", "auto", no_ack=True)
    for key in ("a", "a", "a", "a", "b", "c", "c"):
        peer.publish(key, b"m")
    first, second, third, _, _ = peer.deliveries()
    peer.send("basic.ack", delivery_tag=first.tag)
    peer.send("basic.nack", delivery_tag=second.tag, requeue=True)  # it comes again
    peer.send("basic.reject", delivery_tag=third.tag, requeue=False)
    peer.send("basic.ack", delivery_tag=peer.got("c").tag)
    peer.send("basic.nack", delivery_tag=peer.got("c").tag, requeue=True)
    assert peer.got("c", no_ack=True).redelivered
    assert peer.get("c") is None

    channel = await shown(api, peer)
    nothing = dict.fromkeys(
        ("deliver", "deliver_no_ack", "get", "get_no_ack", "get_empty", "redeliver", "ack", "deliver_get"), 0
    )
    assert stats_of(channel["deliveries"], "queue") == {
        "a": {**nothing, "deliver": 5, "deliver_get": 5, "redeliver": 1, "ack": 1},
        "b": {**nothing, "deliver_no_ack": 1, "deliver_get": 1},
        "c": {**nothing, "get": 2, "get_no_ack": 1, "get_empty": 1, "deliver_get": 3, "redeliver": 1, "ack": 1},
    }
    assert channel["message_stats"]["deliver_get"] == 9
    assert channel["message_stats"]["ack"] == 2
    (row,) = (await api.get("/api/queues/%2F/c"))["deliveries"]
    assert (row["channel_details"]["name"], row["stats"]["deliver_get"]) == (channel["name"], 3)


async def test_what_a_cancelled_consumer_was_given_still_counts(api: Api, core: Core) -> None:
    peer = core.connect()
    peer.declare("q")
    for _ in range(100):
        peer.publish("q", b"m")
        peer.consume("q", "tag")
        (delivery,) = peer.deliveries()
        peer.call("basic.cancel", consumer_tag="tag")
        peer.send("basic.ack", delivery_tag=delivery.tag)

    stats = stats_of((await shown(api, peer))["deliveries"], "queue")["q"]
    assert (stats["deliver"], stats["ack"], stats["redeliver"]) == (100, 100, 0)


async def test_recovered_deliveries_are_no_acknowledgements(api: Api, core: Core) -> None:
    peer = core.connect()
    peer.declare("q")
    peer.consume("q", "tag")
    peer.publish("q", b"m")
    for requeue in (False, True):
        peer.call("basic.recover", requeue=requeue)
    peer.send("basic.ack", delivery_tag=peer.deliveries()[-1].tag)

    stats = stats_of((await shown(api, peer))["deliveries"], "queue")["q"]
    assert (stats["deliver"], stats["redeliver"], stats["ack"]) == (3, 2, 1)


async def test_what_a_transaction_holds_back_is_told(api: Api, core: Core) -> None:
    peer = core.connect()
    peer.declare("q")
    peer.publish("q", b"m")
    tag = peer.got("q").tag
    peer.call("tx.select")
    peer.publish("q", b"m")
    peer.send("basic.ack", delivery_tag=tag)

    channel = await shown(api, peer)
    assert (channel["messages_uncommitted"], channel["acks_uncommitted"]) == (1, 1)
    peer.call("tx.commit")
    channel = await shown(api, peer)
    assert (channel["messages_uncommitted"], channel["acks_uncommitted"]) == (0, 0)


async def test_a_queue_tells_when_its_first_message_was_made_and_what_is_in_memory(api: Api, core: Core) -> None:
    queue = core.vhost.declare_queue("q")
    assert (await api.get("/api/queues/%2F/q"))["head_message_timestamp"] is None
    for timestamp in (1_700_000_000, 1_800_000_000):
        core.vhost.default_exchange.publish_message(
            Message(b"", b"q", encode_properties({"timestamp": timestamp}), b"body")
        )

    row = await api.get("/api/queues/%2F/q")
    assert row["head_message_timestamp"] == 1_700_000_000
    assert (row["messages_ram"], row["messages_ready_ram"], row["messages_paged_out"]) == (2, 2, 0)
    assert queue.ready_count == 2


def test_what_is_on_disk_alone_is_told() -> None:
    core = Core(MemoryStore(segment_bytes_max=4000), queue_memory_bytes_max=1)
    peer = core.connect()
    peer.declare("q", durable=True)
    for _ in range(5):
        for _ in range(10):
            peer.publish("q", bytes(1000), delivery_mode=2)
        core.commit()

    queue = core.queue("q")
    assert queue.memory_bytes < 50 * 1000
    places = views.places(queue)
    assert places["messages_paged_out"] > 0
    assert places["message_bytes_paged_out"] == 1000 * places["messages_paged_out"]
    assert places["messages_ram"] + places["messages_paged_out"] == 50
