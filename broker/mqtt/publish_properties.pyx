"""The properties of a client's PUBLISH, read without objects: see publish_properties.pxd.

Owns every rule that they can break by themselves. Refuses to know what they mean, and all other packets, which
`properties` reads.

Invariant: nothing reads beyond the size it was given.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memset

from broker.core.field_table cimport be32
from broker.mqtt.reasons import MqttError, Reason

cdef enum:                          # reason codes
    PROTOCOL_ERROR = 0x82
    ALIAS_INVALID = 0x94


cdef inline bint has_wildcard(const uint8_t* at, size_t size) noexcept nogil:
    cdef size_t index
    for index in range(size):
        if at[index] == c'+' or at[index] == c'#':
            return True
    return False


cdef int read_number(uint8_t identifier, const uint8_t* at, publish_properties_t* found) noexcept nogil:
    if identifier == MESSAGE_EXPIRY:
        found.expiry_s = be32(at)
    elif identifier == TOPIC_ALIAS:
        found.topic_alias = be16(at)
        return 0 if found.topic_alias else ALIAS_INVALID        # [MQTT-3.3.2-8]
    else:
        found.payload_format = <signed char>at[0]
        return 0 if at[0] <= 1 else PROTOCOL_ERROR
    return 0


cdef int read_other(uint8_t identifier) noexcept nogil:
    """A property that a client's PUBLISH must not have."""
    if identifier == SUBSCRIPTION_IDENTIFIER:                   # [MQTT-3.3.4-6]
        return PROTOCOL_ERROR
    # What MQTT 5 defines for other packets is a protocol error, what it does not define is malformed.
    if identifier == 0 or identifier > IDENTIFIER_MAX or 4 <= identifier <= 7 or identifier == 10 \
            or 12 <= identifier <= 16 or identifier == 20 or identifier == 27 or 29 <= identifier <= 30 \
            or identifier == 32:
        return MALFORMED
    return PROTOCOL_ERROR


cdef int publish_properties_scan(const uint8_t* content, size_t size, publish_properties_t* found) noexcept nogil:
    cdef const uint8_t* at = content
    cdef const uint8_t* end = content + size
    cdef uint64_t seen = 0
    cdef uint8_t identifier
    cdef int error = 0, width
    cdef text_t name
    memset(found, 0, sizeof(publish_properties_t))
    found.start = content
    found.end = end
    found.expiry_s = found.payload_format = -1
    while at < end:
        identifier = at[0]
        at += 1
        if identifier == USER_PROPERTY:
            error = read_string(&at, end, &name, True) or read_string(&at, end, &name, True)
            found.user_properties += 1
            if error:
                return error
            continue
        if identifier <= IDENTIFIER_MAX:
            if seen >> identifier & 1:
                return PROTOCOL_ERROR
            seen |= <uint64_t>1 << identifier
        width = fixed_bytes(identifier)
        if width:
            if end - at < width:
                return MALFORMED
            error = read_number(identifier, at, found)
            at += width
        elif identifier == CONTENT_TYPE:
            error = read_string(&at, end, &found.content_type, True)
        elif identifier == CORRELATION_DATA:
            error = read_string(&at, end, &found.correlation_data, False)
        elif identifier == RESPONSE_TOPIC:
            error = read_string(&at, end, &found.response_topic, True)
            if error == 0 and (found.response_topic.size == 0
                               or has_wildcard(found.response_topic.at, found.response_topic.size)):
                error = PROTOCOL_ERROR                          # [MQTT-3.3.2-14]
        else:
            error = read_other(identifier)
        if error:
            return error
    return 0


def check_publish(bytes content not None):
    """The properties of a client's PUBLISH, without their length. Raises MqttError."""
    cdef publish_properties_t found
    cdef int reason = publish_properties_scan(
        <const uint8_t*>PyBytes_AS_STRING(content), PyBytes_GET_SIZE(content), &found)
    if reason:
        raise MqttError(Reason(reason), "the properties of a PUBLISH are not as they must be")
