"""Retained messages: see retained.pxd for what this owns and its invariants.

The value of a topic in the store's `retained` database, all numbers little-endian:

    │ version u8 │ flags u8 │ priority u8 │ exchange size u8 │ topic size u16 │ 0 u16 │ properties size u32 │
    │ expiration ms i64 │ expires at ms i64 │ exchange │ topic │ properties │ body │

The whole topic is in the value, because a long one is cut in the key.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.string cimport memcpy

from broker.core.message cimport Message, message_view
from broker.core.target cimport REFUSED, STORED
from storage.records cimport (
    MESSAGE_RETAIN, MESSAGE_RETAINED, message_body, message_exchange, message_new, message_properties, message_ref,
    message_routing_key, message_size, message_t, message_unref,
)

import heapq

from storage import layout
from storage.layout import Database
from storage.scanning import every

cdef enum:
    VALUE_VERSION = 1
    EXPIRED_AT_ONCE = 1000          # per turn; the rest follows in the next

ctypedef packed struct value_t:
    unsigned char version
    unsigned char flags             # MESSAGE_*
    unsigned char priority
    unsigned char exchange_size
    unsigned short routing_key_size
    unsigned short reserved
    unsigned int properties_size
    int64_t expiration_ms           # as published; -1: none
    int64_t expires_at_ms           # 0: never

RETAINED = int(Database.RETAINED)
STALE_DEADLINES_MIN = 64            # below this many, deadlines that have moved are not worth a clean-up


cdef class Retained:
    """What one topic retains."""

    def __dealloc__(self):
        if self.message != NULL:
            message_unref(self.message)

    cdef message_t* delivery(self, int64_t now_ms) except NULL:
        cdef message_t* message = self.message
        if message.flags & MESSAGE_RETAINED and not self.expires_at_ms:
            return message_ref(message)
        message = copy_of(message)
        message.flags |= MESSAGE_RETAIN | MESSAGE_RETAINED
        if self.expires_at_ms:
            message.expiration_ms = max(<int64_t>0, self.expires_at_ms - now_ms)
            return message
        message_unref(self.message)         # the next subscriber finds it ready-made
        self.message = message
        return message_ref(message)

    @property
    def message(self) -> Message:
        """What is retained."""
        return message_view(self.message)

    def as_delivered(self, int64_t now_ms) -> Message:
        """See `delivery`."""
        cdef Message view = Message.__new__(Message)
        view.message = self.delivery(now_ms)
        return view


def retained_as(Message message) -> Retained:
    """A message as if it were retained under its topic: for topics that are computed when somebody asks."""
    cdef Retained retained = Retained.__new__(Retained)
    retained.message = message_ref(message.message)
    return retained


cdef class RetainedMessages(Contributor):
    """The retained messages of one vhost."""

    def __init__(self, str vhost_name, Store store, Clock clock, limits):
        """`limits`: limits.Limits."""
        self.vhost_name = vhost_name
        self.store = store
        self.clock = clock
        self.tree = TopicTree()
        self.changed = []
        self.deadlines = []
        self.messages_max = limits.retained_messages_max
        self.bytes_max = limits.retained_bytes_max
        self.message_bytes_max = limits.retained_message_bytes_max

    def __len__(self):
        return self.messages

    # ── in ────────────────────────────────────────────────────────────────────────────────────────────────────────

    cdef int retain(self, message_t* message) except -1:
        cdef const char* topic = message_routing_key(message)
        cdef PyObject* known = self.tree.find(topic, message.routing_key_size)
        cdef Retained retained = <Retained>known if known != NULL else None
        cdef bint is_new = retained is None or retained.is_cleared
        cdef uint64_t size = message_size(message)
        cdef uint64_t size_before = 0 if is_new else message_size(retained.message)
        if message.body_size == 0:
            if not is_new:
                self.cleared += 1
                self.clear(retained)
            return STORED           # also where nothing was: its deletion may be on its way to the disk still
        if (message.body_size > self.message_bytes_max or self.size_bytes - size_before + size > self.bytes_max
                or (is_new and self.messages >= self.messages_max) or (self.is_full and size > size_before)):
            self.refused += 1
            return REFUSED
        if retained is None:
            retained = Retained.__new__(Retained)
            retained.message = message_ref(message)
            self.tree.put(topic, message.routing_key_size, retained)
        else:
            message_ref(message)
            message_unref(retained.message)
            retained.message = message
            retained.is_cleared = False
        self.messages += is_new
        self.size_bytes += size - size_before
        self.stored += 1
        retained.expires_at_ms = 0
        if message.expiration_ms >= 0:
            retained.expires_at_ms = self.clock.now_ms + message.expiration_ms
            self.watch(retained)
        return self.change(retained)

    cdef int clear(self, Retained retained) except -1:
        """Nobody gets it any more; the topic leaves the tree with the batch that deletes it from the store."""
        self.messages -= 1
        self.size_bytes -= message_size(retained.message)
        retained.is_cleared = True
        retained.expires_at_ms = 0
        return self.change(retained)

    cdef int change(self, Retained retained) except -1:
        """The next batch writes it."""
        if not retained.is_changed:
            retained.is_changed = True
            self.changed.append(retained)
            self.store.expect(self)
        return STORED

    cdef int contribute(self) except -1:
        """The batch is about to be sealed: the last state of each topic that changed."""
        cdef Retained retained
        for retained in self.changed:
            retained.is_changed = False
            if retained.is_cleared:
                self.store.delete(RETAINED, self.store_key(retained.message))
                self.tree.take(message_routing_key(retained.message), retained.message.routing_key_size)
            else:
                self.store.put(RETAINED, self.store_key(retained.message), encode(retained))
        self.changed.clear()
        return 0

    cdef bytes store_key(self, message_t* message):
        return layout.texts_key(self.vhost_name, message_routing_key(message)[:message.routing_key_size])

    # ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────

    cdef list match(self, const char* topic_filter, size_t size):
        cdef list found = []
        cdef Retained retained
        self.tree.match(topic_filter, size, found)
        if self.changed or self.deadlines:          # otherwise none is cleared, and none can have expired
            found = [retained for retained in found if is_alive(retained, self.clock.now_ms)]
        self.delivered += <uint64_t>len(found)
        return found

    # ── expiry ────────────────────────────────────────────────────────────────────────────────────────────────────

    cdef int watch(self, Retained retained) except -1:
        """Its deadline is looked at in time: one place in the heap per topic, unless the deadline comes nearer."""
        if retained.watched_ms and retained.watched_ms <= retained.expires_at_ms:
            return 0                                # found out then, and watched again
        retained.watched_ms = retained.expires_at_ms
        self.deadlines_given += 1
        heapq.heappush(self.deadlines, (retained.expires_at_ms, self.deadlines_given, retained))
        if <uint64_t>len(self.deadlines) > STALE_DEADLINES_MIN + 2 * self.messages:
            self.forget_stale_deadlines()
        return self.set_timer()

    def forget_stale_deadlines(self):
        """Topics whose deadline came nearer again and again, or that were cleared before it came."""
        self.deadlines = [
            entry for entry in self.deadlines
            if (<Retained>entry[2]).watched_ms == entry[0] and (<Retained>entry[2]).expires_at_ms
        ]
        heapq.heapify(self.deadlines)

    cdef int set_timer(self) except -1:
        cdef int64_t due_ms
        if not self.deadlines:
            return 0
        due_ms = self.deadlines[0][0]
        if self.expiry_timer is not None:
            if self.expiry_timer.due_ms <= due_ms:
                return 0
            self.expiry_timer.cancel()
        self.expiry_timer = self.clock.call_at(due_ms, self.on_expiry_due)
        return 0

    def on_expiry_due(self):
        """The earliest deadline has come, or that of a topic that was set again since."""
        cdef Retained retained
        cdef int done = 0
        self.expiry_timer = None
        while self.deadlines and self.deadlines[0][0] <= self.clock.now_ms and done < EXPIRED_AT_ONCE:
            watched_ms, _, retained = heapq.heappop(self.deadlines)
            done += 1
            if retained.watched_ms != watched_ms:
                continue                            # it was nearer since, and came before
            retained.watched_ms = 0
            if retained.is_cleared or not retained.expires_at_ms:
                continue
            if retained.expires_at_ms > self.clock.now_ms:
                self.watch(retained)
            else:
                self.expired += 1
                self.clear(retained)
        self.set_timer()

    # ── start-up ──────────────────────────────────────────────────────────────────────────────────────────────────

    def restore(self) -> int:
        """Read what the store has of this vhost; how many messages. Raises ValueError for what it cannot read."""
        prefix = layout.texts_key(self.vhost_name)
        for _key, value in every(self.store, RETAINED, prefix, layout.prefix_end(prefix)):
            self.restore_value(value)
        self.set_timer()
        return self.messages

    cdef int restore_value(self, bytes value) except -1:
        """Limits that were lowered meanwhile throw nothing away: they hold for what comes."""
        cdef Retained retained = Retained.__new__(Retained)
        retained.message = decode(value, &retained.expires_at_ms)
        self.tree.put(message_routing_key(retained.message), retained.message.routing_key_size, retained)
        self.messages += 1
        self.size_bytes += message_size(retained.message)
        if retained.expires_at_ms:
            self.watch(retained)
        return 0

    # ── for cold code ─────────────────────────────────────────────────────────────────────────────────────────────

    def keep(self, Message message) -> int:
        """See `retain`."""
        return self.retain(message.message)

    def matches(self, bytes topic_filter) -> list:
        """See `match`. Raises LimitExceeded for too many words, ValueError for a '#' that is not the last."""
        cdef const char* start = topic_filter
        return self.match(start, len(topic_filter))

    def get(self, bytes topic):
        """What is retained under one topic, or None."""
        retained = self.tree.get(topic)
        return retained if retained is not None and is_alive(retained, self.clock.now_ms) else None

    def remove(self, bytes topic) -> bool:
        """Clear one topic; False where it retains nothing."""
        retained = self.get(topic)
        if retained is None:
            return False
        self.cleared += 1
        self.clear(retained)
        return True

    def remove_all(self) -> int:
        """Clear every topic (the vhost goes); how many there were."""
        cdef Retained retained
        cdef list found = self.tree.values()
        cdef int removed = 0
        for retained in found:
            if not retained.is_cleared:
                self.clear(retained)
                removed += 1
        self.cleared += removed
        return removed

    @property
    def counts(self) -> dict:
        """What there is and what has happened, in messages; `bytes` with all that a message takes."""
        return {
            "messages": self.messages, "bytes": self.size_bytes, "stored": self.stored, "cleared": self.cleared,
            "expired": self.expired, "refused": self.refused, "delivered": self.delivered,
        }

    @property
    def memory_bytes(self) -> int:
        """Bytes of the messages and of the tree of their topics."""
        return self.size_bytes + self.tree.memory_bytes


cdef inline bint is_alive(Retained retained, int64_t now_ms) noexcept:
    return not retained.is_cleared and not (0 < retained.expires_at_ms <= now_ms)


cdef message_t* copy_of(message_t* message) except NULL:
    """The same message once more: another subscriber may need other flags, and a routed message never changes."""
    cdef message_t* copy = message_new(
        message_exchange(message), message.exchange_size, message_routing_key(message), message.routing_key_size,
        message_properties(message), message.properties_size, message.body_size)
    if copy == NULL:
        raise MemoryError
    copy.flags = message.flags
    copy.priority = message.priority
    copy.expiration_ms = message.expiration_ms
    memcpy(message_body(copy), message_body(message), message.body_size)
    return copy


cdef bytes encode(Retained retained):
    """The value of a topic in the store (drawn in the module's docstring)."""
    cdef message_t* message = retained.message
    cdef size_t payload_size = message_size(message) - sizeof(message_t)
    cdef bytes value = PyBytes_FromStringAndSize(NULL, sizeof(value_t) + payload_size)
    cdef value_t* head = <value_t*>PyBytes_AS_STRING(value)
    head.version = VALUE_VERSION
    head.flags = message.flags & ~MESSAGE_RETAINED
    head.priority = message.priority
    head.exchange_size = message.exchange_size
    head.routing_key_size = message.routing_key_size
    head.reserved = 0
    head.properties_size = message.properties_size
    head.expiration_ms = message.expiration_ms
    head.expires_at_ms = retained.expires_at_ms
    memcpy(<char*>head + sizeof(value_t), message_exchange(message), payload_size)
    return value


cdef message_t* decode(bytes value, int64_t* expires_at_ms) except NULL:
    """The message of a value of the store. Raises ValueError for what is none."""
    cdef value_t* head = <value_t*>PyBytes_AS_STRING(value)
    cdef size_t size = PyBytes_GET_SIZE(value)
    cdef const char* exchange = <const char*>head + sizeof(value_t)
    cdef const char* body
    cdef message_t* message
    if size < sizeof(value_t) or head.version != VALUE_VERSION or head.routing_key_size == 0 or (
            size < sizeof(value_t) + head.exchange_size + head.routing_key_size + head.properties_size):
        raise ValueError(f"{value[:40]!r}… is no retained message")
    body = exchange + head.exchange_size + head.routing_key_size + head.properties_size
    message = message_new(exchange, head.exchange_size, exchange + head.exchange_size, head.routing_key_size,
                          exchange + head.exchange_size + head.routing_key_size, head.properties_size,
                          size - (body - <const char*>head))
    if message == NULL:
        raise MemoryError
    message.flags = head.flags
    message.priority = head.priority
    message.expiration_ms = head.expiration_ms
    expires_at_ms[0] = head.expires_at_ms
    memcpy(message_body(message), body, message.body_size)
    return message
