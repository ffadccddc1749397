"""What a journaled batch does: its bytes become changes of the overlay, alike when it is written and when it is
replayed.

Owns the meaning of the four verbs over overlay and LMDB (`replay.py` says it in plain Python). Runs in the writer's
thread, and at start-up before there is one.
"""

from libc.stdint cimport uint64_t

from storage.batch cimport batch_t
from storage.writer cimport writer_t

# Stages what `size` bytes of a batch say in the active generation; values will be read at `place`, where the same bytes
# are in the journal's map once they are written. 0, ENOMEM, or MDB_CORRUPTED.
cdef int stage_batch(writer_t* writer, const char* encoded, uint64_t size, const char* place) noexcept nogil
# Notes in the batch's changes what compaction left: for the loop's thread.
cdef void note_compacted(writer_t* writer, batch_t* batch) noexcept nogil
