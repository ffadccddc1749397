"""Packets that go to many: see packet_cache.pxd."""

from libc.stdlib cimport free, malloc

from broker.core.message cimport message_properties, message_ref, message_unref
from broker.mqtt.codec cimport publish_size, put_publish
from broker.mqtt.translate cimport amqp_to_publish_properties


cdef class PacketCache:
    """Shared by all sessions of the broker."""

    def __dealloc__(self):
        cdef int index
        for index in range(LAYOUTS):
            if self.packets[index].message != NULL:
                message_unref(self.packets[index].message)
            free(self.packets[index].bytes)
        if self.translated != NULL:
            message_unref(self.translated)

    cdef packet_t* find(self, int layout, const delivery_t* delivery, message_t* message) noexcept:
        cdef packet_t* packet = &self.packets[layout]
        cdef size_t size
        if packet.message == message:
            return packet
        if packet.message != NULL:
            message_unref(packet.message)
            packet.message = NULL
        size = publish_size(delivery, message)
        if packet.capacity < size:
            free(packet.bytes)
            packet.capacity = 0
            packet.bytes = <char*>malloc(size + 256)
            if packet.bytes == NULL:
                return NULL
            packet.capacity = size + 256
        packet.size = put_publish(packet.bytes, delivery, message)
        packet.id_offset = 2                    # the remaining length ends with an octet without bit 7
        while packet.bytes[packet.id_offset - 1] & 128:
            packet.id_offset += 1
        packet.id_offset += 2 + message.routing_key_size
        packet.message = message_ref(message)
        return packet

    cdef bytes properties_of(self, message_t* message):
        if self.translated != message:
            self.properties = amqp_to_publish_properties(message_properties(message), message.properties_size)
            if self.translated != NULL:
                message_unref(self.translated)
            self.translated = message_ref(message)
        return self.properties
