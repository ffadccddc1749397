"""The hot half of an MQTT connection: bytes to packets; PUBLISH and its acknowledgements. `control` is the cold half.

    data_received ─▶ packet ─┬─ PUBLISH ─▶ Exchange.publish ─▶ Answers ─▶ PUBACK, PUBREC
                             ├─ PUBACK, PUBREC, PUBREL, PUBCOMP ─▶ Session, Answers
                             └─ control.on_packet (all others)

Reading rests for named reasons (`RESTS_*`): what was not consumed comes again.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from broker.core.clock cimport Clock
from broker.core.exchange cimport Exchange
from broker.core.intake cimport Intake
from broker.core.message cimport message_t
from broker.core.publisher cimport Store
from broker.core.retained cimport RetainedMessages
from broker.mqtt.answers cimport Answers
from broker.mqtt.codec cimport publish_t
from broker.mqtt.counters cimport Counters
from broker.mqtt.incoming cimport Incoming
from broker.mqtt.session cimport Session
from broker.wire.connection cimport Connection

cdef enum:
    AWAIT_CONNECT = 0
    AWAIT_AUTH = 1                  # CONNECT heard, and AUTH awaited
    RUNNING = 2
    CLOSED = 3

cdef enum:
    RESTS_FOR_STORE = 1             # an answer waits for the disk; what comes behind it waits, too
    RESTS_FOR_ALARM = 2             # the broker lacks memory or disk, and this connection publishes
    RESTS_FOR_DISK = 4              # it publishes faster than the disk takes
    RESTS_FOR_READER = 8            # it asks for more than it reads
    RESTS_FOR_RATE = 32             # it publishes faster than its user or vhost may
    RESTS_FOR_DECISION = 16         # who its user is, or what they may, is being asked of others (core.undecided)

cdef class MqttConnection(Connection):
    cdef public int state
    cdef int rests
    cdef readonly object broker
    cdef readonly object endpoint               # endpoint.Endpoint
    cdef public object user
    cdef public object vhost
    cdef public int version                     # 3, 4 or 5; 0 before CONNECT
    cdef readonly Session session
    cdef public object connect                  # packets.Connect
    cdef public bint is_present                 # counted in core.presence
    cdef public object authentication           # enhanced authentication, or None
    cdef public object expiry                   # timer: when the login ends, as a token's does; or None
    cdef public object username                 # as the client named itself, or None
    cdef public uint32_t keep_alive_s
    cdef public uint32_t packet_bytes_max       # the client's maximum packet size
    cdef public bint wants_reasons              # request problem information
    cdef Py_ssize_t packet_at                   # where the packet being handled begins, to take it again
    cdef Clock clock
    cdef Store store
    cdef readonly Counters counters
    cdef Intake intake
    cdef readonly int64_t received_ms           # when the peer was last heard
    cdef readonly int64_t connected_ms
    cdef readonly uint64_t bytes_received
    cdef uint64_t open_batch_bytes_max
    cdef size_t message_bytes_max
    cdef size_t control_bytes_max               # of every packet but PUBLISH

    cdef public object meter                    # core.publish_rates.Meter, or None
    cdef readonly uint64_t published            # PUBLISH packets that came
    cdef bint is_revised                        # the user's rights have changed in the middle of a PUBLISH
    cdef Exchange exchange                      # amq.topic; None until the first publish
    cdef RetainedMessages retained
    cdef readonly Answers answers               # None until the first QoS 1 or 2 packet
    cdef readonly bint publishes
    cdef readonly bint is_blocked               # while there is an alarm: no publish is begun
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
