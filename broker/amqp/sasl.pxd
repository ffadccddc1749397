"""SASL mechanisms: see sasl.py. Compiled, as every connection logs in."""

cdef class Mechanism:
    cdef readonly object connection         # connection.AmqpConnection, or what answers like it
    cdef public str user_name

cdef class Plain(Mechanism):
    pass

cdef class AmqPlain(Mechanism):
    pass

cdef class External(Mechanism):
    pass

cdef class Anonymous(Mechanism):
    pass
