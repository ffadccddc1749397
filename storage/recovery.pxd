"""Taking over at start-up what is in the journal and not in LMDB. Before there are threads.

Owns the order of the records and what counts as the end. Refuses to know files and Python's errors.

Invariant: all that was ever acknowledged is in LMDB afterwards, in one transaction with the journal's new epoch; until
that is committed nothing has changed, so a crash here is a start like the first.
"""

from libc.stdint cimport uint64_t

from storage.writer cimport writer_t

cdef enum:
    JOURNAL_DAMAGED = -40000            # a later record is whole: so a record in between was acknowledged

# 0, an error of `commit_generation`, or JOURNAL_DAMAGED. `writer.active` is empty; `writer.journal` says where, its
# `epoch` and `sequence` what LMDB has; `new_epoch` is what the next records will have. Tells how many batches were
# taken over.
cdef int recover(writer_t* writer, uint64_t new_epoch, uint64_t* batches) noexcept nogil
