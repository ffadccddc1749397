"""A client's PUBLISH as a message: see incoming.pxd."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint16_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from broker.core.message cimport (
    MESSAGE_HAS_HEADERS, MESSAGE_OK, MESSAGE_PERSISTENT, MESSAGE_QOS2, MESSAGE_RETAIN, message_body, message_describe,
    message_new, message_t, message_unref, same_bytes,
)
from broker.mqtt.codec cimport (
    EXCHANGE_NAME_SIZE, FLAG_RETAIN, PUBLISH_ID, PUBLISH_LENGTH, PUBLISH_QOS, has_wildcard, publish_t, swap_topic,
)
from broker.mqtt.publish_properties cimport publish_properties_scan, publish_properties_t
from broker.mqtt.translate cimport publish_properties_to_amqp
from broker.mqtt.utf8 cimport utf8_is_valid

from broker.core.undecided import Undecided
from broker.mqtt.reasons import MqttError, Reason

cdef enum:
    LAST_TOPIC_MAX = 256            # longer topics are looked at each time

cdef char* EXCHANGE_NAME = "amq.topic"
cdef char* PROPERTIES_TRANSIENT = "\0\0"
cdef char* PROPERTIES_PERSISTENT = "\x10\0\2"


cdef class Incoming:
    """Of one connection."""

    def __init__(self, connection, rights):
        self.endpoint = connection.endpoint
        self.traffic = connection.traffic
        self.publisher = connection.number
        self.is_5 = connection.version == 5
        self.topic_alias_max = self.endpoint.topic_alias_maximum
        self.rights = rights

    def __dealloc__(self):
        free(self.last_topic)

    cdef message_t* make_message(self, publish_t* publish) except NULL:
        cdef publish_properties_t properties
        cdef message_t* message
        cdef const char* topic = publish.topic
        cdef size_t topic_size = publish.topic_size
        cdef bytes aliased
        cdef bytes raw
        cdef int reason
        if publish.properties_size == 0:
            if topic_size == 0:                                         # [MQTT-4.7.3-1]
                raise MqttError(Reason.PROTOCOL_ERROR if self.is_5 else Reason.TOPIC_NAME_INVALID,
                                "a topic name is empty")
            return new_message(self, publish, topic, topic_size, NULL, 0)
        reason = publish_properties_scan(<const uint8_t*>publish.properties, publish.properties_size, &properties)
        if reason:
            raise MqttError(Reason(reason), "the properties of a PUBLISH are not as they must be")
        if properties.topic_alias:
            aliased = self.resolve_alias(properties.topic_alias, topic[:topic_size])
            topic = PyBytes_AS_STRING(aliased)
            topic_size = PyBytes_GET_SIZE(aliased)
        elif topic_size == 0:                                           # [MQTT-3.3.2-8]
            raise MqttError(Reason.PROTOCOL_ERROR, "a topic name is empty, and there is no topic alias")
        if properties.topic_alias and publish.properties_size == 3:
            return new_message(self, publish, topic, topic_size, NULL, 0)
        raw = publish_properties_to_amqp(&properties, publish.qos, topic, topic_size)
        message = new_message(self, publish, topic, topic_size, PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))
        if properties.payload_format == 1:
            publish.flags |= PAYLOAD_IS_TEXT
        return message

    def revise(self, rights):
        """What the client may publish has changed: no topic is known any more."""
        self.rights = rights
        self.is_refused = False
        free(self.last_topic)
        self.last_topic = NULL

    def resolve_alias(self, uint16_t alias, bytes topic) -> bytes:
        """The topic name that an alias stands for, or from now on does [MQTT-3.3.2-12]. Raises MqttError."""
        if alias > self.topic_alias_max:                                # [MQTT-3.3.2-9]
            raise MqttError(Reason.TOPIC_ALIAS_INVALID, f"topic alias {alias}, where the maximum is "
                                                        f"{self.topic_alias_max}")
        if self.aliases is None:
            self.aliases = [None] * (self.topic_alias_max + 1)
        if topic:
            self.aliases[alias] = topic
            return topic
        known = self.aliases[alias]
        if known is None:
            raise MqttError(Reason.PROTOCOL_ERROR, f"topic alias {alias} was never given a topic name")
        return known


cdef message_t* new_message(Incoming incoming, publish_t* publish, const char* topic, size_t topic_size,
                            const char* raw, size_t raw_size) except NULL:
    """Room for a message of this topic, its payload still to be copied. `raw` NULL: it has no properties."""
    cdef message_t* message
    cdef const char* known = incoming.last_topic
    cdef char* key
    if raw == NULL:
        raw = PROPERTIES_PERSISTENT if publish.qos else PROPERTIES_TRANSIENT
        raw_size = 3 if publish.qos else 2
    if known != NULL and incoming.last_topic_size == topic_size and same_bytes(known, topic, topic_size):
        topic = known + topic_size                                      # checked, and swapped, the last time
        message = message_new(EXCHANGE_NAME, EXCHANGE_NAME_SIZE, topic, topic_size, raw, raw_size,
                              publish.payload_size)
        if message == NULL:
            raise MemoryError
    else:
        key = check_topic(incoming, topic, topic_size)
        message = message_new(EXCHANGE_NAME, EXCHANGE_NAME_SIZE, key, topic_size, raw, raw_size,
                              publish.payload_size)
        if topic_size > LAST_TOPIC_MAX:
            free(key - topic_size)
        if message == NULL:
            raise MemoryError
    if raw_size > 3:
        if message_describe(message) != MESSAGE_OK:
            message_unref(message)
            raise MqttError(Reason.MALFORMED_PACKET, "properties that cannot be carried")
        message.flags &= ~MESSAGE_HAS_HEADERS       # none of them means anything to the core
    if publish.qos:
        message.flags |= MESSAGE_PERSISTENT | (MESSAGE_QOS2 if publish.qos == 2 else 0)
    if publish.flags & FLAG_RETAIN:
        message.flags |= MESSAGE_RETAIN
    message.publisher = incoming.publisher
    incoming.traffic.received[publish.qos] += 1
    incoming.traffic.bytes_received += publish.payload_size
    return message


cdef char* check_topic(Incoming incoming, const char* topic, size_t size) except NULL:
    """The routing key of a topic name, which is remembered where it is short; otherwise the caller frees what begins
    `size` bytes before it. Raises MqttError."""
    cdef char* place
    if not utf8_is_valid(<const uint8_t*>topic, size):                  # [MQTT-3.3.2-1]
        raise MqttError(Reason.MALFORMED_PACKET, "a topic name is not UTF-8")
    if has_wildcard(topic, size):                                       # [MQTT-3.3.2-2]
        raise MqttError(Reason.TOPIC_NAME_INVALID, "a topic name contains a wildcard")
    incoming.endpoint.check_topic(topic[:size])
    if size > LAST_TOPIC_MAX:
        place = <char*>malloc(2 * size)
    else:
        if incoming.last_topic == NULL:
            incoming.last_topic = <char*>malloc(2 * LAST_TOPIC_MAX)
        place = incoming.last_topic
    if place == NULL:
        raise MemoryError
    incoming.last_topic_size = 0                # `is_refused` is of this topic from now on
    memcpy(place, topic, size)
    swap_topic(place + size, topic, size)
    try:
        incoming.is_refused = incoming.rights is not None and not incoming.rights.may_write(place[size:2 * size])
    except Undecided:                                                   # the same PUBLISH comes again
        if size > LAST_TOPIC_MAX:
            free(place)
        raise
    if size <= LAST_TOPIC_MAX:
        incoming.last_topic_size = size
    return place + size


cdef int raise_publish(int found) except -1:
    """What `read_publish` found wrong."""
    if found == PUBLISH_ID:
        raise MqttError(Reason.PROTOCOL_ERROR, "the packet identifier of a PUBLISH is 0")
    if found == PUBLISH_QOS:
        raise MqttError(Reason.MALFORMED_PACKET, "QoS 3, or DUP with QoS 0")
    if found == PUBLISH_LENGTH:
        raise MqttError(Reason.MALFORMED_PACKET, "a property length of more than four octets")
    raise MqttError(Reason.MALFORMED_PACKET, "a field runs beyond the packet's end")


cdef bint is_text(message_t* message) noexcept:
    return utf8_is_valid(<const uint8_t*>message_body(message), message.body_size) != 0
