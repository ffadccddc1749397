"""OAuth 2 tokens over every protocol: logins, scopes, expiry, renewal on a live connection, no token in a log."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pika
import pika.exceptions
import pytest

from tests.support import mqtt_codec
from tests.support.entrances import ENTRANCES, RefusedError, enter, server_with_entrances, whoami
from tests.support.mqtt_raw import MqttRaw
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, serving
from tests.support.tokens import AuthorizationServer

pytestmark = pytest.mark.hubbub_only
EVERYTHING = "hub.configure:*/*/* hub.write:*/*/* hub.read:*/*/* hub.tag:administrator"
SHORT_S = 3


@pytest.fixture(scope="module")
def issuer() -> Iterator[AuthorizationServer]:
    server = AuthorizationServer()
    server.make_key("one")
    yield server
    server.close()


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit") / "audit.json"


@pytest.fixture(scope="module")
def broker(
    tmp_path_factory: pytest.TempPathFactory, issuer: AuthorizationServer, audit: Path
) -> Iterator[HubbubServer]:
    settings = {
        "authentication.backends": "[oauth, internal]",
        "authentication.oauth.resource_server_id": "hub",
        "authentication.oauth.jwks_url": issuer.url,
        "authentication.oauth.scope_aliases": json.dumps({"reader": ["hub.read:*/*", "hub.tag:monitoring"]}),
        "audit.file": audit,
    }
    running = server_with_entrances(tmp_path_factory.mktemp("tokens"), settings)
    with serving(running):
        eventually(lambda: "is ready" in running.log)
        yield running


USED: list[str] = []
"""All tokens of this run: none of them may be found anywhere."""


def token(issuer: AuthorizationServer, **changes: Any) -> str:
    claims = {"sub": "ann", "aud": "hub", "exp": int(time.time()) + 600, "scope": EVERYTHING, **changes}
    USED.append(issuer.token(claims))
    return USED[-1]


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_the_token_is_the_password(broker: HubbubServer, issuer: AuthorizationServer, entrance: str) -> None:
    name = enter(broker, entrance, "whatever", token(issuer))

    assert name == ("ann" if entrance in ("websocket", "http") else "whatever")  # the others do not say


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_an_expired_token_is_refused(broker: HubbubServer, issuer: AuthorizationServer, entrance: str) -> None:
    with pytest.raises(RefusedError) as refused:
        enter(broker, entrance, "ann", token(issuer, exp=int(time.time()) - 1))
    assert USED[-1] not in str(refused.value)


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_token_for_somebody_else_is_refused(broker: HubbubServer, issuer: AuthorizationServer, entrance: str) -> None:
    with pytest.raises(RefusedError):
        enter(broker, entrance, "ann", token(issuer, aud="other"))


def test_the_stores_users_come_in_with_their_passwords(broker: HubbubServer) -> None:
    assert enter(broker, "amqp", "guest", "guest") == "guest"


def test_bearer_over_http(broker: HubbubServer, issuer: AuthorizationServer) -> None:
    assert whoami(broker, f"Bearer {token(issuer, scope='reader')}") == {
        "name": "ann",
        "tags": ["monitoring"],
    } | {key: value for key, value in whoami(broker, f"Bearer {USED[-1]}").items() if key not in ("name", "tags")}
    with pytest.raises(RefusedError, match="401"):
        whoami(broker, "Bearer nonsense")
    with pytest.raises(RefusedError, match="401"):
        whoami(broker, f"Bearer {token(issuer, scope='hub.read:*/*')}")  # no tag


def amqp(broker: HubbubServer, password: str) -> pika.BlockingConnection:
    credentials = pika.PlainCredentials("", password)
    return pika.BlockingConnection(pika.ConnectionParameters(HOST, broker.port, credentials=credentials))


def test_scopes_are_permissions(broker: HubbubServer, issuer: AuthorizationServer) -> None:
    connection = amqp(broker, token(issuer, scope="hub.configure:%2F/mine-* hub.write:%2F/amq.default"))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("mine-1", exclusive=True)
    channel.basic_publish("", "mine-1", b"x", mandatory=True)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="403"):
        channel.basic_get("mine-1")
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="403"):
        connection.channel().queue_declare("yours")
    connection.close()


def test_a_scope_may_name_routing_keys(broker: HubbubServer, issuer: AuthorizationServer) -> None:
    scope = "hub.configure:*/* hub.write:*/* hub.read:*/* hub.write:%2F/amq.topic/out.* hub.read:%2F/amq.topic/in.*"
    raw = mqtt(broker, token(issuer, scope=scope))
    assert raw.subscribe("in/#", "out/#", "in/+").reasons == (0, 0x87, 0)
    for topic, reasons in (("out/a", {0x00, 0x10}), ("in/a", {0x87}), ("out/b", {0x00, 0x10}), ("outer", {0x87})):
        answer = raw.deliver(topic, b"x", qos=1)
        assert answer is not None
        assert answer.reason in reasons, topic
    raw.close()

    connection = amqp(broker, USED[-1])
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish("amq.topic", "out.a", b"x")
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match=r"403.*access to topic 'in\.a'"):
        channel.basic_publish("amq.topic", "in.a", b"x")
    connection.close()


def test_a_subscription_that_the_new_token_lacks_is_gone(broker: HubbubServer, issuer: AuthorizationServer) -> None:
    raw = mqtt(broker, token(issuer))
    raw.subscribe("news")
    less = token(issuer, scope="hub.write:*/*/*")
    properties = {"authentication_method": "OAUTHBEARER", "authentication_data": bearer(less)}
    raw.send(mqtt_codec.auth(0x19, properties))
    assert raw.expect(mqtt_codec.AUTH).reason == 0

    answer = raw.deliver("news", b"x", qos=1)

    assert answer is not None
    assert answer.reason == 0x10  # nobody gets it
    raw.close()


def test_a_token_for_another_vhost_ends_the_connection(broker: HubbubServer, issuer: AuthorizationServer) -> None:
    connection = amqp(broker, token(issuer))

    with pytest.raises(pika.exceptions.ConnectionClosedByBroker, match=r"403.*access to vhost '/' refused"):
        connection.update_secret(token(issuer, scope="hub.read:other/*"), "renewal")


def test_an_amqp_connection_ends_with_its_token(broker: HubbubServer, issuer: AuthorizationServer) -> None:
    connection = amqp(broker, token(issuer, exp=int(time.time()) + SHORT_S))

    with pytest.raises(pika.exceptions.ConnectionClosedByBroker, match=r"320.*credentials have expired"):
        connection.process_data_events(time_limit=SHORT_S + 5)


def test_update_secret_renews_an_amqp_connection(broker: HubbubServer, issuer: AuthorizationServer) -> None:
    expires = int(time.time()) + SHORT_S
    connection = amqp(broker, token(issuer, exp=expires, scope="hub.configure:*/*"))
    channel = connection.channel()
    channel.queue_declare("renewed", exclusive=True)

    connection.update_secret(token(issuer), "renewal")
    connection.process_data_events(time_limit=expires - time.time() + 1)

    channel.confirm_delivery()
    channel.basic_publish("", "renewed", b"x", mandatory=True)  # the first token could not
    connection.close()


def test_rights_that_the_new_token_lacks_are_gone(broker: HubbubServer, issuer: AuthorizationServer) -> None:
    connection = amqp(broker, token(issuer))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("less", exclusive=True)
    channel.basic_publish("", "less", b"x", mandatory=True)

    connection.update_secret(token(issuer, scope="hub.read:*/*"), "renewal")

    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="403"):
        channel.basic_publish("", "less", b"x", mandatory=True)
    connection.close()


def test_another_users_token_does_not_renew(broker: HubbubServer, issuer: AuthorizationServer) -> None:
    connection = amqp(broker, token(issuer))

    with pytest.raises(pika.exceptions.ConnectionClosedByBroker, match="not allowed to change the user"):
        connection.update_secret(token(issuer, sub="bob"), "renewal")


def bearer(password: str) -> bytes:
    return b"n,,\1auth=Bearer " + password.encode() + b"\1\1"


def mqtt(broker: HubbubServer, password: str) -> MqttRaw:
    raw = MqttRaw((HOST, int(str(broker.settings["mqtt.port"]))), mqtt_codec.V5)
    properties = {"authentication_method": "OAUTHBEARER", "authentication_data": bearer(password)}
    connack = raw.connect(properties=properties)
    if connack.reason:
        raw.close()
        raise RefusedError(f"{connack.reason:#x}")
    assert connack.properties["authentication_method"] == "OAUTHBEARER"
    return raw


def test_an_mqtt_connection_ends_with_its_token(broker: HubbubServer, issuer: AuthorizationServer) -> None:
    raw = mqtt(broker, token(issuer, exp=int(time.time()) + SHORT_S))
    raw.socket.settimeout(SHORT_S + 5)
    raw.timeout_s = SHORT_S + 5

    assert raw.expect(mqtt_codec.DISCONNECT).reason == 0xA0
    raw.close()


def test_an_mqtt_3_connection_and_a_session_over_http_end_with_their_token(
    broker: HubbubServer, issuer: AuthorizationServer
) -> None:
    """MQTT 3.1.1 has no word for it; the next request over HTTP, as of the web UI, is refused."""
    short = token(issuer, exp=int(time.time()) + SHORT_S)
    raw = MqttRaw((HOST, int(str(broker.settings["mqtt.port"]))), mqtt_codec.V311, timeout_s=SHORT_S + 5)
    assert raw.connect(user="ann", password=short.encode()).reason == 0
    assert whoami(broker, f"Bearer {short}")["name"] == "ann"

    assert raw.until_closed() == []
    with pytest.raises(RefusedError, match="401"):
        whoami(broker, f"Bearer {short}")
    raw.close()


def test_auth_renews_an_mqtt_connection(broker: HubbubServer, issuer: AuthorizationServer) -> None:
    expires = int(time.time()) + SHORT_S
    raw = mqtt(broker, token(issuer, exp=expires, scope="hub.read:*/*/* hub.configure:*/*"))
    refused = raw.deliver("a", b"x", qos=1)
    assert refused is not None
    assert refused.reason == 0x87

    properties = {"authentication_method": "OAUTHBEARER", "authentication_data": bearer(token(issuer))}
    raw.send(mqtt_codec.auth(0x19, properties))
    assert raw.expect(mqtt_codec.AUTH).reason == 0

    eventually(lambda: time.time() > expires + 0.5, timeout_s=SHORT_S + 5)
    accepted = raw.deliver("a", b"x", qos=1)
    assert accepted is not None
    assert accepted.reason < 0x80
    raw.close()


@pytest.mark.parametrize("changes", [{"sub": "bob"}, {"aud": "other"}])
def test_auth_with_another_token_ends_the_connection(
    broker: HubbubServer, issuer: AuthorizationServer, changes: dict[str, Any]
) -> None:
    raw = mqtt(broker, token(issuer))

    properties = {"authentication_method": "OAUTHBEARER", "authentication_data": bearer(token(issuer, **changes))}
    raw.send(mqtt_codec.auth(0x19, properties))

    assert raw.expect(mqtt_codec.DISCONNECT).reason == 0x87
    raw.close()


def test_a_wrong_token_is_refused_in_connect(broker: HubbubServer, issuer: AuthorizationServer, audit: Path) -> None:
    with pytest.raises(RefusedError, match="0x87"):
        mqtt(broker, token(issuer, aud="other"))
    eventually(lambda: "the token is not for 'hub'" in audit.read_text())


def test_a_websocket_ends_with_its_token(broker: HubbubServer, issuer: AuthorizationServer) -> None:
    async def wait() -> int | None:
        url = f"ws://{HOST}:{broker.settings['websocket.port']}/hubbub"
        async with aiohttp.ClientSession() as session, session.ws_connect(url, protocols=["hubbub.json"]) as socket:
            password = token(issuer, exp=int(time.time()) + SHORT_S)
            await socket.send_json({"type": "hello", "user": "", "password": password})
            assert (await socket.receive_json(timeout=5))["type"] == "welcome"
            await socket.receive(timeout=SHORT_S + 5)
            return socket.close_code

    assert asyncio.run(wait()) == 1008


def test_no_token_is_in_a_log_or_a_metric(broker: HubbubServer, audit: Path) -> None:
    assert len(USED) > 10
    signatures = [each.rpartition(".")[2] for each in USED]
    for text in (broker.log, audit.read_text()):
        assert not any(signature in text for signature in signatures)
    assert '"name": "ann"' in audit.read_text()
