"""The message of a channel whose body is still coming: its memory grows as the body comes, and is counted.

    announced (content header) ─▶ reserved at the connection, which has a limit
    received                   ─▶ room: memory, four times as much whenever it is full; counted in the broker's intake

A body that is there whole is never begun (`publishing.publish_whole`).
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint64_t

from broker.core.intake cimport Intake
from broker.core.message cimport message_t

ctypedef struct begun_t:
    message_t* message              # NULL: nothing is begun
    uint64_t received               # bytes of its body
    uint64_t room                   # … for which there is memory
    uint64_t counted                # … in Intake.bytes
    uint64_t reserved               # bytes that the connection keeps free for it

# How much memory a body of this size begins with.
cdef uint64_t first_room(uint64_t body_size) noexcept
cdef int begun_start(begun_t* begun, message_t* message, uint64_t room, uint64_t reserved, Intake intake) except -1
# Memory for `size` more bytes. Raises AmqpError 506.
cdef int begun_extend(begun_t* begun, size_t size, Intake intake) except -1
# Where at most `size` bytes more may be written now; how many, 0 where there is no memory.
cdef size_t begun_place(begun_t* begun, size_t size, char** where, Intake intake) noexcept
# Other properties in place of those that came.
cdef int begun_rewrite(begun_t* begun, bytes properties) except -1
# Takes the message out: it is whole, or given up. What the connection kept free for it is `reserved` until then.
cdef message_t* begun_end(begun_t* begun, Intake intake) noexcept
