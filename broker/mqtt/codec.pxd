"""The packets of MQTT that come per message: PUBLISH and its acknowledgements, as bytes. Knows no state.

    PUBLISH │ 3, DUP, QoS, RETAIN │ length varint │ topic name │ packet id (QoS > 0) │ properties (5) │ payload │
    PUBACK, PUBREC, PUBREL, PUBCOMP │ type, flags │ length varint │ packet id │ reason code, properties (5; if any) │

A topic is a routing key with `/` and `.` swapped, and `*` and `+`: the same both ways, and reversible.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from broker.core.message cimport copy_bytes, message_t, same_bytes
from broker.wire.octets cimport load16, load32, store16, store32
from broker.wire.output cimport Output

cdef enum:
    CONNECT = 1
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    FLAG_RETAIN = 1
    FLAG_DUP = 8
    EXCHANGE_NAME_SIZE = 9          # "amq.topic"

cdef enum:                          # what `read_publish` finds wrong
    PUBLISH_OK = 0
    PUBLISH_SHORT = 1               # a field runs beyond the packet's end
    PUBLISH_QOS = 2                 # QoS 3, or DUP with QoS 0
    PUBLISH_ID = 3                  # packet id 0
    PUBLISH_LENGTH = 4              # the property length is no variable byte integer

ctypedef struct publish_t:
    const char* topic
    const char* properties          # behind the property length
    const char* payload
    size_t topic_size
    size_t properties_size
    size_t payload_size
    uint16_t packet_id              # 0 with QoS 0
    uint8_t qos
    uint8_t flags                   # of the fixed header

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    /* '*' 0x2A, '+' 0x2B, '.' 0x2E and '/' 0x2F are the octets that are 0x2A without bits 0 and 2: each pair of
       synonyms differs in bit 0 alone. */
    static inline uint64_t mqtt_swap_word(uint64_t w) {
        uint64_t x = (w & 0xFAFAFAFAFAFAFAFAull) ^ 0x2A2A2A2A2A2A2A2Aull;
        uint64_t t = ((x & 0x7F7F7F7F7F7F7F7Full) + 0x7F7F7F7F7F7F7F7Full) | x;
        return w ^ ((~t & 0x8080808080808080ull) >> 7);
    }
    static inline void mqtt_swap(char *to, const char *from, size_t size) {
        uint64_t w;
        while (size >= 8) {
            memcpy(&w, from, 8); w = mqtt_swap_word(w); memcpy(to, &w, 8);
            to += 8; from += 8; size -= 8;
        }
        if (size >= 4) {
            uint32_t h;
            memcpy(&h, from, 4); h = (uint32_t)mqtt_swap_word(h); memcpy(to, &h, 4);
            to += 4; from += 4; size -= 4;
        }
        while (size--) {
            unsigned char c = (unsigned char)*from++;
            *to++ = (char)(c ^ ((c & 0xFA) == 0x2A));
        }
    }
    """
    void swap_topic "mqtt_swap"(char* to, const char* source, size_t size) noexcept nogil


# Bytes of the fixed header at data[0:size], and the remaining length. 0: more is needed; -1: malformed (§2.1.4).
cdef inline int fixed_header(const char* data, size_t size, size_t* remaining) noexcept nogil:
    cdef size_t value = 0
    cdef int at = 1
    cdef uint8_t octet
    while at <= 4:
        if <size_t>at >= size:
            return 0
        octet = <uint8_t>data[at]
        value |= <size_t>(octet & 127) << (7 * (at - 1))
        at += 1
        if octet < 128:
            remaining[0] = value
            return at
    return -1


cdef inline int varint_size(size_t value) noexcept nogil:
    return 1 if value < 128 else 2 if value < 16384 else 3 if value < 2097152 else 4


cdef inline char* put_varint(char* at, size_t value) noexcept nogil:
    while value >= 128:
        at[0] = <char>(value & 127 | 128)
        value >>= 7
        at += 1
    at[0] = <char>value
    return at + 1


# PUBLISH behind its fixed header; `size` bytes of its `length` are there, at least all before the payload, or
# PUBLISH_SHORT. PUBLISH_*.
cdef int read_publish(uint8_t first, const char* body, size_t size, size_t length, bint is_5,
                      publish_t* publish) noexcept nogil
cdef bint has_wildcard(const char* topic, size_t size) noexcept nogil

# Appends a PUBLISH with the message's topic and payload. `properties`: encoded, without their length; `size` of them
# -1: not MQTT 5. `alias`: 0, or a topic alias, and whether the topic's name goes with it. How many bytes it takes.
ctypedef struct delivery_t:
    const char* properties
    const char* identifiers         # subscription identifiers, encoded as properties
    size_t properties_size
    size_t identifiers_size
    int64_t expiry_s                # -1: no message expiry interval
    uint16_t packet_id
    uint16_t alias
    uint8_t first                   # of the fixed header: type and flags
    bint is_5
    bint names_topic                # False: the alias alone

cdef size_t publish_size(const delivery_t* delivery, message_t* message) noexcept nogil     # of the whole packet
cdef size_t put_publish(char* at, const delivery_t* delivery, message_t* message) noexcept nogil
