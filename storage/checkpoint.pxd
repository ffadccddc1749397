"""The checkpointer: one thread that brings a frozen generation into LMDB, as one transaction, and prepares its half of
the journal for the next lap. It tries until it can; what it holds is durable all the while.
"""

cdef void* checkpointer_body(void* writer) noexcept nogil
