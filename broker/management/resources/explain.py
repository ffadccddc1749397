"""`/api/hubbub/explain`: what would become of a message, and why. Nothing is published."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from broker.core.explain import explain_publish
from broker.core.message import Message
from broker.core.properties import encode_properties
from broker.management.asked import ADMINISTRATOR, body_of, field, flag, has_tag, sees_vhost, user_of
from broker.management.observed import ObservedServer
from broker.management.replies import answer, bad_request, not_found, refused

AMQP, MQTT = "amqp", "mqtt"
TOPICS = "amq.topic"


class Explain:
    """One endpoint."""

    def __init__(self, server: ObservedServer) -> None:
        self.server = server

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods."""
        return [web.post("/api/hubbub/explain", self.explain)]

    async def explain(self, request: web.Request) -> web.Response:
        """What would become of a message, and why.

        AMQP's `exchange`, `routing_key`, `properties`, or MQTT's `topic`, `client_id`, `qos`, `retain`; with `user`
        (who asks; another's is for administrators) and `vhost`.
        """
        body = await body_of(request)
        vhost, user = self.place(request, body)
        protocol = field(body, "protocol", str, MQTT if "topic" in body else AMQP)
        observed = self.server.observed_mqtt
        client_id: str | None = None
        qos: int | None = None
        if protocol == MQTT:
            exchange, client_id = TOPICS, field(body, "client_id", str, "")
            topic, qos = field(body, "topic", str), field(body, "qos", int, 0)
            if qos not in (0, 1, 2):
                raise bad_request(f"qos: expected 0, 1 or 2, got {qos}")
            try:
                message = observed.explained_message(topic, qos)
            except ValueError as error:
                raise bad_request(f"topic: {error}") from None
        elif protocol == AMQP:
            exchange, message = self.amqp_message(body)
        else:
            raise bad_request(f"protocol: expected amqp or mqtt, got '{protocol}'")
        found = explain_publish(
            vhost,
            user,
            exchange,
            message,
            client_id=client_id,
            describe_rule=observed.explained_rule,
            describe_subscriber=observed.explained_subscriber(qos),
        )
        if protocol == MQTT:
            found |= {"topic": topic, "qos": qos, "retained": self.retained(vhost, topic, flag(body, "retain"))}
        return answer({"protocol": protocol, **found})

    def place(self, request: web.Request, body: dict[str, Any]) -> tuple[Any, Any]:
        """The vhost and the user of the question."""
        asks, name = user_of(request), field(body, "vhost", str, "/")
        vhost = self.server.broker.vhosts.get(name)
        if vhost is None:
            raise not_found()
        if not sees_vhost(asks, name):
            raise refused("User not authorised to access virtual host")
        who = field(body, "user", str, asks.name)
        if who == asks.name:
            return vhost, asks
        if not has_tag(asks, {ADMINISTRATOR}):
            raise refused("Not administrator user")
        user = self.server.broker.access.users.get(who)
        if user is None:
            raise bad_request(f"user '{who}' does not exist")
        return vhost, user

    def amqp_message(self, body: dict[str, Any]) -> tuple[str, Message]:
        """The exchange, and an empty message."""
        name = field(body, "exchange", str)
        exchange = "" if name == "amq.default" else name
        try:
            properties = encode_properties(field(body, "properties", dict, {}))
        except (ValueError, TypeError, OverflowError, KeyError) as error:
            raise bad_request(f"properties: {error}") from None
        return exchange, Message(exchange.encode(), field(body, "routing_key", str).encode(), properties, b"")

    def retained(self, vhost: Any, topic: str, is_asked: bool) -> dict[str, Any]:
        """What the topic retains now, and whether this message would take its place."""
        found = self.server.observed_mqtt.retained_message(vhost, topic)
        return {"now": None if found is None else found[0], "is_replaced": is_asked}
