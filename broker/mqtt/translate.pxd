"""The boundary between MQTT's words and the core's: see translate.pyx. The hot half of the interface."""

from libc.stddef cimport size_t

from broker.mqtt.publish_properties cimport publish_properties_t

# The properties of a PUBLISH as an AMQP property list. `topic`: the topic name.
cdef bytes publish_properties_to_amqp(const publish_properties_t* found, int qos, const char* topic, size_t topic_size)
# An AMQP property list as properties of a PUBLISH, without their length, and without message expiry, topic alias and
# subscription identifiers, which differ from one delivery to the next.
cdef bytes amqp_to_publish_properties(const char* raw, size_t size)
