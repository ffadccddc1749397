"""The message as the store sees it: one block of memory, counted by references, immutable once routed.

Owns the layout of `message_t` and its three verbs. Knows nothing of queues, protocols or the disk.

    message_t │ exchange │ routing_key │ properties │ body
    header    └──────────── payload, one malloc ───────────

Invariants: a message is created with one reference, is written only by its creator until it is routed, and is counted
only in the loop's thread (the store's writer thread reads messages that a sealed batch holds, and never counts).
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    MESSAGE_PERSISTENT = 1          # delivery_mode 2: kept by durable queues over a restart
    MESSAGE_HAS_HEADERS = 2         # the properties have a `headers` table
    MESSAGE_CONVERTED = 4           # written by one dialect and translated from another
    MESSAGE_QOS2 = 8                # MQTT: published with QoS 2; with MESSAGE_PERSISTENT alone, QoS 1; else QoS 0
    MESSAGE_RETAIN = 16             # MQTT: published with the retain flag
    MESSAGE_RETAINED = 32           # … and delivered because of a new subscription: the flag goes with it

ctypedef struct message_t:
    uint32_t references
    uint8_t flags                   # MESSAGE_*
    uint8_t priority                # as published; 0 where absent
    uint8_t exchange_size           # bytes
    uint8_t fanned_out              # more than one target takes it: what is encoded of it is worth keeping
    uint16_t routing_key_size       # bytes
    uint16_t reserved2
    uint32_t properties_size        # bytes: AMQP 0-9-1 property flags and list, as it came
    uint64_t body_size              # bytes
    int64_t expiration_ms           # as published, relative; -1 where absent
    uint64_t publisher              # number of the publishing connection (no-local); 0: none
    uint64_t segment                # the store's own note: in which part of which batch it was put last; 0: none
    uint32_t record                 # … and its index among that part's records
    uint32_t mark                   # by which who follows messages knows it (core.watch); never stored; 0: none

cdef message_t* message_new(
    const char* exchange, size_t exchange_size, const char* routing_key, size_t routing_key_size,
    const char* properties, size_t properties_size, size_t body_size) noexcept nogil
# The same with memory for `room` bytes of the body, at least a MiB or all of it: it is extended as the body comes.
cdef message_t* message_begin(
    const char* exchange, size_t exchange_size, const char* routing_key, size_t routing_key_size,
    const char* properties, size_t properties_size, size_t body_size, size_t room) noexcept nogil
# Memory for `room` bytes of the body, at another place; NULL where there is none: then `message` is as it was.
cdef message_t* message_extend(message_t* message, size_t room) noexcept nogil
cdef void message_free(message_t* message) noexcept nogil


cdef inline message_t* message_ref(message_t* message) noexcept nogil:
    message.references += 1
    return message


cdef inline void message_unref(message_t* message) noexcept nogil:
    message.references -= 1
    if message.references == 0:
        message_free(message)


cdef inline char* message_exchange(message_t* message) noexcept nogil:
    return <char*>message + sizeof(message_t)


cdef inline char* message_routing_key(message_t* message) noexcept nogil:
    return <char*>message + sizeof(message_t) + message.exchange_size


cdef inline char* message_properties(message_t* message) noexcept nogil:
    return <char*>message + sizeof(message_t) + message.exchange_size + message.routing_key_size


cdef inline char* message_body(message_t* message) noexcept nogil:
    return (<char*>message + sizeof(message_t) + message.exchange_size + message.routing_key_size
            + message.properties_size)


cdef inline uint64_t message_size(message_t* message) noexcept nogil:
    """Bytes of memory that the message takes: what budgets count."""
    return (sizeof(message_t) + message.exchange_size + message.routing_key_size + message.properties_size
            + message.body_size)
