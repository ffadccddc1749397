"""Where a queue's ready messages are: in memory or on disk, and the first of them. For whoever watches; cold."""

from broker.core.queue cimport Queue
