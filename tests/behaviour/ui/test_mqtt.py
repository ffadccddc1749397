"""The web UI's pages about MQTT, with a real client of MQTT 5."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.support.server import HOST, HubbubServer
from tests.support.web_ui import WebUi

pytestmark = [pytest.mark.hubbub_only, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="session")]
TIMEOUT_S = 10


class Client:
    """A client with a session of an hour and two subscriptions."""

    def __init__(self, port: int, client_id: str) -> None:
        self.gone = Event()
        subscribed = Event()
        self.mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv5)
        self.mqtt.on_subscribe = lambda *_: subscribed.set()
        self.mqtt.on_disconnect = lambda _client, _data, _flags, reason, _properties: self.left(reason)
        self.mqtt.on_connect = lambda client, *_: client.subscribe([("home/+/temperature", 1), ("alarms/#", 2)])
        self.reason: object = None
        kept = Properties(PacketTypes.CONNECT)
        kept.SessionExpiryInterval = 3600
        self.mqtt.connect(HOST, port, clean_start=True, properties=kept)
        self.mqtt.loop_start()
        assert subscribed.wait(TIMEOUT_S)

    def left(self, reason: object) -> None:
        """Does not come back by itself."""
        self.reason = reason
        self.mqtt.disconnect()
        self.gone.set()

    def publish(self, topic: str, payload: bytes) -> None:
        """Retained, and acknowledged."""
        self.mqtt.publish(topic, payload, qos=1, retain=True).wait_for_publish(TIMEOUT_S)


@pytest.fixture
def client(broker: HubbubServer) -> Iterator[Client]:
    connected = Client(int(str(broker.settings["mqtt.port"])), "thermostat")
    yield connected
    connected.mqtt.loop_stop()


async def test_a_session_is_looked_into_and_ended(ui: WebUi, client: Client) -> None:
    await ui.go("Sessions")
    await ui.shows("thermostat", "connected", "MQTT 5-0")
    await ui.follow("thermostat")
    await ui.shows("home/+/temperature", "alarms/#", "Kept after the connection", "1 h 0 min", "On disk")
    await ui.click("End session")
    await ui.confirm("End session")
    await ui.titled("Sessions")
    await ui.said("Ended the session of thermostat")
    await ui.shows("No client of MQTT has a session.")

    assert client.gone.wait(TIMEOUT_S)
    assert "Administrative action" in str(client.reason)


async def test_subscriptions_are_listed_and_found(ui: WebUi, client: Client) -> None:
    await ui.go("Subscriptions")
    await ui.shows("home/+/temperature", "alarms/#", "2 subscriptions")
    await ui.find("alarms")
    await ui.shows("1 of 2 subscriptions")
    await ui.lacks("home/+/temperature")
    await ui.click("As a tree")
    await ui.shows("alarms/#", "home/+/temperature", "QoS 2")
    assert await ui.page.evaluate("[...document.querySelectorAll('.tree > li')].length") == 2
    await ui.click("As a list")
    await ui.shows("2 subscriptions")


async def test_retained_messages_are_found_read_and_cleared(ui: WebUi, client: Client) -> None:
    client.publish("home/kitchen/temperature", "21 °C <i>".encode())
    client.publish("home/bath/temperature", b"\xff\xfe")
    client.publish("garden/gate", b"closed")
    await ui.go("Retained messages")
    await ui.shows("home/kitchen/temperature", "garden/gate")
    await ui.fill("Find topics", filter="home/#/temperature")
    await ui.said("filter")
    await ui.fill("Find topics", filter="home/+/temperature")
    await ui.shows("home/bath/temperature")
    await ui.lacks("garden/gate")
    await ui.click("home/kitchen/temperature")
    assert await ui.page.until("document.querySelector('dialog[open] pre')?.textContent") == "21 °C <i>"
    await ui.click("✕")
    await ui.click("Clear", "home/kitchen")
    await ui.confirm("Clear")
    await ui.said("retains nothing any more")
    await ui.lacks("home/kitchen/temperature")


async def test_access_rules_are_added_moved_and_deleted(ui: WebUi, client: Client) -> None:
    await ui.go("Access rules")
    await ui.shows("No rules: every topic is allowed")
    await ui.click("New rule")
    await ui.fill("New rule", topic="a/#/b")
    await ui.said("topic: ")
    await ui.fill("New rule", permission="deny", action="subscribe", topic="alarms/#", user="guest")
    await ui.said("The rule is added")
    await ui.click("New rule")
    await ui.fill("New rule", permission="allow", topic="alarms/%c", number="1")
    await ui.shows("alarms/%c", "everybody", "alarms/#", "guest")
    order = "[...document.querySelectorAll('tbody tr')].map(row => row.querySelector('code').textContent)"
    assert await ui.page.evaluate(order) == ["alarms/%c", "alarms/#"]
    await ui.click("↓", "alarms/%c")
    await ui.said("Moved")
    await ui.page.until(f"{order}[0] === 'alarms/#'")
    for topic in ("alarms/%c", "alarms/#"):
        await ui.click("Delete", topic)
        await ui.confirm("Delete rule")
        await ui.said("Deleted")
        await ui.lacks(topic)
    await ui.shows("No rules: every topic is allowed")


async def test_a_connection_of_mqtt_shows_its_subscriptions(ui: WebUi, client: Client) -> None:
    await ui.go("Connections")
    await ui.shows("thermostat")
    await ui.page.evaluate(
        "[...document.querySelectorAll('tr')].find(row => row.textContent.includes('thermostat'))"
        ".querySelector('a').click()"
    )
    await ui.titled("Connection ")
    await ui.shows("alarms/#", "Client id")
    await ui.follow("The session")
    await ui.titled("Session ")
    await ui.shows("Retained are sent")
