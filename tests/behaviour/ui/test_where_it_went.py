"""Where a message went, or would go, in the web UI: traces and explanations."""

from __future__ import annotations

import pytest

from tests.support.pika_client import connect
from tests.support.server import HubbubServer
from tests.support.web_ui import WebUi

pytestmark = [pytest.mark.hubbub_only, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="session")]


async def test_a_trace_shows_what_happens_to_a_message_as_it_happens(ui: WebUi, broker: HubbubServer) -> None:
    connection = connect(broker.url)
    channel = connection.channel()
    channel.queue_declare("followed", exclusive=True)
    channel.queue_bind("followed", "amq.topic", "traced.#")
    await ui.go("Trace")
    await ui.shows("Nothing is traced.")
    await ui.fill("Follow messages", topic="traced/#", routing_key="traced.#")
    await ui.said("got both")
    await ui.fill("Follow messages", topic="", routing_key="traced.#", messages_max="3")
    await ui.said("The trace runs")
    await ui.shows("Trace #", "No message yet.", "routing_key traced.#")

    channel.basic_publish("amq.topic", "traced.b", b"12345")
    await ui.shows("amq.topic → traced.b", "5 B", "→ followed", "enqueued in followed")
    channel.basic_get("followed", auto_ack=True)
    await ui.shows("delivered from followed")
    channel.basic_publish("amq.topic", "untraced.a", b"not this one")
    channel.basic_publish("amq.topic", "traced.c", b"")
    await ui.shows("amq.topic → traced.c")
    await ui.lacks("untraced.a")

    await ui.click("Delete")
    await ui.confirm("Delete trace")
    await ui.titled("Trace ")
    await ui.shows("Nothing is traced.")
    connection.close()


async def test_who_would_get_a_message_and_why_the_others_would_not(ui: WebUi, broker: HubbubServer) -> None:
    connection = connect(broker.url)
    channel = connection.channel()
    for name, key in (("asked", "explained.*"), ("other", "else.#")):
        channel.queue_declare(name, exclusive=True)
        channel.queue_bind(name, "amq.topic", key)
    await ui.go("Explain")
    await ui.shows("Ask where a message would go.")
    await ui.fill("Explain AMQP", exchange="not-there")
    await ui.shows("It cannot be asked", "Not Found")
    await ui.fill("Explain AMQP", exchange="amq.topic", key="explained.x", properties="{")
    await ui.shows("Properties: expected JSON")
    await ui.fill("Explain AMQP", exchange="amq.topic", key="explained.x", properties="")
    await ui.shows(
        "1 would get it", "queue asked", "waits", "write '.*' matches", "the binding key 'else.#' does not match"
    )
    assert "key=explained.x" in await ui.page.evaluate("location.hash")

    await ui.fill("Explain MQTT", topic="explained/x", user="limited", qos="1")
    await ui.shows("it may not be published", "refuses", "Nobody: it may not be published.")
    await ui.fill("Explain MQTT", topic="explained/#", user="guest")
    await ui.shows("It cannot be asked", "topic")
    await ui.fill("Explain MQTT", topic="explained/x", user="guest", retain=True)
    await ui.shows("1 would get it", "The topic retains now", "This message would take its place")
    connection.close()
