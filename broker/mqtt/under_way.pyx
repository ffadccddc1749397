"""What is under way between a client and its session: see under_way.pxd."""

from libc.stdint cimport uint16_t

from broker.core.publisher cimport Contributor
from broker.core.queue cimport COMPLETE, DISCARD, Queue
from broker.core.target cimport Target
from broker.mqtt.inflight cimport RELEASED, SENT_QOS1, WAITING, Inflight, place_t
from broker.mqtt.packet_ids cimport PacketIds


cdef class DurableState(Contributor):
    """Has the session written down."""

    def __init__(self, UnderWay session):
        self.session = session

    cdef int contribute(self) except -1:
        self.session.sessions.write_state(self.session)
        return 0


cdef class UnderWay(Target):
    """The half of a session that remembers packet identifiers."""

    # ── what the client acknowledges ──────────────────────────────────────────────────────────────────────────────

    cdef int on_puback(self, uint16_t packet_id, bint failed) except -1:
        cdef Inflight inflight = self.inflight if packet_id < SHARED_ID_FIRST else self.shared_inflight
        cdef place_t* place = inflight.find(packet_id) if inflight is not None else NULL
        if place == NULL or place.state != SENT_QOS1:
            return 0
        if failed:
            self.counters.refused_by_receiver += 1
        inflight.settle(place, DISCARD if failed else COMPLETE)
        remove(inflight, packet_id)
        self.traffic.acknowledged += 1
        self.owes_wake = True
        return 0

    cdef bint on_pubrec(self, uint16_t packet_id, bint failed) except -1:
        cdef Inflight inflight = self.inflight if packet_id < SHARED_ID_FIRST else self.shared_inflight
        cdef place_t* place = inflight.find(packet_id) if inflight is not None else NULL
        if place == NULL or place.state == SENT_QOS1 or place.state == WAITING:
            return False
        if place.state == RELEASED:
            return not failed
        place.state = RELEASED
        inflight.settle(place, DISCARD if failed else COMPLETE)
        if failed:
            self.counters.refused_by_receiver += 1
            remove(inflight, packet_id)
            self.owes_wake = True
            return False
        self.state_changed()
        return True

    cdef bint on_pubcomp(self, uint16_t packet_id) except -1:
        cdef Inflight inflight = self.inflight if packet_id < SHARED_ID_FIRST else self.shared_inflight
        cdef place_t* place = inflight.find(packet_id) if inflight is not None else NULL
        if place == NULL or place.state != RELEASED:
            return False
        inflight.remove(place)
        self.traffic.acknowledged += 1
        self.owes_wake = True
        self.state_changed()
        return True

    cdef int wake(self) except -1:
        """Once per read: credit has come back."""
        if self.owes_wake:
            self.owes_wake = False
            if self.queue is not None:
                self.queue.wake()
            if self.shares is not None:
                self.wake_all()
        return 0

    cpdef wake_all(self):
        """The client is there, or its output has drained."""
        if self.queue is not None:
            self.queue.wake()
        for consumer in list(self.shares or ()):
            (<Queue>consumer.queue).wake()

    # ── QoS 2 in ──────────────────────────────────────────────────────────────────────────────────────────────────

    cdef int note_received(self, uint16_t packet_id, bint is_received) except -1:
        if self.received is None:
            self.received = PacketIds()
        self.received.note(packet_id, is_received)
        return self.state_changed()

    cdef int state_changed(self) except -1:
        if self.state is not None:
            self.store.expect(self.state)
        return 0

    def received_ids(self) -> list:
        """Packet identifiers of QoS 2 messages that were taken and not yet released."""
        return self.received.all() if self.received is not None else []

    def released_ids(self) -> list:
        """Packet identifiers whose PUBREL is owed, or on its way, in order."""
        cdef list found = list(self.released or ())
        cdef Inflight inflight
        for inflight in (self.inflight, self.shared_inflight):
            if inflight is not None:
                found += inflight.released()
        return found

    def restore_state(self, received, released):
        """Packet identifiers as they were written down."""
        for packet_id in received:
            self.note_received(packet_id, True)
        self.released = list(released) or None

    @property
    def inflight_count(self) -> int:
        """PUBLISH and PUBREL packets that wait for the client's answer."""
        return ((self.inflight.count if self.inflight is not None else 0)
                + (self.shared_inflight.count if self.shared_inflight is not None else 0))

    def keep_state(self):
        """From now on what changes is written down with the batch."""
        if self.state is None:
            self.state = DurableState(self)
        self.state_changed()


# ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────────

cdef inline void remove(Inflight inflight, uint16_t packet_id) noexcept:
    """The place may have moved: settling one message may have led to another delivery."""
    cdef place_t* place = inflight.find(packet_id)
    if place != NULL:
        inflight.remove(place)
