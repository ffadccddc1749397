"""The hot half of a session: what its subscriptions get, on its way out.

    Exchange ─▶ Match.accept ─┬─ QoS 0 ─▶ PUBLISH, or dropped and counted
                              └─ QoS 1, 2 ─▶ Queue ─▶ SessionConsumer.deliver ─▶ PUBLISH, Inflight ─▶ PUBACK …

A session is what an exchange's bindings point to; asked once per topic, it answers with a Match, so that overlapping
subscriptions deliver once [MQTT-3.3.4-2]. Messages of QoS 1 and 2 wait in a core queue, whose only consumer it is.
`under_way` is the part of it that remembers packet identifiers; `sessions` is the cold half: names, take-over, expiry,
the store.

Invariants: `output` is None exactly while nobody is connected; a packet identifier in flight is used once; identifiers
of the session's own queue follow from the message's position, so that after a crash it comes again with the same one.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from broker.core.clock cimport Clock
from broker.core.message cimport MESSAGE_PERSISTENT, MESSAGE_QOS2, message_t
from broker.core.publisher cimport Waiter
from broker.core.target cimport Consumer, Target
from broker.mqtt.packet_cache cimport PacketCache
from broker.mqtt.under_way cimport UnderWay
from broker.wire.output cimport Output

cdef enum:
    OWN_IDS = 32767                 # packet identifiers 1 … 32767 are those of the session's own queue


cdef class Session(UnderWay):
    cdef readonly str client_id
    cdef readonly object vhost
    cdef Clock clock
    cdef PacketCache cache
    cdef public dict subscriptions              # subscriptions.Held by binding key; shared ones by (group, binding key)
    cdef public object expiry_interval_s        # 0: it ends with the connection; None: never
    cdef public bint is_stored                  # it outlives the connection, and a restart
    cdef public object will                     # will.PendingWill, or None
    cdef public object expiry_timer
    cdef public object user                     # core.access.User who is connected, or was last; None: not known
    cdef public object rights                   # core.topic_rights.TopicRights of it; None: every topic is allowed
    cdef public object judged                   # for which user, and when, its subscriptions were judged
    cdef public bint is_restricted              # what waits may be something that it must not get any more
    cdef readonly bint ended                    # nothing is delivered any more

    # while somebody is connected
    cdef readonly object connection             # MqttConnection, or None
    cdef Output output
    cdef uint64_t connection_number
    cdef bint is_5
    cdef bint keeps_retain                      # a bridge: the retain flag as published, on all subscriptions
    cdef size_t packet_bytes_max                # the client's maximum packet size
    cdef uint32_t window                        # PUBLISH packets in flight: the smaller of its receive maximum and ours
    cdef uint16_t alias_max
    cdef dict aliases                           # topic alias by routing key: ours, towards the client

    # deliveries
    cdef Consumer consumer                      # SessionConsumer at it
    cdef bint queues_qos0                       # QoS 0 waits for a client that is away, too
    cdef Match match                            # the last answer: mostly the next one, too
    cdef uint32_t qos_counts[3]                 # subscriptions by their QoS
    cdef uint32_t option_count                  # … and those with an identifier or retain as published
    cdef dict options_by_key                    # Match by routing key, where subscriptions differ
    cdef readonly uint64_t delivered
    cdef public uint64_t position_ceiling       # written down: positions below it may have named a packet identifier
    cdef Waiter waiting                         # SentWhenStored; None: no QoS 2 delivery waits for the disk

    cpdef attach(self, connection, int version, size_t packet_bytes_max, uint32_t window, uint16_t alias_max,
                 bint keeps_retain)
    cpdef resume(self, connection)
    cpdef detach(self)
    cpdef end(self)
    cdef bint has_room(self) noexcept
    cdef int send_pubrel(self, uint16_t packet_id) except -1
    # Writes a PUBLISH. False: it is larger than the client takes.
    cdef bint send(self, message_t* message, int qos, uint16_t packet_id, bint is_dup, Match options,
                   int64_t expires_at_ms) except -1


cdef class Match(Target):
    """What takes the messages of one topic for one session: the sum of the subscriptions that match it."""
    cdef readonly Session session
    cdef readonly int qos                       # the highest granted
    cdef readonly bint no_local
    cdef readonly bint retain_as_published
    cdef readonly bytes identifiers             # subscription identifiers, encoded as properties


cdef inline int message_qos(message_t* message) noexcept:
    if message.flags & MESSAGE_QOS2:
        return 2
    return 1 if message.flags & MESSAGE_PERSISTENT else 0


cdef inline bint is_uniform(Session session) noexcept:
    return ((session.qos_counts[0] != 0) + (session.qos_counts[1] != 0) + (session.qos_counts[2] != 0)) <= 1


cdef inline int uniform_qos(Session session) noexcept:
    return 1 if session.qos_counts[1] else 0 if session.qos_counts[0] else 2
