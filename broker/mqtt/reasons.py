"""Why: the reason codes of MQTT 5, their words, and what is left of them in MQTT 3.

Owns the numbers (MQTT 5 §2.4), one text each, and the error that carries one to whoever answers the peer. Refuses to
know which packet carries the answer.
"""

from __future__ import annotations

import enum


class Reason(enum.IntEnum):
    """Every reason code of MQTT 5 (§2.4). Below 0x80 all is well."""

    SUCCESS = 0x00
    NORMAL_DISCONNECTION = 0x00
    GRANTED_QOS_0 = 0x00
    GRANTED_QOS_1 = 0x01
    GRANTED_QOS_2 = 0x02
    DISCONNECT_WITH_WILL_MESSAGE = 0x04
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    CONTINUE_AUTHENTICATION = 0x18
    REAUTHENTICATE = 0x19
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_IDENTIFIER_IN_USE = 0x91
    PACKET_IDENTIFIER_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    MESSAGE_RATE_TOO_HIGH = 0x96
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    USE_ANOTHER_SERVER = 0x9C
    SERVER_MOVED = 0x9D
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
    CONNECTION_RATE_EXCEEDED = 0x9F
    MAXIMUM_CONNECT_TIME = 0xA0
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2

    @property
    def is_failure(self) -> bool:
        """The request was not done."""
        return self >= 0x80

    @property
    def text(self) -> str:
        """The code's name in words, for a log or a reason string."""
        return self.name.lower().replace("_", " ")


class MqttError(Exception):
    """What a peer did wrong, or may not do: a reason code and one sentence for the peer and the log."""

    def __init__(self, reason: Reason, text: str = "", *, version: int = 0) -> None:
        """`version`: of the protocol, where CONNECT failed and nobody else can know in which words to answer."""
        super().__init__(text or reason.text)
        self.reason = reason
        self.text = text or reason.text
        self.version = version


def malformed(text: str) -> MqttError:
    """The packet cannot be read as the specification says (MQTT 5 §4.13.1)."""
    return MqttError(Reason.MALFORMED_PACKET, text)


def protocol_error(text: str) -> MqttError:
    """The packet can be read, and must not be sent, or not now (MQTT 5 §4.13.1)."""
    return MqttError(Reason.PROTOCOL_ERROR, text)


VERSIONS = (3, 4, 5)
"""Protocol levels: MQTT 3.1, 3.1.1 and 5."""
VERSION_5 = 5
FAILURE_3 = 0x80
"""MQTT 3.1.1 §3.9.3: the only failure that a SUBACK knows."""

RETURN_CODES = {
    Reason.SUCCESS: 0,
    Reason.UNSUPPORTED_PROTOCOL_VERSION: 1,
    Reason.CLIENT_IDENTIFIER_NOT_VALID: 2,
    Reason.SERVER_UNAVAILABLE: 3,
    Reason.SERVER_BUSY: 3,
    Reason.SERVER_SHUTTING_DOWN: 3,
    Reason.QUOTA_EXCEEDED: 3,
    Reason.CONNECTION_RATE_EXCEEDED: 3,
    Reason.UNSPECIFIED_ERROR: 3,
    Reason.IMPLEMENTATION_SPECIFIC_ERROR: 3,
    Reason.BAD_USER_NAME_OR_PASSWORD: 4,
    Reason.NOT_AUTHORIZED: 5,
    Reason.BANNED: 5,
}
"""MQTT 3.1.1 §3.2.2.3: the return codes of CONNACK."""

CONNACK_REASONS = frozenset(
    {
        0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A,
        0x9B, 0x9C, 0x9D, 0x9F,
    }
)  # fmt: skip
"""MQTT 5 §3.2.2.2: what a CONNACK may say."""


def connack_code(reason: Reason, version: int) -> int | None:
    """The code of a CONNACK for `reason`. None: this version has no word for it, and the connection is just closed."""
    if version < VERSION_5:
        return RETURN_CODES.get(reason)
    if reason == Reason.SERVER_SHUTTING_DOWN:  # a word that only DISCONNECT has
        return Reason.SERVER_UNAVAILABLE
    return reason if reason in CONNACK_REASONS else Reason.UNSPECIFIED_ERROR


DISCONNECT_REASONS = frozenset(
    {
        0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97,
        0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
    }
)  # fmt: skip
"""MQTT 5 §3.14.2.1 and §2.4: what a server's DISCONNECT may say."""


def disconnect_code(reason: Reason) -> Reason:
    """The code of a DISCONNECT for `reason`."""
    return reason if reason in DISCONNECT_REASONS else Reason.UNSPECIFIED_ERROR


def suback_code(reason: Reason, version: int) -> int:
    """One code of a SUBACK."""
    return FAILURE_3 if version < VERSION_5 and reason.is_failure else int(reason)
