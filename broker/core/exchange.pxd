"""Where messages are published to: resolves a routing key to targets once, then reads the answer from its cache.

Owns routing through bindings, alternate exchanges and exchange-to-exchange bindings. The types (`exchange_types`)
know only which of their own bindings match.
"""

from libc.stdint cimport uint64_t

from broker.core.fan_out cimport FanOut
from broker.core.route_cache cimport Route, RouteCache
from broker.core.sieve cimport Sieves
from storage.records cimport message_t

cdef enum:
    SIZE_BOUNDS = 8                 # 100, 1,000 … 100,000,000 bytes: RabbitMQ's, for its histogram of message sizes

cdef class Exchange:
    cdef readonly str name
    cdef readonly bytes name_bytes
    cdef readonly object vhost
    cdef readonly str type
    cdef readonly bint durable
    cdef readonly bint auto_delete
    cdef readonly bint internal
    cdef readonly dict arguments
    cdef public str alternate               # name of the alternate exchange, or None
    cdef public bint deleted
    cdef readonly dict bindings             # Binding by its identity: this exchange is the source
    cdef readonly set upstreams             # exchanges that have a binding to this one
    cdef RouteCache cache
    cdef FanOut fan_out
    cdef bint ignores_routing_key           # fanout: one answer for all
    cdef bint depends_on_message            # headers, hashes: no answer is kept
    cdef bint delays                        # x-delayed-message
    cdef public Sieves watch                # watch.Watch, told what is published here; None: nobody is

    cdef readonly uint64_t published_in     # messages published here
    cdef uint64_t published_bytes           # … and the sum of their bodies
    cdef uint64_t larger[SIZE_BOUNDS]       # … with a body above that bound, and not above the next
    cdef readonly uint64_t published_out    # … and handed to targets, each counted
    cdef readonly uint64_t unroutable       # … for which there was no target
    cdef uint64_t returned                  # … and which went back to their publisher (mandatory)

    # Routes a message; ROUTED, STORED, REFUSED or'ed; 0 where nobody took it.
    cdef int publish(self, message_t* message) except -1
    cdef Route route(self, message_t* message)
