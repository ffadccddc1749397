"""The one queue class of every protocol: see queue.pxd for what it owns and its invariants."""

from cpython.list cimport PyList_GET_ITEM
from cpython.ref cimport PyObject
from libc.stdint cimport uint32_t, uint64_t

from broker.core.clock cimport Clock
from broker.core.consumers cimport Consumers
from broker.core.delivery_counts cimport DeliveryCounts, settle_entry
from broker.core.entry cimport ENTRY_DURABLE, ENTRY_REDELIVERED, entry_t, ring_at
from broker.core.expiry cimport deadline, drop_expired, watch_expiry
from broker.core.ledger cimport ledger_unaccounted
from broker.core.message cimport message_view
from broker.core.overflow cimport OVERFLOW_DROP_HEAD, drop_overflow, total_bytes, turn_away
from broker.core.ready cimport ReadyList
from broker.core.sieve cimport DELIVERED, LEFT, REQUEUED
from broker.core.target cimport ROUTED, STORED, Consumer, Target
from storage.interface cimport SLOT_DURABLE, SLOT_REDELIVERED, Store
from storage.records cimport MESSAGE_PERSISTENT, message_ref, message_t, message_unref

from broker.core import object_events
from broker.core.arguments import OVERFLOWS
from broker.core.errors import AccessRefused
from broker.core.unused import UnusedWatch

cdef enum:
    NO_LOCAL_LOOK_AHEAD = 4096          # entries in memory that a no-local consumer may be served past


cdef class Queue(Target):
    """Holds messages for consumers, in order, until they are settled."""

    def __init__(self, vhost, str name, Store store, Clock clock, *, uint32_t store_id, bint durable, bint auto_delete,
                 object exclusive_owner, dict arguments, object settings, uint64_t memory_bytes_max):
        self.vhost = vhost
        self.name = name
        self.name_bytes = name.encode()
        self.store = store
        self.clock = clock
        self.store_id = store_id
        self.durable = durable
        self.auto_delete = auto_delete
        self.exclusive_owner = exclusive_owner
        self.arguments = arguments
        self.bindings = set()
        self.consumers = Consumers(settings.single_active_consumer)
        self.next_position = 1
        self.last_used_ms = clock.now_ms
        self.watch = vhost.watch
        self.apply(settings)
        levels = 1 + (settings.max_priority or 0)
        self.delivery_counts = DeliveryCounts(store, store_id)
        self.levels = [ReadyList(store, self.delivery_counts, store_id + level, memory_bytes_max)
                       for level in range(levels)]
        self.ready = self.levels[0] if levels == 1 else None

    def apply(self, settings):
        """Takes over limits, expiry and overflow (arguments.QueueArguments)."""
        self.settings = settings
        self.message_ttl_ms = -1 if settings.message_ttl_ms is None else settings.message_ttl_ms
        self.length_max = <uint64_t>-1 if settings.max_length is None else settings.max_length
        self.length_bytes_max = <uint64_t>-1 if settings.max_length_bytes is None else settings.max_length_bytes
        self.overflow = OVERFLOWS.index(settings.overflow or "drop-head")
        self.delivery_limit = <uint32_t>-1 if settings.delivery_limit is None else settings.delivery_limit
        self.counts_deliveries = settings.queue_type == "quorum" or settings.delivery_limit is not None
        self.is_limited = (settings.max_length is not None or settings.max_length_bytes is not None
                           or self.drops_transient_offline)
        self.is_checked = self.is_limited or self.watch is not None
        if settings.expires_ms is not None and self.unused is None:
            self.unused = UnusedWatch(self)
        if self.unused is not None:
            self.unused.watch()

    def set_watch(self, watch):
        """From now on it is told what happens to messages (core.watch.Watch); None: nobody is."""
        self.watch = watch
        self.is_checked = self.is_limited or watch is not None

    def change(self, settings):
        """Other settings are in force from now on (a policy changed): also for what is here already."""
        self.apply(settings)
        if self.is_limited and self.overflow == OVERFLOW_DROP_HEAD:
            drop_overflow(self)
            if self.may_expire:
                watch_expiry(self)

    # ── in ────────────────────────────────────────────────────────────────────────────────────────────────────────

    cdef int accept(self, message_t* message) except -1:
        cdef entry_t entry
        cdef Consumer consumer
        cdef int outcome
        if self.deleted:
            return 0
        if self.is_checked:
            outcome = turn_away(self, message)
            if outcome:
                return outcome
        if self.consumers.has_no_local and self.exclusive_owner is not None and self.consumers.all_refuse(message):
            self.ledger.accepted += 1
            self.ledger.dropped_no_local += 1
            if self.watch is not None and is_heard(self, LEFT, message, 0, None):
                self.watch.left(self, message_view(message), self.next_position, "no_local")
            return ROUTED
        if self.ready_count == 0 and not self.nobody_has_credit and hand_through(self, message):
            return ROUTED
        entry.message = message_ref(message)
        entry.position = self.next_position
        self.next_position += 1
        entry.expires_at_ms = 0
        if self.message_ttl_ms >= 0 or message.expiration_ms >= 0:
            entry.expires_at_ms = deadline(self, message)
        entry.segment = 0
        entry.slot = 0
        entry.delivery_count = 0
        entry.flags = 0
        entry.priority = message.priority
        self.ledger.accepted += 1
        if self.ready_count == 0 and not self.nobody_has_credit:
            consumer = self.consumers.next(message)
            if consumer is not None:
                if consumer.no_ack:
                    self.hand_over(consumer, &entry)
                    return ROUTED                       # the delivery settles it: nothing to keep
                if self.durable and message.flags & MESSAGE_PERSISTENT:
                    keep(self, &entry, self.store_id + <uint32_t>level_of(self, message.priority))
                    self.hand_over(consumer, &entry)
                    return ROUTED | STORED
                self.hand_over(consumer, &entry)
                return ROUTED
        return self.put(&entry)

    cdef int put(self, entry_t* entry) except -1:
        """Adds an entry to the ready messages, and looks whom that concerns."""
        cdef ReadyList level = self.ready
        cdef int outcome = ROUTED
        cdef size_t priority = 0
        if level is None:
            priority = level_of(self, entry.priority)
            level = <ReadyList>self.levels[priority]
        if self.durable and entry.message.flags & MESSAGE_PERSISTENT:
            outcome = ROUTED | STORED
            keep(self, entry, self.store_id + <uint32_t>priority)
        elif level.is_paging():
            keep(self, entry, self.store_id + <uint32_t>priority)
        level.push(entry)
        self.ready_count += 1
        if entry.expires_at_ms:
            self.may_expire = True
        if self.is_limited:
            drop_overflow(self)
        if entry.expires_at_ms and entry.expires_at_ms <= self.clock.now_ms:
            drop_expired(self)
        if not self.nobody_has_credit and self.consumers.count:
            self.deliver()
        if self.may_expire:
            watch_expiry(self)
        return outcome

    # ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────

    cdef ReadyList next_level(self):
        """The level of the highest priority that has messages; None where the queue is empty."""
        cdef Py_ssize_t index
        if self.ready is not None:
            return self.ready if self.ready.count else None
        for index in range(len(self.levels) - 1, -1, -1):
            if (<ReadyList>self.levels[index]).count:
                return <ReadyList>self.levels[index]
        return None

    cdef int deliver(self) except -1:
        """Hands ready messages to consumers until either runs out."""
        cdef ReadyList level = None
        cdef entry_t* head
        cdef entry_t entry
        cdef Consumer consumer
        if self.delivering:
            return 0
        self.delivering = True
        try:
            while self.ready_count:
                level = self.next_level()
                if level is None:
                    break
                head = level.peek()
                if head == NULL:
                    break
                if head.expires_at_ms and head.expires_at_ms <= self.clock.now_ms:
                    drop_expired(self)
                    continue
                consumer = self.consumers.next(head.message)
                if consumer is None:
                    if not self.consumers.has_no_local:
                        self.nobody_has_credit = True
                        break
                    if serve_past_head(self, level):
                        continue
                    break
                level.pop(&entry)
                self.ready_count -= 1
                self.hand_over(consumer, &entry)
        finally:
            self.delivering = False
        if self.may_expire:
            watch_expiry(self)
        return 0

    cdef int hand_over(self, Consumer consumer, entry_t* entry) except -1:
        if self.watch is not None and is_heard(self, DELIVERED, entry.message, entry.position, consumer):
            self.watch.delivered(self, consumer, message_view(entry.message), entry.position,
                                 entry.flags & ENTRY_REDELIVERED != 0, consumer.no_ack)
        if entry.position > self.delivered_up_to:
            self.delivered_up_to = entry.position
        if entry.flags & ENTRY_REDELIVERED:
            self.ledger.redelivered += 1
        if not consumer.no_ack:
            self.ledger.delivered += 1
            self.unacked_count += 1
            self.unacked_bytes += entry.message.body_size
            return consumer.deliver(entry)
        self.ledger.delivered_no_ack += 1
        consumer.deliver(entry)
        if entry.segment:
            settle_entry(self.store, self.delivery_counts, entry)
        message_unref(entry.message)
        return 0

    cdef bint get(self, entry_t* entry, bint no_ack, object who=None) except -1:
        """Takes the next message for basic.get. With `no_ack` it is settled: the caller owns only the reference."""
        cdef ReadyList level = None
        cdef entry_t* head
        self.last_used_ms = self.clock.now_ms
        if self.may_expire:
            drop_expired(self)
        level = self.next_level()
        head = level.peek() if level is not None else NULL
        if head == NULL:
            self.ledger.get_empty += 1
            return False
        level.pop(entry)
        self.ready_count -= 1
        if entry.position > self.delivered_up_to:
            self.delivered_up_to = entry.position
        if entry.flags & ENTRY_REDELIVERED:
            self.ledger.redelivered += 1
        if self.watch is not None and is_heard(self, DELIVERED, entry.message, entry.position, who):
            self.watch.delivered(self, who, message_view(entry.message), entry.position,
                                 entry.flags & ENTRY_REDELIVERED != 0, no_ack)
        if no_ack:
            self.ledger.got_no_ack += 1
            if entry.segment:
                settle_entry(self.store, self.delivery_counts, entry)
        else:
            self.ledger.got += 1
            self.unacked_count += 1
            self.unacked_bytes += entry.message.body_size
        if self.may_expire:
            watch_expiry(self)
        return True

    cdef int settle(self, entry_t* entry, int outcome) except -1:
        """Ends a delivery. Takes over the entry. `wake` follows after the last of a series."""
        self.unacked_count -= 1
        self.unacked_bytes -= entry.message.body_size
        if outcome == COMPLETE or self.deleted:
            if self.watch is not None and is_heard(self, LEFT, entry.message, entry.position, None):
                self.watch.left(self, message_view(entry.message), entry.position, "acknowledged")
            self.ledger.acknowledged += 1
            if entry.segment:
                settle_entry(self.store, self.delivery_counts, entry)
            message_unref(entry.message)
            return 0
        if outcome == REQUEUE:
            return give_back(self, entry)
        self.ledger.rejected += 1
        return self.dead_letter(entry, "rejected")

    cdef int wake(self) except -1:
        self.nobody_has_credit = False
        self.consumers.refresh()
        if self.ready_count:
            self.deliver()
        return 0

    # ── what leaves unconsumed ────────────────────────────────────────────────────────────────────────────────────

    cdef int dead_letter(self, entry_t* entry, str reason) except -1:
        """Takes over an entry that leaves unconsumed: to the dead-letter exchange, if there is one, or nowhere."""
        if self.watch is not None and is_heard(self, LEFT, entry.message, entry.position, None):
            self.watch.left(self, message_view(entry.message), entry.position, reason)
        if self.settings.dead_letter_exchange is not None and not self.deleted:
            self.ledger.dead_lettered += 1
            self.vhost.dead_letters.publish(self, message_view(entry.message), reason)
        if entry.segment:
            settle_entry(self.store, self.delivery_counts, entry)   # in the same batch as its copy: never neither
        message_unref(entry.message)
        return 0

    def on_expiry_due(self):
        """The earliest deadline has come, or had come for a head that was taken before."""
        self.expiry_timer = None
        if not self.deleted:
            drop_expired(self)
            watch_expiry(self)

    # ── consumers ─────────────────────────────────────────────────────────────────────────────────────────────────

    def check_consumer(self, Consumer consumer):
        """Raises AccessRefused where an exclusive consumer is, or would be, not alone (AMQP 0-9-1 §1.8.3.3)."""
        if self.consumers.would_intrude(consumer):
            raise AccessRefused(f"queue '{self.name}' in vhost '{self.vhost.name}' in exclusive use")

    def add_consumer(self, Consumer consumer):
        """From now on the consumer gets its share (after `check_consumer`)."""
        self.consumers.add(consumer)
        object_events.consumer_created(self, consumer)
        self.last_used_ms = self.clock.now_ms
        self.wake()

    def remove_consumer(self, Consumer consumer):
        """The consumer wants no more. The last one of an auto-delete queue takes the queue with it."""
        if not self.consumers.remove(consumer):
            return
        object_events.consumer_deleted(self, consumer)
        self.last_used_ms = self.clock.now_ms
        if self.auto_delete and self.consumers.count == 0 and not self.deleted:
            self.vhost.remove_queue(self)
        else:
            self.wake()

    # ── the whole queue ───────────────────────────────────────────────────────────────────────────────────────────

    def purge(self) -> int:
        """Settles every ready message; how many there were (AMQP 0-9-1 §1.7.2.7)."""
        cdef ReadyList level
        cdef uint64_t removed = 0
        for level in self.levels:
            removed += level.clear()
        self.delivery_counts.forget_restored()
        self.ready_count = 0
        self.ledger.purged += removed
        if self.watch is not None:
            self.watch.purged(self, removed)
        return removed

    def delete(self) -> int:
        """Ends the queue: purges it and tells its consumers. The vhost has already forgotten it."""
        removed = self.purge()
        self.deleted = True
        for watch in (self.expiry_timer, self.unused):
            if watch is not None:
                watch.cancel()
        for consumer in self.consumers.clear():
            object_events.consumer_deleted(self, consumer)
            (<Consumer>consumer).cancelled_by_queue()
        return removed

    def restore_run(self, uint32_t store_id, uint64_t segment, uint32_t first_slot, uint32_t count, uint64_t size,
                    uint64_t last_position):
        """What the store has of this queue in one segment; called in segment order before anything else happens."""
        cdef ReadyList level = self.levels[store_id - self.store_id]
        level.add_run(segment, first_slot, count, size)
        self.ready_count += count
        self.ledger.restored += count
        self.next_position = max(self.next_position, last_position + 1)
        self.may_expire = True

    def finish_restore(self, uint64_t delivered_up_to):
        """Messages up to this position may have been delivered before: they come with `redelivered`."""
        cdef ReadyList level
        self.delivered_up_to = delivered_up_to
        self.next_position = max(self.next_position, delivered_up_to + 1)
        for level in self.levels:
            level.redelivered_up_to = delivered_up_to
        watch_expiry(self)

    @property
    def last_position(self) -> int:
        """The position given last."""
        return self.next_position - 1

    @property
    def ready_bytes(self) -> int:
        """Bytes of bodies of the ready messages."""
        return total_bytes(self)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the ready messages that are held in memory."""
        return sum(level.held_bytes() for level in self.levels)

    @property
    def counts(self) -> dict:
        """The ledger (ledger.pxd says what each word counts), and `unaccounted`, which is 0."""
        counts = self.ledger
        return {**counts, "unaccounted": ledger_unaccounted(&self.ledger, self.ready_count, self.unacked_count)}


cdef inline bint is_heard(Queue queue, uint32_t event, message_t* message, uint64_t position, object taker) except -1:
    """Whether somebody wants to hear that this happens to a message here."""
    return queue.watch.lets(event, message, queue.name_bytes, queue.store_id, position, None, taker)


cdef inline bint hand_through(Queue queue, message_t* message) except -1:
    """The shortest way: an empty queue and one consumer that does not acknowledge. The delivery settles the message."""
    cdef PyObject* consumers = <PyObject*>queue.consumers           # borrowed: nothing here can end it
    cdef PyObject* consumer
    cdef entry_t entry
    if (<Consumers>consumers).count != 1 or (<Consumers>consumers).single_active:
        return False
    consumer = <PyObject*>(<Consumers>consumers).ordered
    consumer = PyList_GET_ITEM(<list>consumer, 0)
    if not (<Consumer>consumer).no_ack or (<Consumer>consumer).no_local or not (<Consumer>consumer).has_credit():
        return False
    queue.ledger.accepted += 1
    queue.ledger.delivered_no_ack += 1
    queue.delivered_up_to = queue.next_position
    queue.next_position += 1
    if queue.watch is not None and is_heard(queue, DELIVERED, message, 0, <Consumer>consumer):
        queue.watch.delivered(queue, <Consumer>consumer, message_view(message), queue.delivered_up_to, False, True)
    entry.message = message
    entry.segment = 0
    entry.delivery_count = 0
    entry.flags = 0
    (<Consumer>consumer).deliver(&entry)
    return True


cdef int keep(Queue queue, entry_t* entry, uint32_t store_id) except -1:
    """Gives the entry a slot in the open batch."""
    cdef message_t* message = entry.message
    cdef unsigned char flags = SLOT_REDELIVERED if entry.flags & ENTRY_REDELIVERED else 0
    if queue.durable and message.flags & MESSAGE_PERSISTENT:
        flags |= SLOT_DURABLE
        entry.flags |= ENTRY_DURABLE
    return queue.store.append(message, store_id, entry.position, entry.expires_at_ms, entry.priority, flags,
                              &entry.segment, &entry.slot)


cdef inline size_t level_of(Queue queue, size_t priority) noexcept:
    """The index of the level for messages of this priority."""
    return 0 if queue.ready is not None else min(priority, <size_t>len(queue.levels) - 1)


cdef int give_back(Queue queue, entry_t* entry) except -1:
    """Puts a delivered message back to its place, or drops it where that happened too often (x-delivery-limit)."""
    cdef ReadyList level
    entry.delivery_count += 1 if entry.delivery_count < 65535 else 0
    entry.flags |= ENTRY_REDELIVERED
    if entry.delivery_count > queue.delivery_limit:
        queue.ledger.dropped_delivery_limit += 1
        return queue.dead_letter(entry, "delivery_limit")
    queue.ledger.requeued += 1
    if queue.counts_deliveries:
        queue.delivery_counts.note(entry)
    if queue.watch is not None and is_heard(queue, REQUEUED, entry.message, entry.position, None):
        queue.watch.requeued(queue, message_view(entry.message), entry.position)
    level = queue.ready
    if level is None:
        level = <ReadyList>queue.levels[level_of(queue, entry.priority)]
    level.push_back_again(entry)
    queue.ready_count += 1
    if queue.is_limited and queue.overflow == OVERFLOW_DROP_HEAD:
        drop_overflow(queue)
    if entry.expires_at_ms:
        queue.may_expire = True
        watch_expiry(queue)
    return 0


cdef bint serve_past_head(Queue queue, ReadyList level) except -1:
    """The head is a no-local consumer's own message and others have no credit: serve that consumer past it."""
    cdef entry_t entry
    cdef Consumer consumer
    cdef size_t index
    for index in range(1, min(level.front.count, <size_t>NO_LOCAL_LOOK_AHEAD)):
        consumer = queue.consumers.next(ring_at(&level.front, index).message)
        if consumer is not None:
            level.take(index, &entry)
            queue.ready_count -= 1
            queue.hand_over(consumer, &entry)
            return True
    return False
