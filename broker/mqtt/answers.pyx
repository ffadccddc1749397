"""What a client is owed for its QoS 1 and 2 packets: see answers.pxd."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from broker.core.publisher cimport Publisher, last_awaited
from broker.mqtt.codec cimport PUBACK, PUBCOMP, PUBREC, PUBREL, store32
from broker.mqtt.session cimport Session
from broker.wire.output cimport Output, output_room, output_written

from broker.mqtt import ending
from broker.mqtt.replies import encode_ack
from broker.mqtt.properties import Packet
from broker.mqtt.reasons import VERSION_5, Reason

cdef enum:
    CAPACITY_MIN = 16
    FAILURE = 0x80                      # and above
    QUOTA_EXCEEDED = 0x97


cdef class Answers(Publisher):
    """Of one connection."""

    def __init__(self, connection, Output output, Session session, store, Counters counters, bint is_5):
        self.connection = connection
        self.output = output
        self.session = session
        self.store = store
        self.counters = counters
        self.traffic = connection.traffic
        self.is_5 = is_5

    def __dealloc__(self):
        free(self.ring)

    cdef int promise(self, int kind, uint32_t packet_id, int reason, int outcome) except -1:
        if self.count == self.capacity:
            grow(self)
        self.ring[(self.head + self.count) & (self.capacity - 1)] = \
            <uint32_t>reason << 24 | <uint32_t>kind << 16 | packet_id
        self.count += 1
        self.failures += self.is_5 and reason >= FAILURE
        self.unfinished += kind == PUBACK or kind == PUBREC
        self.count_published(outcome)
        return 0

    cdef int accepted(self, uint64_t number) except -1:
        cdef size_t left = number - self.accepted_up_to, size = 0
        cdef char* at
        if self.connection is None or left == 0:
            return 0
        if left > self.count:
            left = self.count
        if self.failures:
            return say_each(self, left)
        at = output_room(self.output, left * 5)
        self.counters.packets_sent += left
        self.traffic.confirmed += self.unfinished
        while left:
            size += say(self, NULL if at == NULL else at + size)
            left -= 1
        self.traffic.confirmed -= self.unfinished
        if at != NULL:
            output_written(self.output, size)
        return 0

    cdef int refused(self, uint64_t first, uint64_t last) except -1:
        if self.connection is None:
            return 0
        if self.awaited_count:                  # one message, and others before it wait for the disk: in its turn
            last_awaited(self).last = last      # though it waits for nothing itself
            note_refused(self, self.count - 1)  # which may close the connection, and forget who waits
            return 0
        for _ in range(first, last + 1):
            refuse_first(self)
            if self.connection is None:         # it was closed for that
                break
        return 0

    def close(self):
        """The connection is gone: nobody is told any more."""
        self.forget_awaited()
        self.connection = self.session = None


cdef inline uint32_t take_first(Answers answers) noexcept:
    cdef uint32_t answer = answers.ring[answers.head]
    cdef uint32_t kind = answer >> 16 & 15
    answers.head = (answers.head + 1) & (answers.capacity - 1)
    answers.count -= 1
    if answers.unfinished and (kind == PUBACK or (kind == PUBREC and answer >> 24 >= FAILURE)
                               or (kind == PUBCOMP and answer >> 24 == 0)):
        answers.unfinished -= 1
    return answer


cdef inline size_t say(Answers answers, char* at) noexcept:
    """Takes the first answer out, and writes it. How many bytes."""
    cdef uint32_t answer = take_first(answers)
    cdef uint32_t kind = answer >> 16 & 15
    cdef uint32_t reason = answer >> 24
    if at == NULL:
        return 0
    if reason == 0 or not answers.is_5:
        store32(at, (kind << 4 | (2 if kind == PUBREL else 0)) << 24 | 2 << 16 | (answer & 0xFFFF))
        return 4
    store32(at, (kind << 4 | (2 if kind == PUBREL else 0)) << 24 | 3 << 16 | (answer & 0xFFFF))
    at[4] = <char>reason
    return 5


cdef int say_each(Answers answers, size_t left) except -1:
    """Refusals are among them: each says why in words, where the client wants and can take them [MQTT-3.4.2-2]."""
    cdef uint32_t answer
    while left and answers.connection is not None:
        left -= 1
        answer = take_first(answers)
        reason = Reason(answer >> 24)
        answers.traffic.confirmed += not reason.is_failure and answer >> 16 & 15 in (PUBACK, PUBCOMP)
        answers.failures -= reason.is_failure
        answers.connection.write(encode_ack(
            Packet(answer >> 16 & 15), VERSION_5, answer & 0xFFFF, reason,
            reason_string=reason.text if reason.is_failure and answers.connection.wants_reasons else None,
            packet_bytes_max=answers.connection.packet_bytes_max))
    return 0


cdef int note_refused(Answers answers, size_t index) except -1:
    """A message was not taken: MQTT 5 has a word for that, MQTT 3 only the end."""
    cdef uint32_t* answer = &answers.ring[(answers.head + index) & (answers.capacity - 1)]
    cdef uint32_t kind = answer[0] >> 16 & 15
    answers.counters.refuse_publish(Reason.QUOTA_EXCEEDED)
    if not answers.is_5 or (kind != PUBACK and kind != PUBREC):
        ending.on_refused(answers.connection)
    elif kind == PUBREC:
        answers.session.note_received(<uint16_t>(answer[0] & 0xFFFF), False)
    answers.failures += answers.is_5 and answer[0] >> 24 < FAILURE
    answer[0] = answer[0] & 0xFFFFFF | <uint32_t>QUOTA_EXCEEDED << 24
    return 0


cdef int refuse_first(Answers answers) except -1:
    """The first answer is a refusal."""
    cdef char* at
    cdef size_t size
    if answers.count == 0:
        return 0
    note_refused(answers, 0)
    if answers.is_5:
        return say_each(answers, 1)
    at = output_room(answers.output, 5)         # none where the connection was closed for it
    size = say(answers, at)
    answers.counters.packets_sent += 1
    if at != NULL:
        output_written(answers.output, size)
    return 0


cdef int grow(Answers answers) except -1:
    cdef size_t capacity = answers.capacity * 2 if answers.capacity else CAPACITY_MIN
    cdef uint32_t* ring = <uint32_t*>malloc(capacity * sizeof(uint32_t))
    cdef size_t index
    if ring == NULL:
        raise MemoryError
    for index in range(answers.count):
        ring[index] = answers.ring[(answers.head + index) & (answers.capacity - 1)]
    free(answers.ring)
    answers.ring = ring
    answers.capacity = capacity
    answers.head = 0
    return 0
