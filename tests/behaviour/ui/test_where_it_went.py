"""Where a message went, or would go, in the web UI: traces."""

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
    await ui.shows("Trace #1", "No message yet.", "routing_key traced.#")

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
