"""The hot half of an MQTT connection: bytes to packets; PUBLISH and its acknowledgements. `control` is the cold half.

    data_received ─▶ packet ─┬─ PUBLISH ─▶ Exchange.publish ─▶ Answers ─▶ PUBACK, PUBREC
                             ├─ PUBACK, PUBREC, PUBREL, PUBCOMP ─▶ Session, Answers
                             └─ control.on_packet (all others)
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from broker.core.exchange cimport Exchange
from broker.core.fan_out cimport FanOut
from broker.core.intake cimport Intake
from broker.core.message cimport message_t
from broker.core.retained cimport RetainedMessages
from broker.mqtt.answers cimport Answers
from broker.mqtt.client cimport Client
from broker.mqtt.codec cimport publish_t
from broker.mqtt.incoming cimport Incoming
from broker.mqtt.traffic cimport Traffic, seen_t

cdef class MqttConnection(Client):
    cdef Py_ssize_t packet_at                   # where the packet being handled begins, to take it again
    cdef readonly Traffic traffic               # of its version, from CONNECT on
    cdef Exchange topics                        # amq.topic of its vhost; None until CONNECT
    cdef seen_t seen                            # … when the read began
    cdef FanOut fan_out
    cdef Intake intake
    cdef uint64_t open_batch_bytes_max
    cdef size_t message_bytes_max
    cdef size_t control_bytes_max               # of every packet but PUBLISH

    cdef bint is_revised                        # the user's rights have changed in the middle of a PUBLISH
    cdef Exchange exchange                      # amq.topic; None until the first publish
    cdef RetainedMessages retained
    cdef readonly Answers answers               # None until the first QoS 1 or 2 packet
    cdef Incoming incoming                      # None until the first publish
    cdef uint32_t receive_maximum
    cdef message_t* begun                       # a PUBLISH whose payload is coming …
    cdef publish_t begun_publish                # … and what came before it; its pointers are not valid any more
    cdef size_t begun_left
    cdef uint64_t moved_bytes
    cdef int64_t moved_ms

    cdef Py_ssize_t consume(self, const char* data, Py_ssize_t at, Py_ssize_t size) except -1
    cdef int publish_message(self, publish_t* publish, message_t* message) except -1
    cdef int on_ack(self, int kind, uint16_t packet_id, int reason) except -1
    cdef int need_answers(self) except -1
