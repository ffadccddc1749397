"""Who is connected: connections of each vhost and user, channels, and the operators' limits of these."""

import cython


cdef class Presence:
    cdef readonly object parameters             # core.parameters.Parameters
    cdef readonly object in_vhost               # Counter of connections by vhost
    cdef readonly object of_user                # … by user
    cdef readonly object channels               # Counter of channels by user
    cdef readonly dict connections              # set of Present by user
    cdef public Py_ssize_t refused

    @cython.locals(in_vhost=Py_ssize_t, of_user=Py_ssize_t, present=set)
    cpdef enter(self, str user, str vhost, connection)

    @cython.locals(present=set)
    cpdef leave(self, str user, str vhost, connection)
    cpdef rights_changed(self, user)


@cython.locals(left=Py_ssize_t)
cdef count_out(counter, str name)
