"""How a channel takes what is published: basic.publish, its content, and what the broker must know of its properties.

    basic.publish ─▶ read_publish ─▶ choose_exchange (rights) ─▶ check_properties ─▶ publish_message ─▶ Exchange.publish

Owns the way from the octets to the exchange, and what a publisher may not say (reply codes 403, 406, 502, 506, 540).
Knows nothing of bodies that come in pieces (`channel`, `begun`) or of what comes back (`core.publisher`).
"""

from libc.stddef cimport size_t

from broker.amqp.channel cimport Channel
from broker.core.exchange cimport Exchange
from broker.core.message cimport message_t

# basic.publish whose content has not come yet.
cdef int on_publish(Channel channel, const char* arguments, size_t size) except -1

# A basic.publish at data[0], if its content is there, too: how many bytes it all takes, or 0.
cdef Py_ssize_t publish_whole(Channel channel, const char* data, size_t size, size_t method_size) except -1

# Reads what the broker must know of the properties. Raises AmqpError for what it must refuse.
cdef int check_properties(Channel channel, message_t* message) except -1

# There was no target: it goes back (mandatory), or is dropped.
cdef int nobody_took(Channel channel, Exchange exchange, message_t* message, bint mandatory) except -1

# Takes over a whole message: routes it, and remembers what its publisher is owed.
cdef int publish_message(Channel channel, message_t* message) except -1
