"""The hot half of an AMQP connection: bytes to frames to channels. `negotiation` and `ending` are the cold half.

    data_received ─▶ frame ─▶ Channel.on_method, on_header, on_body
                          └─▶ negotiation (channel 0)

States are in `states`. Reading rests for named reasons (`RESTS_*`): what was not consumed comes again.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t

from broker.amqp.channel cimport Channel
from broker.core.clock cimport Clock
from broker.core.fan_out cimport FanOut
from broker.core.intake cimport Intake
from broker.wire.connection cimport Connection

cdef enum:
    RESTS_FOR_STORE = 1             # an answer waits for the disk; what comes behind it waits, too
    RESTS_FOR_ALARM = 2             # the broker lacks memory or disk, and the next that is to be read is a publish
    RESTS_FOR_DISK = 4              # it publishes faster than the disk takes
    RESTS_FOR_READER = 8            # it asks for more than it reads: messages got and returned pile up
    RESTS_FOR_RATE = 32             # it publishes faster than its user or vhost may
    RESTS_FOR_TURN = 64             # what is published goes to so many that others would wait: until the next turn
    RESTS_FOR_DECISION = 16         # who its user is, or what they may, is being asked of others (core.undecided)

cdef class AmqpConnection(Connection):
    cdef public int state                   # states.pxd
    cdef int rests
    cdef readonly object broker
    cdef readonly object endpoint
    cdef public object negotiation          # negotiation.Negotiation
    cdef public object user
    cdef public object vhost
    cdef public bytes raw_client_properties     # as the client sent them: a field table, decoded when somebody asks
    cdef public object meter                # core.publish_rates.Meter, or None
    cdef public bint hears_blocked          # the client's capabilities
    cdef public bint hears_cancel
    cdef public uint32_t frame_max
    cdef public uint32_t channel_max
    cdef public uint32_t heartbeat_s
    cdef readonly dict channels             # Channel by number
    cdef Channel channel                    # of the last frame: mostly of the next one, too
    cdef list untold                        # channels with confirms to send when this read is done
    cdef Channel settling                   # whose acknowledgements come in a row: its queue is still to be woken
    cdef readonly Channel in_channel             # whose frame is being handled; None: the connection's own
    cdef uint32_t method                    # class-id << 16 | method-id of the frame being handled, for errors
    cdef Channel streaming                  # in the middle of a large body frame
    cdef size_t frame_left                  # … whose payload still lacks so many bytes
    cdef Py_ssize_t taken                   # of the bytes being read: where to go on after an error
    cdef Py_ssize_t frame_at                # … and where the frame being handled begins, to take it again
    cdef Clock clock
    cdef readonly int64_t received_ms       # when the peer was last heard
    cdef public uint64_t sent_at_beat       # output.bytes_sent at the last look (heartbeat)
    cdef readonly bint publishes
    cdef readonly bint is_blocked           # while there is an alarm: no publish is begun
    cdef FanOut fan_out
    cdef Intake intake                      # of the broker: what all its connections have begun
    cdef readonly uint64_t begun_bytes      # announced and not yet whole, or held back by a transaction
    cdef uint64_t begun_bytes_max
    cdef uint64_t moved_bytes               # what has come of it at the last look (read_on) …
    cdef int64_t moved_ms                   # … and since when it is no more; 0: not yet looked at
    cdef uint64_t open_batch_bytes_max      # of the store's open batch; above it a publisher rests
    cdef readonly int64_t connected_ms
    cdef readonly uint64_t frames_received
    cdef readonly uint64_t bytes_received

    cdef Py_ssize_t consume(self, const char* data, Py_ssize_t at, Py_ssize_t size) except -1
    cdef Py_ssize_t take_body(self, const char* data, Py_ssize_t at, Py_ssize_t size) except -1
    cdef bint stream(self, int number, size_t length) except -1
    cdef int on_frame(self, int type, int number, const char* payload, size_t size) except -1
