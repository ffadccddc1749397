"""Heartbeats both ways: see heartbeat.py. Compiled, as every connection meets it."""

import cython

from broker.amqp.connection cimport AmqpConnection
from broker.core.clock cimport Clock


cdef class Heartbeats:
    cdef Clock clock
    cdef readonly list wheel                    # dicts by place: the connections that are looked at then
    cdef readonly dict watched                  # where in the wheel a connection is
    cdef int turn
    cdef object timer
    cdef readonly Py_ssize_t timed_out

    cpdef watch(self, AmqpConnection connection)

    @cython.locals(place=int)
    cpdef forget(self, AmqpConnection connection)

    @cython.locals(ticks=int, place=int)
    cpdef put(self, AmqpConnection connection)

    @cython.locals(due=dict, connection=AmqpConnection)
    cpdef on_tick(self)

    @cython.locals(interval_ms=cython.longlong)
    cpdef look_at(self, AmqpConnection connection)
