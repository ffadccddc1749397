"""The message of a channel whose body is still coming: see begun.pxd."""

from broker.core.intake cimport Intake
from broker.core.message cimport (
    message_begin, message_body, message_exchange, message_extend, message_routing_key, message_t, message_unref,
)

from broker.amqp.translate import AmqpError

cdef enum:
    ROOM_FIRST = 1 << 20            # bytes; an announcement alone costs no more
    ROOM_FACTOR = 4


cdef uint64_t first_room(uint64_t body_size) noexcept:
    return min(body_size, <uint64_t>ROOM_FIRST)


cdef int begun_start(begun_t* begun, message_t* message, uint64_t room, uint64_t reserved, Intake intake) except -1:
    begun.message = message
    begun.received = 0
    begun.room = room
    begun.reserved = reserved
    begun.counted = room
    intake.bytes += room
    return 0


cdef int begun_extend(begun_t* begun, size_t size, Intake intake) except -1:
    if size > begun.room - begun.received and not extend(begun, begun.received + size, intake):
        raise AmqpError(506, f"no memory for a message of {begun.message.body_size} bytes")
    return 0


cdef size_t begun_place(begun_t* begun, size_t size, char** where, Intake intake) noexcept:
    if begun.room == begun.received and not extend(begun, begun.received + 1, intake):
        return 0
    where[0] = message_body(begun.message) + begun.received
    return min(size, <size_t>(begun.room - begun.received))


cdef message_t* begun_end(begun_t* begun, Intake intake) noexcept:
    cdef message_t* message = begun.message
    intake.bytes -= begun.counted
    begun.message = NULL
    begun.counted = begun.room = begun.received = 0
    return message


cdef int begun_rewrite(begun_t* begun, bytes properties) except -1:
    """Before any of the body has come: another message with memory for as much of it."""
    cdef message_t* old = begun.message
    cdef message_t* new = message_begin(message_exchange(old), old.exchange_size, message_routing_key(old),
                                        old.routing_key_size, properties, len(properties), old.body_size, begun.room)
    if new == NULL:
        raise MemoryError
    new.publisher = old.publisher
    new.flags = old.flags
    new.priority = old.priority
    new.expiration_ms = old.expiration_ms
    begun.message = new
    message_unref(old)
    return 0


cdef bint extend(begun_t* begun, uint64_t wanted, Intake intake) noexcept:
    """More room, at least `wanted` bytes in all; never more than the body."""
    cdef uint64_t room = begun.room
    cdef message_t* extended
    while room < wanted:
        room *= ROOM_FACTOR
    room = min(room, begun.message.body_size)
    extended = message_extend(begun.message, room)
    if extended == NULL:
        return False
    begun.message = extended
    intake.bytes += room - begun.room
    begun.counted += room - begun.room
    begun.room = room
    return True
