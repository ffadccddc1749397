"""Messages that the broker publishes in a client's name: wills. What a client itself publishes is `connection`'s."""

from broker.core.exchange cimport Exchange
from broker.core.message cimport (
    MESSAGE_HAS_HEADERS, MESSAGE_PERSISTENT, MESSAGE_QOS2, MESSAGE_RETAIN, Message, message_t,
)
from broker.core.retained cimport RetainedMessages
from broker.mqtt.session cimport message_qos


def publish_as_client(vhost, Message message, int qos, bint retain) -> int:
    """Publishes a message that nobody else has yet. ROUTED, STORED, REFUSED or'ed."""
    cdef message_t* pointer = message.message
    cdef Exchange exchange = vhost.exchanges["amq.topic"]
    cdef RetainedMessages retained = vhost.retained
    cdef int outcome = 0
    pointer.flags &= ~MESSAGE_HAS_HEADERS
    if qos:
        pointer.flags |= MESSAGE_PERSISTENT | (MESSAGE_QOS2 if qos == 2 else 0)
    if retain:
        pointer.flags |= MESSAGE_RETAIN
        outcome = retained.retain(pointer)
    return outcome | exchange.publish(pointer)


def published_qos(Message message not None) -> int:
    """The QoS that a message was published with: 0, 1 or 2."""
    return message_qos(message.message)
