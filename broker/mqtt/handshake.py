# cython: annotation_typing=False
"""CONNECT to CONNACK: who it is, in which vhost, with which session, under which terms. And AUTH, then and later.

Owns the judgement of CONNECT and what CONNACK says. Refuses to know what comes afterwards, re-authentication aside.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from broker.core.certificate_login import name_in
from broker.core.errors import AccessRefused, LimitExceeded, TooManyLogins
from broker.core.events import tell_login
from broker.core.peers import host_of, is_loopback
from broker.mqtt import ending, review, rights, will
from broker.mqtt.authentication import Authentication, Mechanism, Step
from broker.mqtt.connect import Connect, decode_connect
from broker.mqtt.endpoint import RECEIVE_MAXIMUM_DEFAULT
from broker.mqtt.oauthbearer import OAuthBearer
from broker.mqtt.packets import decode_auth
from broker.mqtt.properties import NONE_SAID, Properties
from broker.mqtt.reasons import VERSION_5, MqttError, Reason, protocol_error
from broker.mqtt.replies import encode_auth, encode_connack
from broker.mqtt.scram import ScramServer

if TYPE_CHECKING:
    from broker.mqtt.connection import MqttConnection
    from broker.mqtt.session import Session

NEVER_EXPIRES = 0xFFFFFFFF


def on_connect(connection: MqttConnection, body: bytes) -> None:
    """CONNECT. Raises MqttError, answered as CONNACK."""
    endpoint = connection.endpoint
    connect = decode_connect(body)
    is_again = connection.connect is not None  # others have decided about its user meanwhile
    connection.version = connect.version
    connection.connect = connect
    properties = connect.properties
    if properties is not NONE_SAID:
        if properties.maximum_packet_size is not None:
            connection.packet_bytes_max = properties.maximum_packet_size
        if properties.request_problem_information == 0:
            connection.wants_reasons = False
    if not is_again and not endpoint.connect_rate.admit():
        raise MqttError(Reason.CONNECTION_RATE_EXCEEDED, "too many clients connect at once")
    if properties.authentication_method is not None:
        begin_authentication(connection, properties)
        return
    vhost_name = log_in(connection, connect)
    enter(connection, vhost_name)
    accept(connection, connect)


def begin_authentication(connection: MqttConnection, properties: Properties) -> None:
    """CONNECT names an authentication method: the first step of it."""
    assert properties.authentication_method is not None
    authentication = Authentication(mechanisms(connection), properties.authentication_method)
    connection.authentication = authentication
    step = advance(connection, lambda: authentication.begin(properties.authentication_data))
    connection.state = ending.AWAIT_AUTH
    go_on(connection, step)


def mechanisms(connection: MqttConnection) -> dict[str, Callable[[], Mechanism]]:
    """The authentication methods that are offered (MQTT 5 §4.12)."""

    def scram() -> ScramServer:
        return ScramServer(
            connection.broker.access,
            is_loopback(connection.peer),
            host_of(connection.peer),
            account=lambda name: vhost_and_user(name, connection.endpoint.vhost_name)[1],
        )

    def bearer() -> OAuthBearer:
        assert connection.connect is not None or connection.user is not None
        return OAuthBearer(
            connection.broker.access,
            is_loopback(connection.peer),
            host_of(connection.peer),
            account=lambda name: vhost_and_user(name, connection.endpoint.vhost_name)[1],
        )

    others = connection.broker.access.others
    offered: dict[str, Callable[[], Mechanism]] = {}
    if others is None or others.asks_internal:
        offered[ScramServer.name] = scram
    if others is not None and others.takes_tokens:
        offered[OAuthBearer.name] = bearer
    return offered


def on_auth(connection: MqttConnection, body: bytes) -> None:
    """AUTH: a step towards CONNACK, or of re-authentication. Raises MqttError."""
    auth = decode_auth(connection.version, body)
    if connection.authentication is None:
        raise protocol_error("AUTH without an authentication method in CONNECT")  # [MQTT-4.12.0-6], [MQTT-4.12.1-1]
    go_on(connection, advance(connection, lambda: connection.authentication.on_auth(auth)))


def advance(connection: MqttConnection, call: Callable[[], Step]) -> Step:
    """One step of enhanced authentication; a refusal is counted, and told. Raises MqttError, Undecided."""
    try:
        return call()
    except MqttError as error:
        if error.reason == Reason.NOT_AUTHORIZED:
            login = connection.authentication.login
            name = login.name_given if login is not None else ""
            refuse(connection, name, connection.authentication.method, error.text)
        raise


def go_on(connection: MqttConnection, step: Step) -> None:
    """Answers a step of enhanced authentication: AUTH, or, when it was the first exchange's last, CONNACK."""
    authentication, connect = connection.authentication, connection.connect
    if step.user is not None and connect is not None:
        vhost_name, _ = vhost_and_user(authentication.name_given, connection.endpoint.vhost_name)
        connection.user, connection.username = step.user, authentication.name_given
        step.user.may_access(vhost_name)  # asked before anything is told: the whole packet may come again
        tell_login(connection.broker.events, connection, step.user.name, authentication.method)
        enter(connection, vhost_name)
        accept(connection, connect, step.data)
        return
    if step.user is not None:
        tell_login(connection.broker.events, connection, step.user.name, authentication.method)
        review.become(connection, step.user)
        if connection.state == ending.CLOSED:  # the new login may not be in this vhost
            return
        watch_expiry(connection)
    said = Properties(authentication_method=authentication.method, authentication_data=step.data or None)
    connection.write(encode_auth(step.reason, said, connection.packet_bytes_max))  # [MQTT-4.12.0-2], [MQTT-4.12.0-5]


def log_in(connection: MqttConnection, connect: Connect) -> str:
    """Name and password, or nobody where that is allowed; the vhost's name. Raises MqttError, Undecided."""
    endpoint, access = connection.endpoint, connection.broker.access
    loopback, peer = is_loopback(connection.peer), host_of(connection.peer)
    vhost_name, name, mechanism = endpoint.vhost_name, endpoint.anonymous_user, "ANONYMOUS"
    certificate = None
    if endpoint.certificate_is_login and connect.password is None and connection.tls is not None:
        certificate = connection.tls.getpeercert()
    try:
        if certificate:
            mechanism, name = "EXTERNAL", ""
            vhost_name, _ = vhost_and_user(connect.username or "", vhost_name)
            name = name_in(certificate, access.certificate_name)
            connection.user = access.admit_external(name, loopback, peer)
        elif connect.username is None:
            if endpoint.anonymous == "never" or (endpoint.anonymous == "loopback" and not loopback):
                raise AccessRefused("a user name is needed")
            connection.user = access.admit_external(name, loopback, peer)
        else:
            mechanism = "PLAIN"
            vhost_name, name = vhost_and_user(connect.username, vhost_name)
            password = connect.password or b""
            connection.user = access.authenticate(name, password, loopback, peer)
    except AccessRefused as error:
        refuse(connection, name, mechanism, error.text)
        is_busy = isinstance(error, TooManyLogins)
        raise MqttError(Reason.SERVER_BUSY if is_busy else Reason.BAD_USER_NAME_OR_PASSWORD, error.text) from None
    connection.user.may_access(vhost_name)  # asked before anything is told: the whole CONNECT may come again
    connection.username = connect.username
    events = connection.broker.events
    if events.listeners or events.login_watcher is not None:
        tell_login(events, connection, connection.user.name, mechanism)
    return vhost_name


def refuse(connection: MqttConnection, name: str, mechanism: str, text: str) -> None:
    """A login that failed: count it, and tell."""
    connection.counters.logins_refused += 1
    tell_login(connection.broker.events, connection, name, mechanism, text)


def enter(connection: MqttConnection, vhost_name: str) -> None:
    """The vhost, where the user may. Raises MqttError."""
    vhost = connection.broker.vhosts.get(vhost_name)
    if vhost is None or not connection.user.may_access(vhost_name):
        connection.counters.logins_refused += 1
        text = f"access to vhost '{vhost_name}' refused for user '{connection.user.name}'"
        raise MqttError(Reason.NOT_AUTHORIZED, text)
    connection.vhost = vhost
    if connection.user.expires_ms:
        watch_expiry(connection)
    if connection.endpoint.sparkplug:
        connection.endpoint.prepare(vhost)


def watch_expiry(connection: MqttConnection) -> None:
    """A user whom a token names is one for as long as the token says; again after each re-authentication."""
    if connection.expiry is not None:
        connection.expiry.cancel()
        connection.expiry = None
    if connection.user.expires_ms:
        error = MqttError(Reason.MAXIMUM_CONNECT_TIME, "the credentials have expired")
        connection.expiry = connection.broker.clock.call_at(
            connection.user.expires_ms, lambda: ending.fail(connection, error)
        )


def vhost_and_user(username: str, vhost_name: str) -> tuple[str, str]:
    """`vhost:user`, split at the last colon (RabbitMQ); without one the listener's vhost."""
    named, colon, user = username.rpartition(":")
    return (named, user) if colon else (vhost_name, username)


def expiry_of(interval_s: int) -> int | None:
    """A session expiry interval; None: never (MQTT 5 §3.1.2.11.2)."""
    return None if interval_s == NEVER_EXPIRES else interval_s


def accept(connection: MqttConnection, connect: Connect, last_data: bytes = b"") -> None:
    """Everything is right: the session, and CONNACK. What a stored session promises is on disk before.

    `last_data`: of enhanced authentication, what proves us to the client.
    """
    endpoint, vhost = connection.endpoint, connection.vhost
    sessions, properties = endpoint.sessions, connect.properties
    client_id = connect.client_id or f"auto-{secrets.token_hex(16)}"  # [MQTT-3.1.3-6]
    if endpoint.client_id_rule != "any":
        rights.check_client_id(client_id, connection.user.name, endpoint.client_id_rule)
    if connect.version == VERSION_5:
        expiry = expiry_of(properties.session_expiry_interval or 0)
    else:
        expiry = 0 if connect.clean_start else None
    existing = sessions.find(vhost, client_id)
    if existing is None and expiry != 0 and connection.broker.is_full_of_lasting:
        raise MqttError(Reason.QUOTA_EXCEEDED, "sessions and retained messages have all the memory that they may have")
    if existing is not None and existing.connection is not None:
        ending.take_over(existing.connection)
    count_in(connection)
    must_wait = existing is not None and existing.is_stored
    session, present = sessions.open(vhost, client_id, connect.clean_start, expiry)
    session.user = connection.user
    review.review_unless_judged(session)
    if connect.will is not None:
        session.will = will.pending(connect.will, connection.user)
    connection.keep_alive_s = connect.keep_alive_s
    if endpoint.server_keep_alive_s and not 0 < connect.keep_alive_s <= endpoint.server_keep_alive_s:
        connection.keep_alive_s = endpoint.server_keep_alive_s if connect.version == VERSION_5 else connect.keep_alive_s
    session.attach(
        connection,
        connect.version,
        connection.packet_bytes_max,
        min(properties.receive_maximum or RECEIVE_MAXIMUM_DEFAULT, endpoint.inflight_max),
        min(properties.topic_alias_maximum or 0, endpoint.topic_alias_maximum),
        connect.is_bridge,
    )
    connection.run(session)
    if connection.broker.events.listeners:
        connection.broker.events.tell("connection.created", **ending.fields(connection))
    endpoint.keep_alives.hasten(connection)
    granted = terms(connection, connect, client_id, session.expiry_interval_s, last_data)
    if granted is endpoint.usual_terms and not present:
        connack = endpoint.usual_connack
    else:
        connack = encode_connack(connect.version, present, Reason.SUCCESS, granted, connection.packet_bytes_max)
    connection.connect = None
    if must_wait or session.is_stored:
        sessions.write(session)
        connection.when_stored(partial(welcome, connection, session, connack))
    else:
        welcome(connection, session, connack)


def welcome(connection: MqttConnection, session: Session, connack: bytes) -> None:
    """Nothing is in the way any more: CONNACK, and what the session's client is owed."""
    connection.counters.connections_opened += 1
    connection.write(connack)
    session.resume(connection)


def count_in(connection: MqttConnection) -> None:
    """Count it in its vhost and for its user. Raises MqttError at an operator's limit of connections."""
    try:
        connection.broker.presence.enter(connection.user.name, connection.vhost.name, connection)
    except LimitExceeded as error:
        raise MqttError(Reason.QUOTA_EXCEEDED, error.text) from None
    connection.is_present = True
    if connection.meter is not None or connection.broker.publish_rates.are_set:
        review.be_metered(connection)


def terms(
    connection: MqttConnection, connect: Connect, client_id: str, expiry_s: int | None, last_data: bytes
) -> Properties | None:
    """What CONNACK says besides yes: where it differs from what was asked, or from what holds unsaid."""
    if connect.version != VERSION_5:
        return None
    endpoint, asked = connection.endpoint, connect.properties
    said: dict[str, Any] = {}
    if not connect.client_id:  # [MQTT-3.2.2-16]
        said["assigned_client_identifier"] = client_id
    if connection.keep_alive_s != connect.keep_alive_s:  # [MQTT-3.2.2-21]
        said["server_keep_alive"] = connection.keep_alive_s
    if expiry_s != expiry_of(asked.session_expiry_interval or 0):  # [MQTT-3.2.2-18]
        said["session_expiry_interval"] = expiry_s
    if connection.authentication is not None:  # [MQTT-4.12.0-5]
        said["authentication_method"] = connection.authentication.method
        said["authentication_data"] = last_data
    if asked.request_response_information:
        said["response_information"] = f"response/{client_id}/"
    return msgspec.structs.replace(endpoint.usual_terms, **said) if said else endpoint.usual_terms
