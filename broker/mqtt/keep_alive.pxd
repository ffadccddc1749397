"""Peers that fall silent are gone."""

import cython

from libc.stdint cimport int64_t

from broker.core.clock cimport Clock
from broker.mqtt.client cimport Client


cdef class KeepAlives:
    cdef Clock clock
    cdef object on_silent
    cdef public int64_t handshake_timeout_ms
    cdef list wheel                             # sets, kept as dicts for their order: one for each second to come
    cdef readonly dict place_of                 # where in the wheel a connection is
    cdef int turn
    cdef object timer

    cdef int64_t deadline_ms(self, Client connection) except -1

    @cython.locals(due_ms=int64_t, ticks=int64_t, place=int)
    cpdef watch(self, Client connection)

    @cython.locals(due_ms=int64_t)
    cpdef hasten(self, Client connection)
    cpdef forget(self, Client connection)

    @cython.locals(due=dict, due_ms=int64_t, connection=Client)
    cpdef on_tick(self)
