"""The cold half of an MQTT connection: every packet but PUBLISH and the shortest acknowledgements."""

import cython

from broker.mqtt.client cimport Client
from broker.mqtt.session cimport Session


cpdef on_packet(Client connection, int first, bytes body)


@cython.locals(session=Session)
cpdef on_disconnect(Client connection, packet, bytes body)
