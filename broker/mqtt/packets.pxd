"""MQTT control packets that clients send, but for CONNECT, PUBLISH and the shortest acknowledgements."""

import cython

from broker.mqtt.fields cimport Reader


cpdef check_flags(int first_octet)
cdef int read_packet_id(Reader reader) except -1


@cython.locals(reader=Reader, subscriptions=list)
cpdef decode_subscribe(int version, bytes body)
cdef read_options(int version, bytes topic_filter, int options)


@cython.locals(reader=Reader, topic_filters=list)
cpdef decode_unsubscribe(int version, bytes body)


@cython.locals(code=int)
cdef tuple read_reason(Reader reader, packet, allowed)


@cython.locals(reader=Reader)
cpdef decode_ack(packet, int version, bytes body)


@cython.locals(reader=Reader)
cpdef decode_disconnect(int version, bytes body)
cpdef decode_auth(int version, bytes body)
