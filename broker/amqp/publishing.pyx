"""How a channel takes what is published: see publishing.pxd."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport malloc
from libc.string cimport memcmp, memcpy

from broker.amqp.begun cimport begun_end, begun_rewrite, begun_start
from broker.amqp.channel cimport EXPECT_BODY, EXPECT_HEADER, EXPECT_METHOD, Channel
from broker.amqp.codec cimport FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_OVERHEAD, HEADER_FIXED, load16, load32, load64
from broker.core.exchange cimport Exchange
from broker.core.message cimport (
    MESSAGE_BAD_EXPIRATION, MESSAGE_HAS_HEADERS, MESSAGE_OK, MESSAGE_PERSISTENT, copy_bytes, message_body, message_new,
    message_properties, message_scan, message_t, message_unref, message_view, same_bytes,
)
from broker.core.properties cimport PROPERTY_REPLY_TO, PROPERTY_USER_ID, properties_has, properties_t

from broker.amqp import consuming, rights
from broker.amqp.translate import AmqpError

cdef enum:
    FLAGS_DELIVERY_MODE = 0x1000    # property flags (§4.2.6.1): delivery-mode alone, what most publishers send
    DELIVERY_MODE_PERSISTENT = 2

cdef bytes DIRECT_REPLY_TO = b"amq.rabbitmq.reply-to"


ctypedef struct publish_t:
    const char* exchange
    const char* routing_key
    size_t exchange_size
    size_t routing_key_size
    bint mandatory


cdef inline int read_publish(const char* arguments, size_t size, publish_t* publish) except -1:
    """The arguments of basic.publish: reserved-1:short exchange:shortstr routing-key:shortstr mandatory, immediate."""
    cdef uint8_t bits
    if size < 5 or size < <size_t>5 + <uint8_t>arguments[2]:
        raise AmqpError(501, "basic.publish ends early")
    publish.exchange_size = <uint8_t>arguments[2]
    publish.exchange = arguments + 3
    publish.routing_key_size = <uint8_t>publish.exchange[publish.exchange_size]
    publish.routing_key = publish.exchange + publish.exchange_size + 1
    if size != 5 + publish.exchange_size + publish.routing_key_size:
        raise AmqpError(501, "basic.publish does not end where its arguments do")
    bits = <uint8_t>publish.routing_key[publish.routing_key_size]
    if bits & 2:
        raise AmqpError(540, "immediate=true")
    publish.mandatory = bits & 1
    return 0


cdef int publish_message(Channel channel, message_t* message) except -1:
    """Takes over a whole message: routes it, and remembers what its publisher is owed."""
    cdef Exchange exchange = channel.exchange           # held: a dead letter's way may end this channel
    cdef int outcome
    channel.messages_published += 1
    try:
        if channel.transaction is not None:
            channel.transaction.publish(exchange, message_view(message), channel.mandatory)
            return 0
        outcome = exchange.publish(message)
        if outcome == 0:
            nobody_took(channel, exchange, message, channel.mandatory)
        if channel.confirms and channel.count_published(outcome):
            channel.connection.tell_later(channel)
    finally:
        message_unref(message)
    return 0


cdef int nobody_took(Channel channel, Exchange exchange, message_t* message, bint mandatory) except -1:
    if mandatory:
        exchange.returned += 1
        channel.messages_returned += 1
        channel.send_return(message)
    else:
        channel.messages_dropped += 1
    return 0


cdef inline int choose_exchange(Channel channel, publish_t* publish) except -1:
    """Mostly it is the exchange of the last publish."""
    cdef PyObject* exchange = <PyObject*>channel.exchange           # borrowed, as its name
    cdef PyObject* name = NULL
    if exchange != <PyObject*>None:
        name = <PyObject*>(<Exchange>exchange).name_bytes
    if name == NULL or (<Exchange>exchange).deleted \
            or <size_t>PyBytes_GET_SIZE(<bytes>name) != publish.exchange_size \
            or not same_bytes(PyBytes_AS_STRING(<bytes>name), publish.exchange, publish.exchange_size):
        channel.exchange = rights.exchange_to_publish_to(channel, publish.exchange[:publish.exchange_size])
        channel.topic_rights = rights.topic_rights(channel, channel.exchange)
        channel.tally.choose(channel, channel.exchange.name)
    if channel.topic_rights is not None:
        channel.topic_rights.check_write(publish.routing_key[:publish.routing_key_size])
    if not channel.publishes:
        channel.publishes = True
        channel.connection.on_first_publish()
    return 0


cdef int on_publish(Channel channel, const char* arguments, size_t size) except -1:
    """basic.publish whose content has not come yet."""
    cdef publish_t publish
    read_publish(arguments, size, &publish)
    choose_exchange(channel, &publish)
    if channel.routing_key == NULL:
        channel.routing_key = <char*>malloc(256)
        if channel.routing_key == NULL:
            raise MemoryError
    memcpy(channel.routing_key, publish.routing_key, publish.routing_key_size)
    channel.routing_key_size = <int>publish.routing_key_size
    channel.mandatory = publish.mandatory
    channel.expects = EXPECT_HEADER
    return 0


cdef Py_ssize_t publish_whole(Channel channel, const char* data, size_t size, size_t method_size) except -1:
    """A publish whose content is there as well: behind the method a header and a body frame, or none, on this channel.

    `data` is at the method's frame, whose payload of `method_size` bytes is complete. Returns how many bytes all frames
    take, or 0 where it is not so simple: then they are taken one by one, and what is wrong is found there.
    """
    cdef publish_t publish
    cdef message_t* message
    cdef const char* header = data + FRAME_OVERHEAD + method_size
    cdef const char* body
    cdef const char* end = data + size
    cdef size_t header_size, body_size
    cdef uint32_t flags
    if end - header < FRAME_OVERHEAD + HEADER_FIXED + 2 or header[0] != FRAME_HEADER \
            or load16(header + 1) != <uint16_t>channel.number:
        return 0
    header_size = load32(header + 3)
    if <size_t>(end - header) < FRAME_OVERHEAD + header_size or header_size < HEADER_FIXED + 2 \
            or header_size > channel.payload_max or load32(header + 7) >> 16 != 60 \
            or <uint8_t>header[7 + header_size] != FRAME_END:
        return 0
    body_size = load64(header + 11)
    body = header + FRAME_OVERHEAD + header_size
    if body_size:
        if body_size > channel.payload_max or body_size > channel.message_bytes_max \
                or <size_t>(end - body) < FRAME_OVERHEAD + body_size \
                or body[0] != FRAME_BODY or load16(body + 1) != <uint16_t>channel.number \
                or load32(body + 3) != body_size or <uint8_t>body[7 + body_size] != FRAME_END:
            return 0
    read_publish(data + 11, method_size - 4, &publish)
    choose_exchange(channel, &publish)
    message = message_new(publish.exchange, publish.exchange_size, publish.routing_key,
                          publish.routing_key_size, header + 7 + HEADER_FIXED, header_size - HEADER_FIXED, body_size)
    if message == NULL:
        raise AmqpError(506, f"no memory for a message of {body_size} bytes")
    message.publisher = channel.connection_number
    channel.mandatory = publish.mandatory
    flags = load16(header + 7 + HEADER_FIXED)
    if flags == FLAGS_DELIVERY_MODE and header_size == HEADER_FIXED + 3:
        if header[7 + HEADER_FIXED + 2] == DELIVERY_MODE_PERSISTENT:
            message.flags = MESSAGE_PERSISTENT
    elif flags or header_size != HEADER_FIXED + 2:
        begun_start(&channel.begun, message, body_size, 0, channel.intake)
        channel.expects = EXPECT_BODY
        check_properties(channel, message)
        message = begun_end(&channel.begun, channel.intake)     # a reply address makes it another one
        channel.expects = EXPECT_METHOD
    if body_size:
        copy_bytes(message_body(message), body + 7, body_size)
        body += FRAME_OVERHEAD + body_size
    publish_message(channel, message)
    return body - data


cdef int check_properties(Channel channel, message_t* message) except -1:
    """Reads what the broker must know of the properties. Raises AmqpError for what it must refuse."""
    cdef properties_t found
    cdef int outcome = message_scan(message, &found)
    cdef const char* raw = message_properties(message)
    if outcome == MESSAGE_BAD_EXPIRATION:
        consuming.refuse_expiration(message_view(message))
    if outcome != MESSAGE_OK:
        raise AmqpError(502, "malformed content properties")
    if properties_has(&found, PROPERTY_USER_ID):
        name = raw[found.fields[PROPERTY_USER_ID].offset:
                   found.fields[PROPERTY_USER_ID].offset + found.fields[PROPERTY_USER_ID].size]
        if name.decode("utf-8", "replace") != channel.user.name and "impersonator" not in channel.user.tags:
            raise AmqpError(406, f"user_id property set to '{name.decode('utf-8', 'replace')}' but authenticated user "
                                 f"was '{channel.user.name}'")
    if properties_has(&found, PROPERTY_REPLY_TO) and found.fields[PROPERTY_REPLY_TO].size == 21 \
            and memcmp(raw + found.fields[PROPERTY_REPLY_TO].offset, <const char*>DIRECT_REPLY_TO, 21) == 0:
        # Direct reply-to: the message goes out with the address of this channel's reply consumer instead of the alias.
        begun_rewrite(&channel.begun, consuming.with_reply_address(channel, message_view(message).raw_properties))
    if channel.topic_rights is not None and message.flags & MESSAGE_HAS_HEADERS:
        rights.check_carbon_copies(channel.topic_rights, message_view(message))
    return 0
