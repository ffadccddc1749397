"""What the broker says in control packets, but for PUBLISH and the shortest acknowledgements."""


cdef bytes frame(packet, bytes body)
cdef bytes fitted(packet, bytes head, properties, bytes tail, Py_ssize_t packet_bytes_max)
cpdef bytes encode_connack(int version, bint session_present, reason, properties=*, Py_ssize_t packet_bytes_max=*)
cpdef bytes encode_disconnect(int version, reason, properties=*, Py_ssize_t packet_bytes_max=*)
