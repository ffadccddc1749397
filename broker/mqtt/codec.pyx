"""PUBLISH and its acknowledgements as bytes: see codec.pxd."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from broker.core.message cimport message_body, message_routing_key


cdef int read_publish(uint8_t first, const char* body, size_t size, size_t length, bint is_5,
                      publish_t* publish) noexcept nogil:
    cdef size_t at
    cdef size_t properties = 0
    cdef int octets = 0
    publish.flags = first & 15
    publish.qos = first >> 1 & 3
    if publish.qos == 3 or (publish.qos == 0 and first & FLAG_DUP):     # [MQTT-3.3.1-4], [MQTT-3.3.1-2]
        return PUBLISH_QOS
    if size < 2:
        return PUBLISH_SHORT
    publish.topic_size = load16(body)
    publish.topic = body + 2
    at = 2 + publish.topic_size
    publish.packet_id = 0
    if publish.qos:
        if at + 2 > size:
            return PUBLISH_SHORT
        publish.packet_id = load16(body + at)
        if publish.packet_id == 0:                                      # [MQTT-2.2.1-3]
            return PUBLISH_ID
        at += 2
    if is_5:
        if at >= size:
            return PUBLISH_SHORT
        octets = fixed_header(body + at - 1, size - at + 1, &properties) - 1
        if octets < 0:
            return PUBLISH_LENGTH if octets == -2 else PUBLISH_SHORT
        at += octets
    publish.properties = body + at
    publish.properties_size = properties
    at += properties
    if at > size:
        return PUBLISH_SHORT
    publish.payload = body + at
    publish.payload_size = length - at
    return PUBLISH_OK


cdef bint has_wildcard(const char* topic, size_t size) noexcept nogil:
    cdef size_t index
    for index in range(size):
        if topic[index] == b'+' or topic[index] == b'#':
            return True
    return False


cdef inline size_t properties_length(const delivery_t* delivery) noexcept nogil:
    return (delivery.properties_size + delivery.identifiers_size + (5 if delivery.expiry_s >= 0 else 0)
            + (3 if delivery.alias else 0))


cdef inline size_t remaining_length(const delivery_t* delivery, message_t* message) noexcept nogil:
    cdef size_t size = 2 + message.body_size + (2 if delivery.packet_id else 0)
    cdef size_t properties
    if delivery.names_topic:
        size += message.routing_key_size
    if delivery.is_5:
        properties = properties_length(delivery)
        size += varint_size(properties) + properties
    return size


cdef size_t publish_size(const delivery_t* delivery, message_t* message) noexcept nogil:
    cdef size_t size = remaining_length(delivery, message)
    return 1 + varint_size(size) + size


cdef size_t put_publish(char* at, const delivery_t* delivery, message_t* message) noexcept nogil:
    cdef char* start = at
    cdef size_t topic_size = message.routing_key_size if delivery.names_topic else 0
    at[0] = <char>delivery.first
    at = put_varint(at + 1, remaining_length(delivery, message))
    store16(at, <uint16_t>topic_size)
    swap_topic(at + 2, message_routing_key(message), topic_size)
    at += 2 + topic_size
    if delivery.packet_id:
        store16(at, delivery.packet_id)
        at += 2
    if delivery.is_5:
        at = put_properties(at, delivery)
    copy_bytes(at, message_body(message), message.body_size)
    return at + message.body_size - start


cdef inline char* put_properties(char* at, const delivery_t* delivery) noexcept nogil:
    at = put_varint(at, properties_length(delivery))
    if delivery.expiry_s >= 0:
        at[0] = 0x02
        store32(at + 1, <uint32_t>delivery.expiry_s)
        at += 5
    copy_bytes(at, delivery.properties, delivery.properties_size)
    at += delivery.properties_size
    copy_bytes(at, delivery.identifiers, delivery.identifiers_size)
    at += delivery.identifiers_size
    if delivery.alias:
        at[0] = 0x23
        store16(at + 1, delivery.alias)
        at += 3
    return at
