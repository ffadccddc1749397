"""Content on its way out: basic.deliver, get-ok and return with header and body frames (§4.2.6); the tags of confirms.

One reservation of the output, one pass. A body is cut into frames no larger than the peer takes. Where the output is
closed nothing is written: what the connection held returns to its queues.
"""

from libc.stdint cimport uint32_t, uint64_t

from broker.core.message cimport message_t
from broker.wire.output cimport Output

# `redelivered` 0 or 1. `properties` NULL: the message's own.
cdef void write_deliver(Output output, int channel, uint32_t payload_max, bytes consumer_tag, uint64_t delivery_tag,
                        int redelivered, message_t* message, bytes properties) noexcept
cdef void write_get_ok(Output output, int channel, uint32_t payload_max, uint64_t delivery_tag, int redelivered,
                       uint64_t message_count, message_t* message, bytes properties) noexcept
cdef void write_return(Output output, int channel, uint32_t payload_max, message_t* message) noexcept
# basic.ack or basic.nack to a publisher: `method` is BASIC_ACK or BASIC_NACK.
cdef void write_tag(Output output, int channel, uint32_t method, uint64_t delivery_tag, bint multiple) noexcept
