"""`/api/hubbub/explain`: what would become of a message, and why. Nothing is published."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from broker.core.access import User
from broker.core.errors import NotFound
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

        AMQP's `exchange`, `routing_key`, `properties`, or MQTT's `topic`, `client_id`, `qos`, `retain`; with `vhost`
        and `user` (who asks), or `token` instead, of OAuth 2; others' are for administrators. Whoever else knows
        users is asked as at a login.
        """
        body = await body_of(request)
        vhost = self.place(request, body)
        user, known_by, backend = self.who(request, body)
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
            backend=backend,
            describe_rule=observed.explained_rule,
            describe_subscriber=observed.explained_subscriber(qos),
        )
        if protocol == MQTT:
            found |= {"topic": topic, "qos": qos, "retained": self.retained(vhost, topic, flag(body, "retain"))}
        backends = {"authentication": known_by, "authorization": backend}
        return answer({"protocol": protocol, "backends": backends, **found})

    def place(self, request: web.Request, body: dict[str, Any]) -> Any:
        """The vhost of the question."""
        name = field(body, "vhost", str, "/")
        vhost = self.server.broker.vhosts.get(name)
        if vhost is None:
            raise not_found()
        if not sees_vhost(user_of(request), name):
            raise refused("User not authorised to access virtual host")
        return vhost

    def who(self, request: web.Request, body: dict[str, Any]) -> tuple[User, str, str]:
        """The user of the question, which backend knows it, and which says what it may. Raises Undecided."""
        asks, access = user_of(request), self.server.broker.access
        token = field(body, "token", str, None)
        name = field(body, "user", str, asks.name if token is None else "")
        if (token is not None or name != asks.name) and not has_tag(asks, {ADMINISTRATOR}):
            raise refused("Not administrator user")
        if access.others is None:
            if token is not None:
                raise bad_request("token: no backend takes tokens")
            user = access.users.get(name)
            if user is None:
                raise bad_request(f"user '{name}' does not exist")
            return user, "internal", "internal"
        if token is None and name == asks.name and asks.known_by != User.known_by:
            return asks, *asks.known_by
        try:
            found: tuple[User, str, str] = access.others.who(
                name, None if token is None else token.encode(), request.remote or ""
            )
            return found
        except NotFound as error:
            raise bad_request(error.text) from None

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
