"""The boundary between MQTT's words and the core's: see translate.pyx. The hot half of the interface."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uint8_t

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
# … as an AMQP property list. `topic`: the topic name.
cdef bytes publish_properties_to_amqp(const publish_properties_t* found, int qos, const char* topic, size_t topic_size)
# An AMQP property list as properties of a PUBLISH, without their length, and without message expiry, topic alias and
# subscription identifiers, which differ from one delivery to the next.
cdef bytes amqp_to_publish_properties(const char* raw, size_t size)
