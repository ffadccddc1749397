"""How an MQTT connection ends, and in which words: MQTT 5 says why, MQTT 3 closes."""

import cython

from broker.mqtt.client cimport Client
from broker.mqtt.session cimport Session


cpdef fail(Client connection, error)


@cython.locals(is_early=bint)
cpdef disconnect(Client connection, reason, str text=*, int version=*)
cpdef close(Client connection)


@cython.locals(was_running=bint, session=Session)
cpdef release(Client connection)
cdef count_out(Client connection)
cpdef on_lost(Client connection, str reason)
