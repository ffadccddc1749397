"""Publish and subscribe in the page: the native WebSocket dialect, from a browser."""

from __future__ import annotations

import pytest

from tests.support.pika_client import connect
from tests.support.server import HubbubServer
from tests.support.web_ui import WebUi

pytestmark = [pytest.mark.hubbub_only, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="session")]


async def test_the_page_publishes_and_subscribes_to_topics(ui: WebUi) -> None:
    await ui.go("Publish & subscribe")
    await ui.fill("Log in", password="wrong")
    await ui.said("refused")
    await ui.fill("Log in", password="guest")
    await ui.shows("guest in /", "No message yet.")
    await ui.fill("Subscribe", name="home/#/x")
    await ui.said("invalid")
    await ui.fill("Subscribe", name="home/#")
    await ui.said("Subscribed to home/#")
    await ui.fill("Publish", name="home/kitchen", body="21 °C <script>", retain=True)
    await ui.said("Accepted after")
    await ui.shows("home/kitchen", "21 °C <script>")

    await ui.go("Overview")
    await ui.go("Publish & subscribe")

    await ui.shows("guest in /", "21 °C <script>")
    await ui.click("✕")
    await ui.said("No longer subscribed to home/#")
    await ui.fill("Publish", name="home/kitchen", body="", retain=True)
    await ui.said("Accepted after")
    await ui.click("Disconnect")
    await ui.shows("not connected", "This page becomes a client")


async def test_the_page_takes_and_acknowledges_messages_of_a_queue(ui: WebUi, broker: HubbubServer) -> None:
    connection = connect(broker.url)
    channel = connection.channel()
    channel.queue_declare("work", durable=True)
    channel.basic_publish("", "work", b"first")
    channel.basic_publish("", "work", b"second")
    await ui.go("Publish & subscribe")
    await ui.fill("Log in", password="guest")
    await ui.fill("Subscribe", to="queue", name="work", ack=True)
    await ui.shows("first", "second")
    for label in ("Acknowledge", "Requeue"):
        await ui.click(label)
        await ui.shows(label.lower())
    await ui.shows("redelivered")
    await ui.click("Reject")
    await ui.shows("reject")

    await ui.open("queue/%2F/work")

    await ui.shows("acknowledged", "requeued", "rejected")
    await ui.go("Publish & subscribe")
    channel.queue_delete("work")
    await ui.said("work is gone: the subscription ended")
    connection.close()


async def test_what_nobody_gets_is_said_where_somebody_must(ui: WebUi) -> None:
    await ui.go("Publish & subscribe")
    await ui.fill("Log in", password="guest")
    await ui.fill("Publish", to="exchange", name="amq.direct", key="nobody", mandatory=True)
    await ui.said("unroutable")
