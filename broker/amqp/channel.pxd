"""The hot half of a channel: content in, deliveries out, settling. `dispatch` knows the cold half.

    basic.publish ─▶ content header ─▶ body … ─▶ Exchange.publish ─▶ confirm
    AmqpConsumer.deliver ─▶ unacked ─▶ ack, nack, reject ─▶ Queue.settle

Knows frames and the core; knows nothing of sockets or the handshake.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from broker.amqp.begun cimport begun_t
from broker.amqp.unacked cimport Unacked
from broker.core.exchange cimport Exchange
from broker.core.intake cimport Intake
from broker.core.publisher cimport Publisher
from broker.core.queue cimport Queue
from broker.wire.output cimport Output
from broker.core.message cimport message_t

cdef enum:
    EXPECT_METHOD = 0
    EXPECT_HEADER = 1
    EXPECT_BODY = 2

cdef class Channel(Publisher):
    cdef readonly int number
    cdef readonly object connection
    cdef readonly object vhost
    cdef readonly object user
    cdef Output output
    cdef uint64_t connection_number
    cdef uint64_t message_bytes_max
    cdef uint32_t payload_max               # frame_max less the frame's overhead
    cdef readonly bint is_closing           # channel.close sent, close-ok awaited: everything else is ignored
    cdef readonly bint is_stopped           # channel.flow(active=false): no deliveries

    cdef int expects
    cdef Exchange exchange                  # of the last publish: mostly of the next one, too
    cdef object topic_rights                # core.topic_rights.TopicRights there; None: every topic is allowed
    cdef bint is_revised                    # the user's rights have changed in the middle of a publish
    cdef char* routing_key                  # of the publish whose content is awaited; 255 bytes, NULL until the first
    cdef int routing_key_size
    cdef bint mandatory
    cdef bint publishes                     # it has published before
    cdef begun_t begun                      # the message whose body is awaited
    cdef Intake intake
    cdef readonly bint confirms
    cdef public str last_queue              # the queue declared last: what an empty name means
    cdef public str chosen_name             # for a queue without one, while others are asked whether it may be declared
    cdef public object reply_target         # consumer.ReplyTarget, or None
    cdef public object transaction          # transaction.Transaction, or None

    cdef readonly dict consumers            # AmqpConsumer by consumer tag
    cdef uint64_t delivery_tag              # the one given last
    cdef readonly Unacked unacked
    cdef readonly uint32_t prefetch_count   # of the channel (basic.qos global); 0: no limit
    cdef readonly uint32_t consumer_prefetch_count  # for consumers that come
    cdef uint32_t unacked_max
    cdef Queue unwoken                      # of the deliveries settled one by one in this read; None: nothing to wake

    cdef readonly object tally              # tally.Tally
    cdef readonly uint64_t messages_published
    cdef readonly uint64_t messages_dropped     # … for which there was no target
    cdef readonly uint64_t messages_returned    # … which went back for that (mandatory)

    cdef int on_method(self, const char* payload, size_t size) except -1
    cdef int on_header(self, const char* payload, size_t size) except -1
    cdef int on_body(self, const char* payload, size_t size) except -1
    cdef int finish_message(self) except -1
    # What was acknowledged one by one gives credit. The queue is told once for all that come in a row in one read; and
    # before anything else is looked at, so that it makes no difference.
    cdef int wake_settled(self) except -1
    cdef void send_return(self, message_t* message) noexcept


# Where the next of at most `size` bytes of a body go that the edge reads straight into its message; then what came.
cdef size_t body_place(Channel channel, size_t size, char** where) noexcept
cdef int body_written(Channel channel, size_t size) except -1
