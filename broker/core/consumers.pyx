"""Whose turn it is: see consumers.pxd."""

from cpython.list cimport PyList_GET_ITEM
from libc.stdint cimport uint64_t

from broker.core.target cimport Consumer
from broker.core.topic_words cimport mix64, word_hash
from storage.records cimport message_routing_key

STRATEGIES = {
    "round-robin": ROUND_ROBIN, "sticky": STICKY, "hash-topic": HASH_TOPIC, "hash-publisher": HASH_PUBLISHER,
}


cdef class Consumers:
    """The consumers of one queue, in the order in which they are served."""

    def __init__(self, bint single_active):
        self.single_active = single_active
        self.ordered = []

    def serve_by(self, str strategy):
        """`strategy`: a key of STRATEGIES. Takes effect with the next message."""
        self.strategy = STRATEGIES[strategy]

    def __len__(self):
        return self.count

    def __iter__(self):
        return iter(self.ordered)

    cdef Consumer next(self, message_t* message):
        cdef Consumer consumer
        if self.count == 0:
            return None
        if self.count == 1 or self.single_active:
            consumer = self.active if self.single_active else <Consumer>PyList_GET_ITEM(self.ordered, 0)
            return consumer if consumer is not None and may_take(consumer, message) else None
        if self.strategy >= HASH_TOPIC:
            return next_by_hash(self, message)
        return next_in_turn(self, message)

    cdef bint any_may_take(self, message_t* message) noexcept:
        cdef size_t index
        for index in range(self.count):
            if may_take(<Consumer>PyList_GET_ITEM(self.ordered, index), message):
                return True
        return False

    cdef bint all_refuse(self, message_t* message) noexcept:
        for consumer in self.ordered:
            if not (<Consumer>consumer).no_local or (<Consumer>consumer).publisher != message.publisher:
                return False
        return self.count > 0 and message.publisher != 0

    cdef int refresh(self) except -1:
        if self.active_leaves and self.active.unacked == 0:
            self.replace_active()
        return 0

    def would_intrude(self, Consumer consumer) -> bool:
        """True where the consumer wants to be alone and would not be, or another one is to be alone."""
        if consumer.exclusive and (self.count or self.single_active):
            return True
        return self.count > 0 and (<Consumer>self.ordered[0]).exclusive

    def add(self, Consumer consumer):
        """Puts the consumer behind those of its priority."""
        cdef Py_ssize_t index = 0
        while index < len(self.ordered) and (<Consumer>self.ordered[index]).priority >= consumer.priority:
            index += 1
        self.ordered.insert(index, consumer)
        self.count += 1
        self.has_no_local = self.has_no_local or consumer.no_local
        consumer.is_active = not self.single_active
        self.choose_active()

    def remove(self, Consumer consumer) -> bool:
        """Takes the consumer out; False where it is not here."""
        if consumer not in self.ordered:
            return False
        self.ordered.remove(consumer)
        self.count -= 1
        if consumer.no_local:           # only then: ten thousand consumers may leave one after the other
            self.has_no_local = any(other.no_local for other in self.ordered)
        if consumer is self.active:
            # The next one waits for what this one holds: what is given back then comes first, in order.
            self.active_leaves = True
            self.refresh()
        return True

    def clear(self) -> list:
        """Takes everybody out."""
        gone, self.ordered = self.ordered, []
        self.count = 0
        self.has_no_local = False
        self.active = None
        self.active_leaves = False
        return gone

    def replace_active(self):
        """The active consumer has left and settled everything: the next one's turn."""
        self.active.is_active = False
        self.active = None
        self.active_leaves = False
        self.choose_active()

    def choose_active(self):
        """Single active consumer: the first of the highest priority; who has it keeps it against equals."""
        cdef Consumer first
        if not self.single_active or self.count == 0 or self.active_leaves:
            return
        first = <Consumer>self.ordered[0]
        if self.active is not None:
            if self.active.priority >= first.priority:
                return
            self.active.is_active = False
        self.active = first
        first.is_active = True


cdef inline bint may_take(Consumer consumer, message_t* message) noexcept:
    if consumer.no_local and consumer.publisher == message.publisher:
        return False
    return consumer.has_credit()


cdef Consumer next_in_turn(Consumers consumers, message_t* message):
    """Several consumers: the next within the highest priority in which one has credit."""
    cdef size_t first = 0, end, step, index
    cdef list ordered = consumers.ordered
    cdef Consumer consumer
    while first < consumers.count:
        end = first + 1
        while end < consumers.count and (<Consumer>PyList_GET_ITEM(ordered, end)).priority \
                == (<Consumer>PyList_GET_ITEM(ordered, first)).priority:
            end += 1
        for step in range(end - first):
            index = first + (consumers.cursor + step) % (end - first)
            consumer = <Consumer>PyList_GET_ITEM(ordered, index)
            if may_take(consumer, message):
                consumers.cursor = index - first + (consumers.strategy == ROUND_ROBIN)
                return consumer
        first = end
    return None


cdef Consumer next_by_hash(Consumers consumers, message_t* message):
    """Of the highest priority in which one has credit, the consumer that weighs most for this message.

    Each consumer's weight is a hash of its tag and of the message's topic or publisher (rendezvous hashing): when one
    comes, goes or has no credit, only its own share moves to others.
    """
    cdef uint64_t about = message.publisher, weight, weight_best = 0
    cdef Consumer consumer, best = None
    cdef size_t index
    if consumers.strategy == HASH_TOPIC:
        about = word_hash(0, message_routing_key(message), message.routing_key_size)
    about = mix64(about)
    for index in range(consumers.count):
        consumer = <Consumer>PyList_GET_ITEM(consumers.ordered, index)
        if best is not None and consumer.priority < best.priority:
            break
        weight = mix64(about ^ <uint64_t>hash(consumer.tag))
        if (best is None or weight > weight_best) and may_take(consumer, message):
            best = consumer
            weight_best = weight
    return best
