"""Where messages come from and go to: one malloc each. The layout and the verbs are in `records.pxd`.

Invariant: what `message_new` gives has one reference and zeroed flags, and room for `body_size` bytes of body that
the creator fills in.
"""

from libc.stdlib cimport free, malloc, realloc

from storage.octets cimport copy_bytes

cdef enum:
    CLASS_BYTES = 64                # small messages take a multiple of this
    CLASSES = 9                     # … up to 512 bytes in all: these are kept for the next of their size
    POOLED_MAX = 16384              # of each class: at most 36 MiB

ctypedef struct free_t:
    free_t* next

# Without a lock: messages are made and freed in the loop's thread alone (records.pxd).
cdef free_t* free_lists[CLASSES]
cdef unsigned int free_counts[CLASSES]


cdef message_t* message_new(
        const char* exchange, size_t exchange_size, const char* routing_key, size_t routing_key_size,
        const char* properties, size_t properties_size, size_t body_size) noexcept nogil:
    """A message with one reference, its body still to be filled in; NULL where there is no memory."""
    return message_begin(exchange, exchange_size, routing_key, routing_key_size, properties, properties_size,
                         body_size, body_size)


cdef message_t* message_extend(message_t* message, size_t room) noexcept nogil:
    return <message_t*>realloc(message, message_size(message) - message.body_size + room)


cdef message_t* message_begin(
        const char* exchange, size_t exchange_size, const char* routing_key, size_t routing_key_size,
        const char* properties, size_t properties_size, size_t body_size, size_t room) noexcept nogil:
    """A message whose body has memory for its first `room` bytes: all of it, or more than is pooled.

    A name longer than AMQP's 255 bytes (exchange) or 65,535 (routing key: an MQTT topic) does not fit: NULL as well.
    """
    cdef size_t head_size = sizeof(message_t) + exchange_size + routing_key_size + properties_size
    if exchange_size > 255 or routing_key_size > 65535 or properties_size >> 32:
        return NULL
    if body_size > <size_t>-1 - head_size:
        return NULL
    cdef message_t* message = take_memory(head_size + room)
    if message == NULL:
        return NULL
    message.references = 1
    message.flags = 0
    message.priority = 0
    message.exchange_size = <uint8_t>exchange_size
    message.fanned_out = 0
    message.routing_key_size = <uint16_t>routing_key_size
    message.reserved2 = 0
    message.properties_size = <uint32_t>properties_size
    message.body_size = body_size
    message.expiration_ms = -1
    message.publisher = 0
    message.segment = 0
    message.record = 0
    message.mark = 0
    cdef char* payload = <char*>message + sizeof(message_t)
    copy_bytes(payload, exchange, exchange_size)
    copy_bytes(payload + exchange_size, routing_key, routing_key_size)
    copy_bytes(payload + exchange_size + routing_key_size, properties, properties_size)
    return message


cdef void message_free(message_t* message) noexcept nogil:
    cdef size_t number = (message_size(message) + CLASS_BYTES - 1) // CLASS_BYTES
    if number < CLASSES and free_counts[number] < POOLED_MAX:
        (<free_t*>message).next = free_lists[number]
        free_lists[number] = <free_t*>message
        free_counts[number] += 1
    else:
        free(message)


cdef inline message_t* take_memory(size_t size) noexcept nogil:
    cdef size_t number = (size + CLASS_BYTES - 1) // CLASS_BYTES
    cdef free_t* kept
    if number >= CLASSES:
        return <message_t*>malloc(size)
    kept = free_lists[number]
    if kept == NULL:
        return <message_t*>malloc(number * CLASS_BYTES)
    free_lists[number] = kept.next
    free_counts[number] -= 1
    return <message_t*>kept
