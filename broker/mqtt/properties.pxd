"""The properties of MQTT 5 (§2.2.2): what they are called, where they may stand, and their bytes."""

import cython

from broker.mqtt.fields cimport Reader


@cython.locals(size=Py_ssize_t, within=Reader)
cpdef read_properties(Reader reader, packet)
cpdef bytes encode_properties(properties)
