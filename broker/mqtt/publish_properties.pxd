"""The properties of a client's PUBLISH (MQTT 5 §3.3.2.3): where they are, found and checked in one scan."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint8_t

from broker.core.field_table cimport be16
from broker.mqtt.utf8 cimport utf8_is_valid

cdef enum:                          # identifiers (MQTT 5 table 2-4)
    PAYLOAD_FORMAT = 1
    MESSAGE_EXPIRY = 2
    CONTENT_TYPE = 3
    RESPONSE_TOPIC = 8
    CORRELATION_DATA = 9
    SUBSCRIPTION_IDENTIFIER = 11
    TOPIC_ALIAS = 35
    USER_PROPERTY = 38
    IDENTIFIER_MAX = 42

cdef enum:
    MALFORMED = 0x81

ctypedef struct text_t:
    const uint8_t* at               # NULL where absent
    size_t size

ctypedef struct publish_properties_t:
    const uint8_t* start            # the properties, without their length
    const uint8_t* end
    int64_t expiry_s                # message expiry interval; -1 where absent
    text_t content_type
    text_t response_topic
    text_t correlation_data
    uint32_t user_properties        # how many
    uint16_t topic_alias            # 0 where absent
    signed char payload_format      # payload format indicator: 0, 1; -1 where absent

# Reads the properties of a client's PUBLISH (without their length), with every rule. 0, or a reason code of MQTT 5.
# What was found points into `content`.
cdef int publish_properties_scan(const uint8_t* content, size_t size, publish_properties_t* found) noexcept nogil


cdef inline int read_string(const uint8_t** at, const uint8_t* end, text_t* found, bint is_text) noexcept nogil:
    """A string or binary data; moves `at` behind it."""
    cdef size_t size
    if end - at[0] < 2:
        return MALFORMED
    size = be16(at[0])
    if <size_t>(end - at[0]) - 2 < size:
        return MALFORMED
    found.at = at[0] + 2
    found.size = size
    at[0] += 2 + size
    return MALFORMED if is_text and not utf8_is_valid(found.at, size) else 0


cdef inline int fixed_bytes(uint8_t identifier) noexcept nogil:
    """Bytes of a number; 0: no number that a PUBLISH may have."""
    if identifier == MESSAGE_EXPIRY:
        return 4
    if identifier == TOPIC_ALIAS:
        return 2
    return 1 if identifier == PAYLOAD_FORMAT else 0
