"""Makes the pictures of the web UI in `docs/images`: a broker with some traffic, looked at in Chromium.

    .venv/bin/python -m tests.screenshots

Owns the story that the pictures tell: a shop's orders over AMQP, a home's sensors over MQTT.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from pathlib import Path
from threading import Event, Thread

import paho.mqtt.client as mqtt
import pika
from paho.mqtt.enums import CallbackAPIVersion
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.browser import Browser
from tests.support.server import HOST, REPOSITORY, HubbubServer, free_port
from tests.support.web_ui import WebUi, web_ui

IMAGES = REPOSITORY / "docs" / "images"
WIDE, PHONE = (1280, 800), (390, 760)
WATCHED_S = 75
"""How long the charts are filled."""
TURN_S = 0.2
QUEUES: dict[str, dict[str, object]] = {
    "orders": {"x-max-length": 100_000, "x-dead-letter-exchange": "dead"},
    "invoices": {"x-queue-type": "quorum"},
    "mail": {"x-message-ttl": 600_000},
    "dead": {},
    "audit": {},
    "thumbnails": {},
}
EXCHANGES = {"shop": "topic", "events": "fanout", "dead": "fanout", "media": "direct"}
BINDINGS = [
    ("orders", "shop", "order.*"), ("invoices", "shop", "order.paid"), ("mail", "shop", "mail.#"),
    ("audit", "events", ""), ("dead", "dead", ""), ("thumbnails", "media", "image"),
    ("audit", "amq.topic", "home.door"),
]  # fmt: skip
SUBSCRIPTIONS = {
    "kitchen-display": "home/kitchen/#",
    "thermostat": "home/+/temperature",
    "dashboard": "home/#",
    "board-2": "$share/boards/home/#",
}
RETAINED = {
    "home/kitchen/temperature": "21.4",
    "home/kitchen/light": '{"on": true, "level": 70}',
    "home/door": "closed",
}
KEYS = ["order.new", "order.paid", "order.paid", "order.cancelled", "mail.welcome"]


def connection(broker: HubbubServer, name: str) -> BlockingChannel:
    """A channel of a connection with that name."""
    parameters = pika.ConnectionParameters(*broker.address, client_properties={"connection_name": name})
    return pika.BlockingConnection(parameters).channel()


def consume(broker: HubbubServer, name: str, queue: str, ended: Event) -> None:
    """Takes what comes until it ends; one in a hundred is not wanted."""
    channel = connection(broker, name)
    channel.basic_qos(prefetch_count=50)
    for method, _, _ in channel.consume(queue, inactivity_timeout=TURN_S):
        if method is not None and random.random() < 0.01:
            channel.basic_nack(method.delivery_tag, requeue=False)
        elif method is not None:
            channel.basic_ack(method.delivery_tag)
        if ended.is_set():
            return


def sell(broker: HubbubServer, ended: Event) -> None:
    """Publishes orders, more and less of them."""
    channel = connection(broker, "orders-api")
    properties = pika.BasicProperties(delivery_mode=2, content_type="application/json", headers={"tenant": "acme"})
    number = 0
    while not ended.wait(TURN_S):
        for _ in range(random.randint(8, 20)):
            number += 1
            body = json.dumps({"order": number, "total": random.randint(5, 500)}).encode()
            channel.basic_publish("shop", random.choice(KEYS), body, properties)
        channel.basic_publish("media", "image", bytes(2000))


def declare(broker: HubbubServer) -> None:
    """What the shop needs."""
    channel = connection(broker, "setup")
    for name, kind in EXCHANGES.items():
        channel.exchange_declare(name, kind, durable=True)
    for name, arguments in QUEUES.items():
        channel.queue_declare(name, durable=True, arguments=arguments)
    for queue, exchange, key in BINDINGS:
        channel.queue_bind(queue, exchange, key)
    channel.exchange_bind("events", "shop", "order.#")
    channel.connection.close()


def furnish(port: int) -> list[mqtt.Client]:
    """The home: displays, a thermostat, sensors."""
    clients = []
    for client_id, topic_filter in SUBSCRIPTIONS.items():
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv5)
        client.connect(HOST, port)
        client.loop_start()
        client.subscribe(topic_filter, 1)
        clients.append(client)
    for topic, payload in RETAINED.items():
        clients[0].publish(topic, payload, 1, retain=True).wait_for_publish(10)
    return clients


async def picture(ui: WebUi, name: str, place: str, theme: str = "light", size: tuple[int, int] = WIDE) -> None:
    """One page as it looks, into its file."""
    await ui.open(place)
    await ui.page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    await ui.page.screenshot(IMAGES / f"{name}.png", *size)


async def look(address: str, directory: Path) -> None:
    """The pictures, one after the other, when the charts have something to show."""
    async with Browser(directory) as browser, web_ui(browser, address) as ui:
        still = [{"name": "prefers-reduced-motion", "value": "reduce"}]
        await browser.call("Emulation.setEmulatedMedia", ui.page.session, features=still)
        await ui.page.evaluate("localStorage.setItem('range', 60)")
        await asyncio.sleep(WATCHED_S)
        await picture(ui, "overview", "overview")
        await picture(ui, "phone", "overview", size=PHONE)
        await picture(ui, "graph", "graph")
        await ui.open("queue/%2F/invoices")
        await asyncio.sleep(WATCHED_S * 0.9)
        await picture(ui, "queue", "queue/%2F/invoices", "dark")
        await picture(ui, "explain", "explain?exchange=shop&key=order.paid")
        await ui.open("trace")
        await ui.fill("Follow messages", exchange="shop", routing_key="order.#", messages_max="5")
        await ui.shows("5 of 5", "acknowledged")
        await ui.page.evaluate("document.getElementById('message').textContent = ''")
        await ui.page.screenshot(IMAGES / "trace.png", *WIDE)


def main() -> None:
    """All of it; ends with the pictures in place."""
    IMAGES.mkdir(exist_ok=True)
    ended = Event()
    with tempfile.TemporaryDirectory() as name:
        web_port, mqtt_port = free_port(), free_port()
        broker = HubbubServer(Path(name), {"management.port": web_port, "mqtt.address": HOST, "mqtt.port": mqtt_port})
        broker.start()
        try:
            declare(broker)
            consumers = [("orders-worker-1", "orders"), ("orders-worker-2", "orders"), ("auditor", "audit")]
            work = [Thread(target=consume, args=(broker, *each, ended)) for each in consumers]
            work.append(Thread(target=sell, args=(broker, ended)))
            for thread in work:
                thread.start()
            clients = furnish(mqtt_port)
            asyncio.run(look(f"http://{HOST}:{web_port}/", Path(name)))
            ended.set()
            for thread in work:
                thread.join()
            for client in clients:
                client.loop_stop()
        finally:
            ended.set()
            broker.kill()


if __name__ == "__main__":
    main()
