"""The broker watched by what people have: pika at the event exchange and the firehose, the command at a trace."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest

from tests.behaviour.test_command_line import run
from tests.support.polling import eventually
from tests.support.server import HubbubServer, free_port, serving

pytestmark = pytest.mark.hubbub_only


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[HubbubServer]:
    running = HubbubServer(tmp_path, {"management.port": free_port(), "events.exchange": True})
    with serving(running):
        eventually(lambda: "is ready" in running.log)
        yield running


@pytest.fixture
def channel(broker: HubbubServer) -> Iterator[Any]:
    with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.port)) as connection:
        yield connection.channel()


def command(broker: HubbubServer, *arguments: str) -> str:
    done = run("-m", "broker", *arguments, "--url", f"http://127.0.0.1:{broker.settings['management.port']}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def bound(channel: Any, exchange: str, key: str) -> str:
    queue: str = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, exchange, key)
    return queue


def fetched(channel: Any, queue: str) -> tuple[str, dict[str, Any], bytes]:
    def fetch() -> Any:
        found = channel.basic_get(queue, auto_ack=True)
        return found if found[0] is not None else None

    method, properties, body = eventually(fetch)
    return method.routing_key, properties.headers, body


def test_what_happens_to_queues_comes_over_the_event_exchange(channel: Any) -> None:
    events = bound(channel, "amq.rabbitmq.event", "queue.*")
    channel.queue_declare("watched", durable=True, arguments={"x-max-length": 5})
    key, headers, body = fetched(channel, events)
    assert (key, body) == ("queue.created", b"")
    assert (headers["name"], headers["vhost"], headers["durable"]) == ("watched", "/", True)
    assert headers["arguments"] == {"x-max-length": 5}
    assert headers["user_who_performed_action"] == "guest"
    channel.queue_delete("watched")
    assert fetched(channel, events)[0] == "queue.deleted"


def test_the_firehose_switched_on_by_the_command(broker: HubbubServer, channel: Any) -> None:
    copies = bound(channel, "amq.rabbitmq.trace", "#")
    command(broker, "trace", "on")
    channel.queue_declare("q")
    channel.basic_publish("", "q", b"hello", pika.BasicProperties(content_type="text/plain", headers={"a": 1}))
    key, headers, body = fetched(channel, copies)
    assert (key, body) == ("publish.", b"hello")
    assert headers["routing_keys"] == ["q"]
    assert headers["properties"]["content_type"] == "text/plain"
    assert headers["properties"]["headers"] == {"a": 1}
    assert headers["routed_queues"] == ["q"]
    assert (headers["user"], headers["vhost"], headers["channel"]) == ("guest", "/", 1)
    assert channel.basic_get("q", auto_ack=True)[2] == b"hello"
    key, headers, body = fetched(channel, copies)
    assert (key, body, headers["redelivered"]) == ("deliver.q", b"hello", 0)
    command(broker, "trace", "off")
    channel.basic_publish("", "q", b"unseen")
    assert channel.basic_get("q", auto_ack=True)[2] == b"unseen"
    assert channel.basic_get(copies, auto_ack=True) == (None, None, None)


def test_the_command_says_where_a_message_goes(broker: HubbubServer, channel: Any) -> None:
    channel.queue_declare("q")
    channel.queue_bind("q", "amq.topic", "a.*")
    said = command(broker, "trace", "publish", "amq.topic", "a.b", "hello").splitlines()
    assert [line.split("  ", 2)[2] for line in said] == [
        "published to 'amq.topic' with 'a.b' by guest → q",
        "enqueued in q",
    ]
    assert command(broker, "trace", "publish", "amq.topic", "b", "x").strip().endswith("→ nobody")
    assert json.loads(command(broker, "trace", "list", "--json")) == []


def test_the_command_follows_messages_while_they_come(broker: HubbubServer, channel: Any) -> None:
    said: list[str] = []
    following = threading.Thread(
        target=lambda: said.append(
            command(broker, "trace", "messages", "--topic", "a/+", "--seconds", "3", "--messages", "2", "--json")
        )
    )
    following.start()
    eventually(lambda: json.loads(command(broker, "trace", "list", "--json")))
    for key in ("a.b", "b.c", "a.c"):
        channel.basic_publish("amq.topic", key, b"")
    following.join(20)
    events = [json.loads(line) for line in said[0].splitlines()]
    assert [(each["event"], each["routing_key"]) for each in events] == [("published", "a.b"), ("published", "a.c")]
