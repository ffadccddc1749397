"""Where a queue's ready messages are: see held.pxd."""

from libc.stddef cimport size_t
from libc.stdint cimport uint64_t

from broker.core.entry cimport ring_at
from broker.core.message cimport message_view
from broker.core.queue cimport Queue
from broker.core.ready cimport ReadyList


def on_disk_only(Queue queue) -> tuple:
    """How many ready messages are on disk and not in memory, and the bytes of their bodies."""
    cdef ReadyList level
    cdef uint64_t messages = 0, size = 0
    cdef size_t index
    for level in queue.levels:
        for index in range(level.runs_head, level.runs_end):
            messages += level.runs[index].count
            size += level.runs[index].bytes
    return messages, size


def first_held(Queue queue):
    """The message that is delivered next, a core.message.Message, if it is in memory; None where nothing is."""
    cdef ReadyList level = queue.next_level()
    if level is None or level.front.count == 0:
        return None
    return message_view(ring_at(&level.front, 0).message)
