"""A client's connection as everybody sees it who does not read its bytes: who it is, and how it is spoken to.

    Client ◀── handshake, control, ending, review, keep_alive, endpoint
      ▲
    MqttConnection (connection.pxd): bytes to packets, PUBLISH and its acknowledgements

Owns the state, what CONNECT said, writing, and for which reasons reading rests (`RESTS_*`): what was not consumed comes
again. Refuses to know packets.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from broker.core.clock cimport Clock
from broker.core.publisher cimport Store
from broker.mqtt.counters cimport Counters
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
    RESTS_FOR_DECISION = 16         # who its user is, or what they may, is being asked of others (core.undecided)
    RESTS_FOR_RATE = 32             # it publishes faster than its user or vhost may
    RESTS_FOR_SLICES = 64           # a long SUBSCRIBE or UNSUBSCRIBE is being worked off (subscribing)
    RESTS_FOR_TURN = 128            # what it publishes goes to so many that others would wait: until the next turn

cdef class Client(Connection):
    cdef public int state
    cdef int rests
    cdef readonly object broker                 # core.broker.Broker
    cdef readonly object endpoint               # endpoint.Endpoint
    cdef public object user
    cdef public object vhost
    cdef public int version                     # 3, 4 or 5; 0 before CONNECT
    cdef readonly Session session
    cdef public object connect                  # connect.Connect, while CONNACK is not said
    cdef public bint is_present                 # counted in core.presence
    cdef public object authentication           # enhanced authentication, or None
    cdef public object expiry                   # timer: when the login ends, as a token's does; or None
    cdef public object username                 # as the client named itself, or None
    cdef public uint32_t keep_alive_s
    cdef public uint32_t packet_bytes_max       # the client's maximum packet size
    cdef public bint wants_reasons              # request problem information
    cdef Clock clock
    cdef Store store
    cdef readonly Counters counters
    cdef readonly int64_t received_ms           # when the peer was last heard
    cdef readonly int64_t connected_ms
    cdef readonly uint64_t bytes_received
    cdef public object meter                    # core.publish_rates.Meter, or None
    cdef readonly uint64_t published            # PUBLISH packets that came
    cdef readonly bint publishes
    cdef readonly bint is_blocked               # while there is an alarm: no publish is begun

    cpdef write(self, bytes packet)
    cpdef run(self, Session session)
    cpdef leave(self)
    cpdef rest(self, int reason)
    cpdef go_on(self, int reason)
