"""CONNECT, in MQTT 3.1, 3.1.1 and 5 (MQTT 5 §3.1): what a client says of itself first."""

import cython

from broker.mqtt.fields cimport Reader


@cython.locals(reader=Reader)
cpdef decode_connect(bytes body)


@cython.locals(name=bytes)
cdef tuple read_version(Reader reader)


@cython.locals(flags=int, has_will=bint, has_username=bint, has_password=bint, clean_start=bint)
cdef read_connect(Reader reader, int version, bint is_bridge)
cdef read_will(Reader reader, int version, int flags)
