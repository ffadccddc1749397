"""The two ends of routing: see target.pxd."""


cdef class Target:
    """Takes a message that a binding selected."""

    cdef int accept(self, message_t* message) except -1:
        raise NotImplementedError

    def matched(self, list bindings, bytes routing_key):
        """What takes a message that these of its bindings selected, once; None: nothing does.

        Asked once per routing key: the answer is kept until one of the bindings changes.
        """
        return self

    def direct_count(self, message):
        """How many messages it has handed on by itself so far, where it is it that will hand on this one (core.message.
        Message); -1: a queue takes it, and says so."""
        return -1


cdef class Consumer:
    """Receives messages of one queue as its credit allows."""

    cdef bint has_credit(self) noexcept:
        return False

    cdef int deliver(self, entry_t* entry) except -1:
        raise NotImplementedError

    cpdef cancelled_by_queue(self):
        """Tells the peer that its queue is gone."""
        raise NotImplementedError
