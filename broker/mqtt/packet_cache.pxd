"""Packets that go to many: a message for several receivers is encoded once per layout, and copied.

Owns the last packet of each layout (QoS, retain flag, version), and the last message's properties as MQTT 5 has them.
Refuses to know what differs from one receiver to the next but the packet identifier.

Invariant: a packet's message is held, so that its address names it.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint16_t

from broker.core.message cimport message_t
from broker.mqtt.codec cimport delivery_t

cdef enum:
    LAYOUTS = 12
    CACHED_BODY_MAX = 65536         # larger ones are copied once either way

ctypedef struct packet_t:
    message_t* message              # one reference; NULL: free
    char* bytes
    size_t size
    size_t capacity
    size_t id_offset

cdef class PacketCache:
    cdef packet_t packets[12]
    cdef message_t* translated      # one reference
    cdef bytes properties

    # The packet of this layout, made where the last one was of another message; NULL: no memory.
    cdef packet_t* find(self, int layout, const delivery_t* delivery, message_t* message) noexcept
    # The message's properties, encoded for MQTT 5; without their length, and what differs between receivers.
    cdef bytes properties_of(self, message_t* message)
