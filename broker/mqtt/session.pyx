"""The hot half of a session: see session.pxd."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint16_t, uint32_t

from broker.core.message cimport (
    MESSAGE_HAS_HEADERS, MESSAGE_RETAIN, MESSAGE_RETAINED, Message, copy_bytes, message_properties,
    message_routing_key, message_t,
)
from broker.core.queue cimport Queue
from broker.core.target cimport ROUTED, Consumer, Target
from broker.mqtt.codec cimport (
    FLAG_DUP, PUBLISH, PUBREL, delivery_t, load16, publish_size, put_publish, store16, store32,
)
from broker.mqtt.inflight cimport RELEASED, Inflight
from broker.mqtt.packet_cache cimport CACHED_BODY_MAX, packet_t
from broker.mqtt.naming cimport Unnameable, names_topic
from broker.mqtt.traffic cimport count_sent
from broker.mqtt.under_way cimport UnderWay
from broker.wire.output cimport Output, output_full, output_room, output_written

from broker.mqtt.naming import is_topic_key

cdef enum:
    OPTIONS_CACHED_MAX = 512
    FLAGS_DELIVERY_MODE = 0x1000    # AMQP property flags: delivery-mode alone

cdef bytes NOTHING = b""


cdef class Match(Target):
    """What takes the messages of one topic for one session."""

    cdef int accept(self, message_t* message) except -1:
        cdef PyObject* session = <PyObject*>self.session                # borrowed: the route holds this, and this it
        cdef PyObject* output
        cdef int qos = message_qos(message)
        if qos > self.qos:
            qos = self.qos
        if message.flags & MESSAGE_HAS_HEADERS \
                and not names_topic(message_routing_key(message), message.routing_key_size):
            (<Session>session).counters.dropped_unnameable += 1         # a carbon copy, found by another key
            return 0
        if self.no_local and message.publisher == (<Session>session).connection_number:     # [MQTT-3.8.3-3]
            return ROUTED
        if qos:
            return accept_by_queue(<Session>session, message)
        output = <PyObject*>(<Session>session).output
        if output == <PyObject*>None or output_full(<Output>output):
            return drop_or_queue(<Session>session, message)
        if not (<Session>session).send(message, 0, 0, False, self, 0):
            (<Session>session).counters.dropped_too_large += 1
        return ROUTED

    def direct_count(self, Message message):
        """See core.target.Target."""
        return -1 if min(self.qos, message_qos(message.message)) else <int64_t>self.session.delivered


cdef class Session(UnderWay):
    """A client's subscriptions and what it is owed, connected or not."""

    def __init__(self, sessions, vhost, str client_id):
        """`sessions`: sessions.Sessions, which made it."""
        self.sessions = sessions
        self.vhost = vhost
        self.client_id = client_id
        self.clock, self.store = sessions.clock, sessions.store
        self.counters, self.cache = sessions.counters, sessions.cache
        self.queues_qos0 = sessions.queues_qos0
        self.subscriptions = {}
        self.expiry_interval_s = 0

    # What a binding asks of its destination.

    @property
    def name(self) -> str:
        """The client identifier."""
        return self.client_id

    @property
    def durable(self) -> bool:
        """Its bindings are not definitions: it writes its subscriptions down itself."""
        return False

    def matched(self, list bindings, bytes routing_key):
        """See core.target.Target: the sum of these subscriptions, or None."""
        found = None if self.ended else self.sum_of(bindings, routing_key)
        return found if found is None or is_topic_key(routing_key) else Unnameable(self.counters)

    def sum_of(self, list bindings, bytes routing_key):
        """What these subscriptions of one topic come to together: a Match, or None."""
        cdef int qos = -1
        cdef bint no_local = True, keeps_retain = self.keeps_retain, is_dollar = routing_key[:1] == b"$"
        cdef list identifiers = None
        for binding in bindings:
            key = binding.key
            if is_dollar and key[:1] in (b"*", b"#"):                   # [MQTT-4.7.2-1]
                continue
            held = self.subscriptions.get(key)
            if held is None:
                continue
            qos = max(qos, held.qos)
            no_local = no_local and held.no_local
            keeps_retain = keeps_retain or held.retain_as_published
            if held.identifier is not None:
                identifiers = identifiers or []
                identifiers.append(held.identifier)
        if qos < 0 or (self.rights is not None and not self.rights.may_read(routing_key)):
            return None
        return self.make_match(qos, no_local, keeps_retain, b"".join(identifiers) if identifiers else NOTHING)

    def make_match(self, int qos, bint no_local, bint retain_as_published, bytes identifiers):
        """A Match, mostly the last one again. `identifiers`: encoded."""
        cdef Match match = self.match
        if match is None or match.qos != qos or match.no_local != no_local \
                or match.retain_as_published != retain_as_published or match.identifiers != identifiers:
            match = Match.__new__(Match)
            match.session = self
            match.qos = qos
            match.no_local = no_local
            match.retain_as_published = retain_as_published
            match.identifiers = identifiers
            self.match = match
        return match

    def options_for(self, bytes key) -> Match:
        """What goes for a message that waited in the own queue: subscriptions may have changed since. None: nothing."""
        cdef dict known = self.options_by_key
        if known is None:
            known = self.options_by_key = {}
        match = known.get(key)
        if match is None:
            bindings = [each for each in self.vhost.exchanges["amq.topic"].trie.matches(key)
                        if each.destination is self]
            match = self.sum_of(bindings, key)
            if match is None and not self.is_restricted:
                match = self.make_match(2, False, self.keeps_retain, NOTHING)
            if len(known) >= OPTIONS_CACHED_MAX:
                known.clear()
            known[key] = match
        return match

    # ── connected and not ─────────────────────────────────────────────────────────────────────────────────────────

    cpdef attach(self, connection, int version, size_t packet_bytes_max, uint32_t window, uint16_t alias_max,
               bint keeps_retain):
        """A client is there, and must hear CONNACK before anything else [MQTT-3.2.0-1]."""
        self.connection = connection
        self.connection_number = connection.number
        self.is_5 = version == 5
        self.traffic = self.counters.traffic_of(version)
        self.packet_bytes_max = packet_bytes_max
        self.window = window
        self.alias_max = alias_max
        self.aliases = {} if alias_max else None
        if self.keeps_retain != keeps_retain:
            self.keeps_retain = keeps_retain
            self.options_changed()

    cpdef resume(self, connection):
        """CONNACK is said. What the client is owed goes out: PUBREL first, then messages, in order [MQTT-4.4.0-1]."""
        if self.connection is not connection:           # another one was faster
            return
        self.output = connection.output
        released, self.released = self.released, None
        for packet_id in released or ():
            if self.inflight is None:
                self.inflight = Inflight()
            self.inflight.hold(NULL, None, packet_id, RELEASED)
            self.send_pubrel(packet_id)
        self.wake_all()

    cpdef detach(self):
        """Nobody is there. What was not acknowledged goes back to its queue, and comes again."""
        cdef list released = None
        self.output = self.waiting = self.connection = None
        self.connection_number = 0
        self.aliases = None
        if self.inflight is not None:
            released = self.inflight.give_back()
            self.inflight = None
        if self.shared_inflight is not None:
            released = (released or []) + self.shared_inflight.give_back()
            self.shared_inflight = None
        if released:
            self.released = (self.released or []) + released
        for consumer in self.shares or ():          # others may have what this one does not take any more
            (<Queue>consumer.queue).wake()

    cpdef end(self):
        """It will never be there again."""
        self.ended = True
        self.match = self.options_by_key = self.state = None

    # ── subscriptions change ──────────────────────────────────────────────────────────────────────────────────────

    def count_subscription(self, int qos, bint has_options, int by):
        """One more (`by` 1) or one less (-1) of the session's own subscriptions."""
        self.qos_counts[qos] += by
        if has_options:
            self.option_count += by
        self.options_changed()

    def options_changed(self):
        """Whatever was concluded from the subscriptions is concluded again."""
        self.match = self.options_by_key = None

    def set_queue(self, Queue queue, Consumer consumer):
        """The own queue: of a subscription with QoS 1 or 2, or restored."""
        self.queue = queue
        self.consumer = consumer
        queue.add_consumer(consumer)

    def join_queue(self, Consumer consumer):
        """A shared subscription's queue."""
        if self.shares is None:
            self.shares = []
        self.shares.append(consumer)
        consumer.queue.add_consumer(consumer)

    def leave_queue(self, Consumer consumer):
        """The shared subscription ends."""
        if self.shares is not None and consumer in self.shares:
            self.shares.remove(consumer)
            consumer.queue.remove_consumer(consumer)

    def on_queue_gone(self, Consumer consumer):
        """A queue was deleted under us."""
        if consumer is self.consumer:
            self.queue = self.consumer = None
            if not self.ended:
                self.sessions.on_queue_gone(self)
        elif self.shares is not None and consumer in self.shares:
            self.shares.remove(consumer)

    # ── deliveries ────────────────────────────────────────────────────────────────────────────────────────────────

    cdef bint has_room(self) noexcept:
        cdef PyObject* output = <PyObject*>self.output
        cdef size_t count = 0
        if output == <PyObject*>None or output_full(<Output>output):
            return False
        if self.inflight is not None:
            count = self.inflight.count
        if self.shared_inflight is not None:
            count += self.shared_inflight.count
        return count < self.window                                      # [MQTT-3.3.4-9]

    cdef bint send(self, message_t* message, int qos, uint16_t packet_id, bint is_dup, Match options,
                   int64_t expires_at_ms) except -1:
        cdef delivery_t delivery
        cdef PyObject* output = <PyObject*>self.output
        cdef bint retain = (message.flags & MESSAGE_RETAINED) != 0
        cdef packet_t* packet
        cdef size_t size
        cdef char* at
        if not retain and message.flags & MESSAGE_RETAIN:
            retain = options.retain_as_published if options is not None else self.keeps_retain  # [MQTT-3.3.1-12], -13
        delivery.first = <unsigned char>(PUBLISH << 4 | (FLAG_DUP if is_dup else 0) | qos << 1 | retain)
        delivery.packet_id = packet_id
        delivery.is_5 = self.is_5
        delivery.names_topic = True
        delivery.expiry_s = -1
        delivery.alias = delivery.properties_size = delivery.identifiers_size = 0
        if self.is_5:
            describe(self, message, options, expires_at_ms, &delivery)
        self.delivered += 1
        self.counters.packets_sent += 1
        count_sent(self.traffic, qos, message.body_size, is_dup)
        if message.fanned_out and message.body_size <= CACHED_BODY_MAX and not is_dup and delivery.alias == 0 \
                and delivery.expiry_s < 0 and delivery.identifiers_size == 0:
            packet = self.cache.find(qos * 4 + retain * 2 + self.is_5, &delivery, message)
            if packet == NULL:
                raise MemoryError
            if packet.size > self.packet_bytes_max:
                return False
            at = output_room(<Output>output, packet.size)
            if at == NULL:
                return True                         # closing: as good as sent
            copy_bytes(at, packet.bytes, packet.size)
            if packet_id:
                store16(at + packet.id_offset, packet_id)
            output_written(<Output>output, packet.size)
            return True
        size = publish_size(&delivery, message)
        if size + (3 if self.alias_max else 0) > self.packet_bytes_max:                             # [MQTT-3.1.2-24]
            return False
        if self.alias_max:
            choose_alias(self, message, &delivery)
            size = publish_size(&delivery, message)
        at = output_room(<Output>output, size)
        if at == NULL:
            return True
        put_publish(at, &delivery, message)
        output_written(<Output>output, size)
        return True

    def send_retained(self, message, int qos, Match options):
        """A retained message for a new subscription (core.message.Message, flagged so)."""
        cdef message_t* pointer = (<Message>message).message
        qos = min(qos, message_qos(pointer))
        if qos or output_full(self.output):             # one subscription may ask for more than an output holds
            accept_by_queue(self, pointer)
        elif not self.send(pointer, 0, 0, False, options, 0):
            self.counters.dropped_too_large += 1

    cdef int send_pubrel(self, uint16_t packet_id) except -1:
        cdef char* at = self.output.reserve(4)
        if at != NULL:
            store32(at, <uint32_t>(PUBREL << 4 | 2) << 24 | 2 << 16 | packet_id)
            self.output.written(4)
            self.counters.packets_sent += 1
        return 0

    @property
    def is_connected(self) -> bool:
        """A client is there."""
        return self.output is not None


# ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────────

cdef inline int accept_by_queue(Session session, message_t* message) except -1:
    cdef Queue queue = session.queue
    if queue is None:
        session.sessions.need_queue(session)
        queue = session.queue
    if queue is None:                               # it has ended, and its bindings are still being taken out
        return 0
    return queue.accept(message)


cdef int drop_or_queue(Session session, message_t* message) except -1:
    """QoS 0, and it cannot go out now: at most once means that it is dropped, never without being counted."""
    if session.output is None and session.queues_qos0 and session.queue is not None:
        return session.queue.accept(message)
    if session.ended:
        return 0
    if session.output is None:
        session.counters.dropped_offline += 1
    else:
        session.counters.dropped_full += 1
    return ROUTED


cdef inline int describe(Session session, message_t* message, Match options, int64_t expires_at_ms,
                         delivery_t* delivery) except -1:
    """What MQTT 5 adds: the message's properties, and the receiver's own."""
    cdef const char* raw = message_properties(message)
    cdef bytes properties
    if message.properties_size > 3 or (load16(raw) & ~FLAGS_DELIVERY_MODE) != 0:
        properties = session.cache.properties_of(message)
        delivery.properties = PyBytes_AS_STRING(properties)         # held by the cache until the next message's
        delivery.properties_size = PyBytes_GET_SIZE(properties)
    if message.expiration_ms >= 0:                                  # [MQTT-3.3.2-6]
        delivery.expiry_s = message.expiration_ms
        if expires_at_ms:
            delivery.expiry_s = max(<int64_t>0, min(expires_at_ms - session.clock.now_ms, message.expiration_ms))
        delivery.expiry_s = (delivery.expiry_s + 999) // 1000
    if options is not None:
        delivery.identifiers = PyBytes_AS_STRING(options.identifiers)
        delivery.identifiers_size = PyBytes_GET_SIZE(options.identifiers)
    return 0


cdef int choose_alias(Session session, message_t* message, delivery_t* delivery) except -1:
    """The first topics get an alias each, as many as the client takes [MQTT-3.3.2-10]."""
    cdef bytes key = message_routing_key(message)[:message.routing_key_size]
    alias = session.aliases.get(key)
    if alias is not None:
        delivery.alias = alias
        delivery.names_topic = False
    elif len(session.aliases) < session.alias_max:
        alias = len(session.aliases) + 1
        session.aliases[key] = alias
        delivery.alias = alias
    return 0
