"""The types that MQTT's packets are made of (MQTT 5 §1.5), read and written for the cold paths."""

import cython


cdef class Reader:
    cdef readonly bytes data
    cdef public Py_ssize_t at                   # what is read next
    cdef readonly Py_ssize_t end                # at most the size of `data`

    @cython.locals(start=Py_ssize_t)
    cpdef bytes take(self, Py_ssize_t size)

    @cython.locals(start=Py_ssize_t)
    cpdef int u8(self) except -1

    @cython.locals(start=Py_ssize_t)
    cpdef int u16(self) except -1
    cpdef long long u32(self) except -1

    @cython.locals(value=int, octet=int, shift=int)
    cpdef int varint(self) except -1
    cpdef bytes binary(self)
    cpdef bytes text(self)
    cpdef finish(self)


cpdef bytes check_text(bytes content)


@cython.locals(octets=bytearray)
cpdef bytes encode_varint(Py_ssize_t value)
cpdef bytes encode_binary(bytes content)
