"""The canonical Message: what the core reads out of the raw properties, and a view for cold code. See message.pxd."""

from libc.string cimport memcpy

from broker.core.properties cimport (
    EXPIRATION_INVALID, PROPERTY_HEADERS, properties_has, properties_scan, properties_t,
)
from storage.records cimport (
    MESSAGE_HAS_HEADERS, MESSAGE_PERSISTENT, MESSAGE_RETAINED, message_body, message_exchange, message_new,
    message_properties, message_ref, message_routing_key, message_size, message_t,
    message_unref,
)

from broker.core.properties import decode_properties

cdef enum:
    DELIVERY_MODE_PERSISTENT = 2    # AMQP 0-9-1 §1.1: delivery-mode


cdef class Message:
    """One message: exchange, routing key, properties and body. Immutable."""

    def __init__(self, bytes exchange, bytes routing_key, bytes properties, bytes body):
        """`properties`: an AMQP 0-9-1 property list with its flags. Raises ValueError where it is none."""
        self.message = message_new(exchange, len(exchange), routing_key, len(routing_key),
                                   properties, len(properties), len(body))
        if self.message == NULL:
            raise MemoryError
        memcpy(message_body(self.message), <const char*>body, len(body))
        if message_describe(self.message) != MESSAGE_OK:
            raise ValueError("malformed content properties")

    def __dealloc__(self):
        if self.message != NULL:
            message_unref(self.message)

    @property
    def exchange(self) -> bytes:
        """The exchange it was published to."""
        return message_exchange(self.message)[:self.message.exchange_size]

    @property
    def routing_key(self) -> bytes:
        """As published."""
        return message_routing_key(self.message)[:self.message.routing_key_size]

    @property
    def raw_properties(self) -> bytes:
        """Property flags and list, as they came."""
        return message_properties(self.message)[:self.message.properties_size]

    @property
    def properties(self) -> dict:
        """The properties by the names of the specification; `headers` decoded."""
        return decode_properties(self.raw_properties)

    @property
    def body(self) -> bytes:
        """The content body."""
        return message_body(self.message)[:self.message.body_size]

    @property
    def body_size(self) -> int:
        """Bytes of the body."""
        return self.message.body_size

    @property
    def memory_bytes(self) -> int:
        """What it takes in memory: what budgets count."""
        return message_size(self.message)

    @property
    def is_persistent(self) -> bool:
        """delivery_mode is 2."""
        return bool(self.message.flags & MESSAGE_PERSISTENT)

    @property
    def has_headers(self) -> bool:
        """The properties have a `headers` table."""
        return bool(self.message.flags & MESSAGE_HAS_HEADERS)

    @property
    def is_retained(self) -> bool:
        """It goes to a subscriber that came after it was published."""
        return bool(self.message.flags & MESSAGE_RETAINED)

    @property
    def expiration_ms(self) -> int:
        """How long it is of use, from its publication on; -1: for ever."""
        return self.message.expiration_ms

    @property
    def publisher(self) -> int:
        """The number of the connection that published it; 0: none."""
        return self.message.publisher

    @property
    def mark(self) -> int:
        """What whoever follows messages knows it by (`core.watch`); 0: nobody follows it."""
        return self.message.mark

    @mark.setter
    def mark(self, value):
        self.message.mark = value

    def again(self, bytes routing_key, body=None) -> Message:
        """The same once more under another routing key, or with another body as well; with its flags."""
        cdef bytes copied = self.body if body is None else body
        cdef Message copy = Message(self.exchange, routing_key, self.raw_properties, copied)
        copy.message.flags = self.message.flags
        copy.message.publisher = self.message.publisher
        return copy

    def readdressed(self, bytes exchange, bytes routing_key, bytes properties) -> Message:
        """Another message with the same body. Raises ValueError for malformed properties."""
        cdef Message other = Message.__new__(Message)
        other.message = message_new(exchange, len(exchange), routing_key, len(routing_key), properties,
                                    len(properties), self.message.body_size)
        if other.message == NULL:
            raise MemoryError
        memcpy(message_body(other.message), message_body(self.message), self.message.body_size)
        if message_describe(other.message) != MESSAGE_OK:
            raise ValueError("malformed content properties")
        return other

    def __eq__(self, other):
        """The same message, not one like it."""
        return isinstance(other, Message) and (<Message>other).message == self.message

    def __hash__(self):
        return hash(<size_t>self.message)


cdef Message message_view(message_t* message):
    cdef Message view = Message.__new__(Message)
    view.message = message_ref(message)
    return view


cdef int message_describe(message_t* message) noexcept nogil:
    cdef properties_t found
    return message_scan(message, &found)


cdef int message_scan(message_t* message, properties_t* found) noexcept nogil:
    if properties_scan(message_properties(message), message.properties_size, found) != 0:
        return MESSAGE_BAD_PROPERTIES
    message.flags = 0
    if found.delivery_mode == DELIVERY_MODE_PERSISTENT:
        message.flags |= MESSAGE_PERSISTENT
    if properties_has(found, PROPERTY_HEADERS):
        message.flags |= MESSAGE_HAS_HEADERS
    message.priority = found.priority
    if found.expiration_ms == EXPIRATION_INVALID:
        return MESSAGE_BAD_EXPIRATION
    message.expiration_ms = found.expiration_ms
    return MESSAGE_OK
