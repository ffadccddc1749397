"""What a change of rights does to MQTT sessions and their connections."""

from broker.mqtt.client cimport Client
from broker.mqtt.session cimport Session


cpdef bint is_judged(Session session) except -1
cpdef review_unless_judged(Session session)
