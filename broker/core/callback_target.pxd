"""A target for cold code: what a binding selects goes to a Python function."""

from broker.core.target cimport Target

cdef class CallbackTarget(Target):
    cdef readonly str name
    cdef object taken
