"""The cold half of a connection: see negotiation.py. Compiled, as every connection begins here."""

from broker.amqp.connection cimport AmqpConnection

cdef class Negotiation:
    cdef readonly AmqpConnection connection
    cdef public bint hears_refusal
    cdef public object mechanism            # sasl.Mechanism, or None
    cdef public object timer                # of what is awaited: the login, close-ok
    cdef public object expiry               # core.clock.Timer: the user's login ends
