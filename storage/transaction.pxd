"""LMDB write transactions. No GIL; the caller's thread; one at a time.

Owns how batches and generations are written into LMDB, and the mark beside them: the journal's epoch and the sequence
of the last batch that is contained. Refuses to know when that happens, and what to do if it fails (`writer`).

Invariant: the mark is in the same transaction as what it speaks of.
"""

from libc.stdint cimport uint64_t

from storage.batch cimport batch_t
from storage.overlay cimport generation_t
from storage.writer cimport writer_t

# 0, an errno or LMDB's error: then nothing was written.
cdef int commit_batch(writer_t* writer, batch_t* batch, uint64_t sequence) noexcept nogil
cdef int commit_generation(writer_t* writer, generation_t* generation) noexcept nogil
# What the generation will need in LMDB, roughly.
cdef uint64_t generation_bytes(generation_t* generation) noexcept nogil
